"""Sec. 3.3: the anchors of the RPN, one size per level, torchvision's or detectron2's."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from unipan.models.parts import P2_STRIDE


class Anchors(AnchorGenerator):  # type: ignore[misc]  # torchvision has no types
    """torchvision's, in at least 32 bits: in the type of 16-bit features boxes would be whole pixels or worse."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """All anchors of each image; of the features, the sizes count."""
        dtype = torch.promote_types(feature_maps[0].dtype, torch.float32)
        shapes = [each.new_empty((), dtype=dtype).expand(each.shape) for each in feature_maps]  # without memory
        anchors: list[Tensor] = super().forward(image_list, shapes)
        return anchors


class ExactAnchors(Anchors):
    """Anchors of exactly the given area and ratio at strides 4, 8, ... 64; the first is centred on the image's corner.

    torchvision rounds anchors to whole pixels and infers strides from the number of cells: 21 cells of P6 in 1312
    pixels have a stride of 62. detectron2, for whose RPN weights this is, does neither.
    """

    def generate_anchors(
        self,
        scales: Sequence[int],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Anchors around (0, 0), x0 y0 x1 y1; ratios are height / width."""
        side = torch.tensor([float(scale) for scale in scales], dtype=torch.float64, device=device)
        root = torch.tensor(aspect_ratios, dtype=torch.float64, device=device).sqrt()[:, None]
        width, height = (side / root).flatten() / 2, (side * root).flatten() / 2
        return torch.stack([-width, -height, width, height], dim=1).to(dtype)

    def grid_anchors(self, grid_sizes: Sequence[Sequence[int]], strides: list[list[Tensor]]) -> list[Tensor]:
        """The anchors of every cell, per level."""
        exact = [[torch.full_like(side, P2_STRIDE << level) for side in both] for level, both in enumerate(strides)]
        anchors: list[Tensor] = super().grid_anchors(grid_sizes, exact)
        return anchors


def anchor_generator(*, sizes: Sequence[int], ratios: Sequence[float], exact: bool = False) -> Anchors:
    """One anchor size per level, every ratio (height / width) at each; `exact` gives detectron2's anchors."""
    kind = ExactAnchors if exact else Anchors
    return kind(tuple((size,) for size in sizes), (tuple(ratios),) * len(sizes))
