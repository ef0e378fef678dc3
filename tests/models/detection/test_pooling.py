"""RoIAlign: the aligned form against torchvision's own operator, level by level, and a hand-made feature."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align

from unipan.models.detection.pooling import AlignedRoIPool, region_pool

SIDE = 512
LEVELS = ("p2", "p3", "p4", "p5")


def features(count: int = 1) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(0)
    return {f"p{level}": torch.randn(count, 3, SIDE >> level, SIDE >> level, generator=g) for level in (2, 3, 4, 5, 6)}


@pytest.mark.parametrize("sampling", [0, 2])
def test_each_box_is_what_roi_align_gives_on_its_level(sampling: int) -> None:
    boxes = [
        torch.tensor([[3, 7, 303, 301], [10, 20, 34, 41], [0, 0, 512, 512]]).float(),
        torch.tensor([[100, 50, 260, 200], [33, 33, 33, 40]]).float(),
    ]
    levels = [[4, 2, 5], [3, 2]]  # 224 sqrt(wh): 297, 22, 512, 155, 0
    maps = features(2)
    pooled = AlignedRoIPool(size=7, sampling_ratio=sampling, canonical=224)(maps, boxes)
    assert pooled.shape == (5, 3, 7, 7)
    naive = []
    for image, (some, expected) in enumerate(zip(boxes, levels, strict=True)):
        for box, level in zip(some, expected, strict=True):
            roi = torch.cat([torch.tensor([float(image)]), box])[None]
            naive.append(roi_align(maps[f"p{level}"], roi, 7, 1 / 2**level, sampling, aligned=True))
    torch.testing.assert_close(pooled, torch.cat(naive))


@pytest.mark.parametrize("sampling", [1, 2])
def test_a_ramp_is_sampled_at_the_pixels_own_places(sampling: int) -> None:
    """On p2, x + .5 cells at cell x is the pixel's place / 4; only the aligned form reads a box's own middle there."""
    ramp = (torch.arange(SIDE // 4) + 0.5).expand(1, 1, SIDE // 4, SIDE // 4).contiguous() * 4
    maps = {name: ramp if name == "p2" else ramp[..., :: 2**i, :: 2**i] * 0 for i, name in enumerate(LEVELS)}
    box = torch.tensor([[40, 40, 68, 68]]).float()
    centres = 40 + 4 * (torch.arange(7) + 0.5)
    aligned = AlignedRoIPool(size=7, sampling_ratio=sampling, canonical=224)(maps, [box])
    torch.testing.assert_close(aligned[0, 0], centres.expand(7, 7))
    first = MultiScaleRoIAlign(list(LEVELS), 7, sampling)(maps, [box], [(SIDE, SIDE)])
    torch.testing.assert_close(first[0, 0], centres.expand(7, 7) + 2)


def test_levels_are_the_formulas() -> None:
    sides = [1.0, 55.9, 111.9, 112.1, 223.9, 224.1, 447.9, 448.1, 5000.0]
    boxes = torch.tensor([[10, 10, 10 + side / 2, 10 + side * 2] for side in sides])
    expected = [min(max(math.floor(4 + math.log2(side / 224)), 2), 5) for side in sides]
    assert (
        AlignedRoIPool(size=7, sampling_ratio=0, canonical=224).levels(boxes).tolist()
        == expected
        == [2, 2, 2, 3, 3, 4, 4, 5, 5]
    )


def test_no_box_gives_no_square_and_a_gradient() -> None:
    maps = {name: level.requires_grad_() for name, level in features().items()}
    pooled = AlignedRoIPool(size=14, sampling_ratio=0, canonical=224)(maps, [torch.zeros(0, 4)])
    assert pooled.shape == (0, 3, 14, 14)
    pooled.sum().backward()
    assert maps["p5"].grad is not None


@pytest.mark.parametrize("sampling", [0, 2])
def test_the_original_form_is_torchvisions(sampling: int) -> None:
    """Of boxes on every level, in two images; `MultiScaleRoIAlign` itself infers the scales from the image."""
    g = torch.Generator().manual_seed(1)
    corner = torch.rand(60, 2, generator=g) * SIDE
    some = torch.cat([corner, corner + torch.exp(torch.rand(60, 2, generator=g) * 6.5)], 1)
    maps, boxes = {name: features(2)[name] for name in LEVELS}, [some[:25], some[25:]]
    pool = region_pool(7, sampling_ratio=sampling, canonical=224)
    expected = MultiScaleRoIAlign(list(LEVELS), 7, sampling)(maps, boxes, [(SIDE, SIDE)] * 2)
    torch.testing.assert_close(pool(maps, boxes, []), expected)
    assert pool.map_levels(boxes).unique().tolist() == [0, 1, 2, 3]


def test_either_form_can_be_had() -> None:
    assert isinstance(region_pool(7, sampling_ratio=2, canonical=224), MultiScaleRoIAlign)
    aligned = region_pool(14, sampling_ratio=0, canonical=80, aligned=True)
    assert isinstance(aligned, AlignedRoIPool)
    assert (aligned.size, aligned.sampling_ratio, aligned.canonical) == (14, 0, 80)
