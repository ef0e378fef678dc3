"""Renaming of weights from another code base to ours, with every tensor accounted for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unipan.config import Config
from unipan.models.pretrained import first_of, misfits
from unipan.panoptic.categories import Categories

NORM = ("weight", "bias", "running_mean", "running_var")
LAYER = ("weight", "bias")


@dataclass(frozen=True)
class Move:
    """How one tensor gets from the source to our network.

    Attributes:
        source: its name in the source.
        target: its name in our network.
        change: applied to its values, in 32 bits; by default nothing.
        shape: required of the source; None means the shape of the target.
    """

    source: str
    target: str
    change: Callable[[Tensor], Tensor] = Tensor.float
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Imported:
    """What `save_checkpoint` needs to write an imported network.

    Attributes:
        state: our network's state dict.
        config: our network's.
        categories: in the order of the network's classes.
        metrics: where it came from (`imported`) and what was verified of it (`status`).
        moved: how many tensors were taken from the source.
    """

    state: dict[str, Tensor]
    config: Config
    categories: Categories
    metrics: dict[str, Any]
    moved: int


def moves_of(source: str, target: str, parts: Iterable[str] = LAYER) -> list[Move]:
    """The moves of one layer."""
    return [Move(f"{source}.{part}", f"{target}.{part}") for part in parts]


def translate(
    moves: Iterable[Move], tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], origin: str, kind: str
) -> dict[str, Tensor]:
    """The tensors under our names and in our shapes, in 32 bits.

    Args:
        moves: one for every tensor that is expected.
        tensors: those of the source.
        own: our network's state dict.
        origin: what error messages call the file.
        kind: what the file should be, for error messages.

    Raises:
        ValueError: a tensor is missing, left over, of another shape, or not of finite numbers.
    """
    named = {move.source: move for move in moves}
    shapes = {name: move.shape or tuple(own[move.target].shape) for name, move in named.items()}
    problems = misfits(shapes, tensors)
    if not problems:  # only now is it worth checking every number
        problems = [problem for name, tensor in tensors.items() if (problem := _not_numbers(name, tensor))]
    if problems:
        raise ValueError(f"{origin}: not {kind} ({first_of(problems)}); give the file as it was published")
    return {move.target: move.change(tensors[name].float()) for name, move in named.items()}


def _not_numbers(name: str, tensor: Tensor) -> str:
    """What is wrong with the values, if anything."""
    if not tensor.is_floating_point():
        return f"{name} holds {tensor.dtype}, not real numbers"
    return "" if tensor.isfinite().all() else f"{name} holds numbers that are not finite"


def background_first(rows: Float[Tensor, "A ..."]) -> Float[Tensor, "A ..."]:
    """Rows of classes with the background moved from the end to the front, where torchvision has it."""
    return torch.cat([rows[-1:], rows[:-1]])


def without_background(deltas: Float[Tensor, "R ..."], classes: int) -> Float[Tensor, "Q ..."]:
    """Box deltas of `classes` classes, preceded by four rows of zeros: torchvision stores deltas for the background
    too, but never reads them."""
    return torch.cat([torch.zeros_like(deltas[: len(deltas) // classes]), deltas])
