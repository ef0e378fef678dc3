"""Bilinear upsampling by a whole factor, and its transpose, as weighted sums of shifted copies.

The same values as `F.interpolate(align_corners=False)`. Both are linear and separable, and each is the other's backward
pass. PyTorch has no function for the transpose, and on a CPU its backward pass takes two to four times as long.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def upsample_bilinear(cells: Float[Tensor, "K a b"], factor: int) -> Float[Tensor, "K _ _"]:
    """U: (K, factor a, factor b), half-pixel centres; beyond the outermost centres the border value is kept."""
    upsampled: Tensor = _Upsampling.apply(cells, factor)
    return upsampled


def transposed_upsampling(fine: Float[Tensor, "K _ _"], factor: int) -> Float[Tensor, "K a b"]:
    """U^T: each of (K, factor a, factor b) is shared out to the cells that it would be interpolated from."""
    shared: Tensor = _TransposedUpsampling.apply(fine, factor)
    return shared


def nine_around(size: tuple[int, int], factor: int, points: Int[Tensor, "R 2"]) -> Int[Tensor, "R 9"]:
    """The nine cells around some fine cells (row, column), as indices row by row, the border repeated."""
    near = torch.arange(-1, 2, device=points.device)
    rows, columns = (
        (points[:, axis, None] // factor + near).clamp(0, side - 1) for axis, side in zip((0, 1), size, strict=True)
    )
    return (rows[:, :, None] * size[1] + columns[:, None, :]).flatten(1)


def upsampled_between(around: Float[Tensor, "K R 9"], factor: int, points: Int[Tensor, "R 2"]) -> Float[Tensor, "R K"]:
    """`upsample_bilinear` at some fine cells (row, column) alone, from the values of `nine_around` each."""
    channels, count, _ = around.shape
    fine = upsample_bilinear(around.reshape(-1, 3, 3), factor).view(channels, count, 3 * factor, 3 * factor)
    y, x = (points % factor + factor).unbind(1)
    return fine[:, torch.arange(count, device=around.device), y, x].T


def neighbours(factor: int) -> list[tuple[int, float]]:
    """For each fine cell of a cell, along one axis: the first of its two neighbours, and the weight of the second.

    Neighbours are counted from the cell before, so 1 is the cell itself. The centre of fine cell p lies
    (p + 1/2) / factor - 1/2 cells from that of its cell.
    """
    offsets = [(2 * fine + 1 - factor) / (2 * factor) for fine in range(factor)]
    return [(0, 1 + offset) if offset < 0 else (1, offset) for offset in offsets]


class _Upsampling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cells: Tensor, factor: int) -> Tensor:
        ctx.factor = factor
        return _up(_up(cells, 2, factor), 1, factor)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return transposed_upsampling(outer, ctx.factor), None


class _TransposedUpsampling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fine: Tensor, factor: int) -> Tensor:
        ctx.factor = factor
        return _down(_down(fine, 1, factor), 2, factor)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return upsample_bilinear(outer, ctx.factor), None


def _up(cells: Tensor, axis: int, factor: int) -> Tensor:
    count = cells.shape[axis]
    padded = torch.cat([cells.narrow(axis, 0, 1), cells, cells.narrow(axis, count - 1, 1)], axis)
    fine = [
        padded.narrow(axis, first, count).lerp(padded.narrow(axis, first + 1, count), weight)
        for first, weight in neighbours(factor)
    ]
    return torch.stack(fine, axis + 1).flatten(axis, axis + 1)


def _down(fine: Tensor, axis: int, factor: int) -> Tensor:
    count = fine.shape[axis] // factor
    size = list(fine.shape)
    size[axis] = count + 2
    padded = fine.new_zeros(size)
    parts = fine.reshape(*fine.shape[:axis], count, factor, *fine.shape[axis + 1 :]).unbind(axis + 1)
    for (first, weight), part in zip(neighbours(factor), parts, strict=True):
        padded.narrow(axis, first, count).add_(part, alpha=1 - weight)
        padded.narrow(axis, first + 1, count).add_(part, alpha=weight)
    padded.narrow(axis, 1, 1).add_(padded.narrow(axis, 0, 1))
    padded.narrow(axis, count, 1).add_(padded.narrow(axis, count + 1, 1))
    return padded.narrow(axis, 1, count)
