"""Sec. 4: ResNet weights from elsewhere, ImageNet's or a file's, before any training of ours."""

import pickle
from pathlib import Path

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
    state = _download(depth, width) if weights == "imagenet" else _read_weights(Path(weights))
    own = resnet.state_dict()
    state = {key: value for key, value in state.items() if not _left_over(key)}
    problems = [f"{key} is missing" for key in own if key not in state and not _left_over(key)]
    problems += [f"{key} is unexpected" for key in state if key not in own]
    problems += [
        f"{key} has shape {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in state.items()
        if key in own and value.shape != own[key].shape
    ]
    if problems:
        raise ValueError(
            f"backbone weights {weights}: not those of a ResNet-{depth} of width {width} "
            f"({'; '.join(problems[:3])}{f'; and {len(problems) - 3} more' if len(problems) > 3 else ''}); "
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
            f"set backbone.width to {STANDARD_WIDTH}, or backbone.weights to none or a file"
        )


def _download(depth: int, width: int) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    check_width(width)
    enum = get_model_weights(f"resnet{depth}")["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = dict(enum.get_state_dict(progress=True, check_hash=True))
    except (OSError, RuntimeError) as error:
        name = str(enum.url).rsplit("/", 1)[-1]
        raise FileNotFoundError(
            f"backbone weights: the download of {name} failed ({error}); fetch {enum.url} on another machine "
            "and give the file as --init FILE (backbone.weights)"
        ) from error
    return state


def _read_weights(path: Path) -> dict[str, Tensor]:
    require_weights(path, "imagenet, none, or a .safetensors or .pth file")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"backbone weights {path}: cannot be read ({reason}); give a .safetensors or .pth file of tensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"backbone weights {path}: holds something else than named tensors; give a state dict")
    return state
