"""RoIAlign (arXiv 1703.06870, Sec. 3) of boxes on the levels of a pyramid, as sums of weighted rows.

Every bin of a box is the mean of bilinear samples, hence a sum of weighted cells: of 4 x 4 with two
samples on each axis.

Legend: B images, R boxes of all images, I channels, m bins on an axis of a box, s samples on an axis of a bin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from unipan.ops.weighted_rows import PIECE_BYTES, shared_out, weighted_rows


@dataclass(frozen=True)
class BoxGrid:
    """How boxes are pooled.

    Attributes:
        size: m.
        scales: cells per pixel of each level.
        samples: s, at least 1.
        aligned: with the half-pixel correction of detectron2's ROIAlignV2.
    """

    size: int
    scales: Sequence[float]
    samples: int
    aligned: bool = False

    def cells(
        self, rois: Float[Tensor, "R 5"], number: int, shape: torch.Size
    ) -> tuple[Int32[Tensor, "_ _"], Float[Tensor, "_ _"]]:
        """For each bin of each box the cells that it reads on level `number` of this shape, and their weights."""
        _, _, height, width = shape
        corner = rois[:, 1:] * self.scales[number] - (0.5 if self.aligned else 0.0)
        rows, down = self._axis(corner[:, 1], corner[:, 3], height)
        columns, across = self._axis(corner[:, 0], corner[:, 2], width)
        rows = rows * width + (rois[:, 0] * (height * width)).to(torch.int32)[:, None, None]
        cells = rows[:, :, None, :, None] + columns[:, None, :, None, :]  # box, bin down, bin across, down, across
        weights = down[:, :, None, :, None] * across[:, None, :, None, :]
        return cells.flatten(3).flatten(0, 2), weights.flatten(3).flatten(0, 2)

    def _axis(self, start: Tensor, end: Tensor, count: int) -> tuple[Int32[Tensor, "R m _"], Float[Tensor, "R m _"]]:
        """On one axis of `count` cells: the two cells around each sample of each bin, and their shares of the bin."""
        # The original RoIAlign widens boxes that are thinner than a cell.
        length = end - start if self.aligned else (end - start).clamp(min=1)
        sample = torch.arange(self.size * self.samples, device=start.device)
        bins = (length / self.size)[:, None]
        within = (sample % self.samples + 0.5) * bins / self.samples
        place = start[:, None] + (sample // self.samples) * bins + within
        inside = (place >= -1) & (place <= count)
        place = place.clamp(0, count - 1)
        low = place.floor()
        far = place - low
        near = low.to(torch.int32).clamp(0, count - 1)  # also what was not a number
        cells = torch.stack([near, (near + 1).clamp(max=count - 1)], -1)
        shares = torch.stack([1 - far, far], -1) * (inside / self.samples)[..., None]
        shape = (len(start), self.size, 2 * self.samples)
        return cells.view(shape), shares.view(shape)


def pyramid_roi_align(
    levels: Sequence[Float[Tensor, "B I _ _"]], rois: Float[Tensor, "R 5"], chosen: Int[Tensor, " R"], grid: BoxGrid
) -> Float[Tensor, "R I m m"]:
    """`torchvision.ops.roi_align` of each box on its level, equal to 1e-6, with the gradient of the levels.

    Args:
        levels: of one type.
        rois: image, x0, y0, x1, y1 in pixels.
        chosen: of each box, which of the levels.
        grid: sizes.

    Returns:
        bins, in memory with the channels last.
    """
    pooled: Tensor = _PyramidRoIAlign.apply(rois, chosen, grid, *levels)
    return pooled


class _PyramidRoIAlign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rois: Tensor, chosen: Tensor, grid: BoxGrid, *levels: Tensor) -> Tensor:
        ctx.save_for_backward(rois, chosen)
        ctx.grid, ctx.levels = grid, [(level.shape, level.dtype) for level in levels]
        channels = levels[0].shape[1]
        pooled = levels[0].new_empty(len(rois), grid.size, grid.size, channels)
        at_once = max(1, PIECE_BYTES // (grid.size**2 * channels * pooled.element_size()))
        for number, level in enumerate(levels):
            table = level.permute(0, 2, 3, 1).reshape(-1, channels)
            for here in (chosen == number).nonzero()[:, 0].split(at_once):  # type: ignore[no-untyped-call]
                cells, weights = grid.cells(rois[here], number, level.shape)
                pooled[here] = weighted_rows(table, cells, weights.to(table.dtype)).view(-1, *pooled.shape[1:])
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        rois, chosen = ctx.saved_tensors
        outer = outer.permute(0, 2, 3, 1).contiguous()
        found: list[Tensor | None] = [None, None, None]
        for number, (shape, dtype) in enumerate(ctx.levels):
            if not ctx.needs_input_grad[len(found)]:
                found.append(None)
                continue
            batch, channels, height, width = shape
            here = (chosen == number).nonzero()[:, 0]
            cells, weights = ctx.grid.cells(rois[here], number, shape)
            table = shared_out(outer[here].view(-1, channels), cells, weights.to(dtype), batch * height * width)
            found.append(table.view(batch, height, width, channels).permute(0, 3, 1, 2))
        return tuple(found)
