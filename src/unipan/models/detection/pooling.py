"""Sec. 3.3: RoIAlign, the features of a box as a small square, from the level of the pyramid that fits its size.

Legend: B images, R boxes of all images, I channels, m cells of the square.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import initLevelMapper

from unipan.models.parts import LEVELS
from unipan.ops.roi_align import BoxGrid, pyramid_roi_align
from unipan.ops.weighted_rows import samples_by_rows

FIRST_LEVEL, CANONICAL_LEVEL = 2, 4  # p_l has stride 2^l; a box of the canonical side belongs to p4
SCALES = tuple(2.0 ** -(FIRST_LEVEL + step) for step in range(len(LEVELS)))
"""Cells of each level per pixel."""


class AlignedRoIPool(nn.Module):
    """RoIAlign with the half-pixel correction (detectron2's ROIAlignV2), instead of torchvision's `MultiScaleRoIAlign`.

    The centre of cell 0 is half a cell away from the corner of the image; the original RoIAlign puts it on the corner.

    Args:
        size: m.
        sampling_ratio: samples per bin and axis; 0 takes as many as the bin has cells.
        canonical: side in pixels of the boxes that are pooled from p4.
    """

    def __init__(self, *, size: int, sampling_ratio: int, canonical: int) -> None:
        super().__init__()
        self.size = size
        self.sampling_ratio = sampling_ratio
        self.canonical = canonical

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], _sizes: list[tuple[int, int]] | None = None
    ) -> Float[Tensor, "R I m m"]:
        """The pooled features of each image's boxes (x0 y0 x1 y1 in pixels), in their order."""
        rois = numbered(boxes)
        levels = self.levels(rois[:, 1:])
        if self.sampling_ratio > 0 and samples_by_rows(rois):
            grid = BoxGrid(self.size, SCALES, self.sampling_ratio, aligned=True)
            return pyramid_roi_align([features[name] for name in LEVELS], rois, levels - FIRST_LEVEL, grid)
        rows = [(levels == FIRST_LEVEL + step).nonzero()[:, 0] for step in range(len(LEVELS))]
        pooled = [
            roi_align(features[name], rois[row], self.size, scale, self.sampling_ratio, aligned=True)
            for name, row, scale in zip(LEVELS, rows, SCALES, strict=True)
        ]
        return torch.cat(pooled)[torch.cat(rows).argsort()]

    def levels(self, boxes: Float[Tensor, "R 4"]) -> Int[Tensor, " R"]:
        """The level of each box, 2..5 (FPN paper, Eq. 1)."""
        side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        level = CANONICAL_LEVEL + (side / self.canonical + 1e-8).log2()
        return level.floor().clamp(FIRST_LEVEL, FIRST_LEVEL + len(LEVELS) - 1).long()


class RoIPool(MultiScaleRoIAlign):  # type: ignore[misc]  # torchvision has no types
    """torchvision's RoIAlign on the levels; on a CPU as sums of weighted rows."""

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Float[Tensor, "R I m m"]:
        """As `AlignedRoIPool.forward`."""
        if self.sampling_ratio > 0 and samples_by_rows(x[LEVELS[0]]):
            grid = BoxGrid(self.output_size[0], SCALES, self.sampling_ratio)
            return pyramid_roi_align([x[name] for name in LEVELS], numbered(boxes), self.map_levels(boxes), grid)
        pooled: Tensor = super().forward(x, boxes, image_shapes)
        return pooled


def numbered(boxes: list[Float[Tensor, "_ 4"]]) -> Float[Tensor, "R 5"]:
    """The boxes of all images, each behind the number of its image, as RoIAlign takes them."""
    return torch.cat([torch.cat([torch.full_like(box[:, :1], row), box], 1) for row, box in enumerate(boxes)])


def region_pool(size: int, *, sampling_ratio: int, canonical: int, aligned: bool = False) -> nn.Module:
    """RoIAlign to `size` cells: torchvision's, or the corrected one; the arguments are those of `AlignedRoIPool`."""
    if aligned:
        return AlignedRoIPool(size=size, sampling_ratio=sampling_ratio, canonical=canonical)
    pool = RoIPool(list(LEVELS), size, sampling_ratio, canonical_scale=canonical)
    # Otherwise it would infer the strides of the levels from the first image that it sees, and keep them.
    last = FIRST_LEVEL + len(LEVELS) - 1
    pool.scales = list(SCALES)
    pool.map_levels = initLevelMapper(FIRST_LEVEL, last, canonical, CANONICAL_LEVEL)
    found: nn.Module = pool
    return found


def pooled_at_home(pool: nn.Module, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
    """Pooled where the features are, and returned to where the boxes are: those of a large picture stay on the CPU."""
    home = features[LEVELS[0]].device
    pooled: Tensor = pool(features, [each.to(home) for each in boxes], [])
    return pooled.to(boxes[0].device)
