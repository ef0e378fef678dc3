"""Anchors: torchvision's by default, detectron2's exact ones where the config says so."""

import math
from dataclasses import replace

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from unipan.build import build_anchors
from unipan.config import DetectionConfig
from unipan.models.detection.anchors import ExactAnchors

CONFIG = DetectionConfig(exact_anchors=True)


def naive(side: float, ratio: float) -> list[float]:
    """Height / width is the ratio, height * width the side squared."""
    width = math.sqrt(side * side / ratio)
    return [-width / 2, -ratio * width / 2, width / 2, ratio * width / 2]


def test_cell_anchors_are_exact() -> None:
    cells = build_anchors(CONFIG).cell_anchors
    for side, found in zip((32, 64, 128, 256, 512), cells, strict=True):
        torch.testing.assert_close(found, torch.tensor([naive(side, ratio) for ratio in (0.5, 1.0, 2.0)]))
    rounded = build_anchors(replace(CONFIG, exact_anchors=False))
    assert all(
        map(torch.equal, rounded.cell_anchors, AnchorGenerator(rounded.sizes, rounded.aspect_ratios).cell_anchors)
    )
    assert not torch.equal(rounded.cell_anchors[0], cells[0])


@pytest.mark.parametrize("exact", [True, False])
def test_anchors_are_no_coarser_than_32_bits(exact: bool) -> None:
    """In bf16, with 8 bits of mantissa, a place beyond 256 pixels would be even."""
    generator = build_anchors(replace(CONFIG, exact_anchors=exact))
    maps = [torch.zeros(1, 1, side, side) for side in (88, 44, 22, 11, 6)]
    images = ImageList(torch.zeros(1, 3, 352, 352), [(352, 352)])
    (wanted,), (found,) = generator(images, maps), generator(images, [each.bfloat16() for each in maps])
    assert found.dtype == torch.float32
    assert torch.equal(found, wanted)
    (exactly,) = generator(images, [each.double() for each in maps])
    assert exactly.dtype == torch.float64


@pytest.mark.parametrize(("exact", "stride"), [(True, 64), (False, 53)])
def test_strides_do_not_depend_on_the_inputs_size(exact: bool, stride: int) -> None:
    """160 pixels are 5 cells of P5 and 3 of P6, which torchvision lays 53 pixels apart."""
    generator = build_anchors(replace(CONFIG, exact_anchors=exact))
    maps = [torch.zeros(1, 1, side, side) for side in (40, 20, 10, 5, 3)]
    (anchors,) = generator(ImageList(torch.zeros(1, 3, 160, 160), [(160, 160)]), maps)
    assert len(anchors) == 3 * (1600 + 400 + 100 + 25 + 9)
    last = anchors[-27:].view(3, 3, 3, 4)  # rows, columns, ratios
    centres = (last[..., :2] + last[..., 2:]) / 2
    places = torch.tensor([0.0, stride, 2.0 * stride])
    torch.testing.assert_close(centres[..., 0], places[None, :, None].expand(3, 3, 3))
    torch.testing.assert_close(centres[..., 1], places[:, None, None].expand(3, 3, 3))
    if exact:
        assert isinstance(generator, ExactAnchors)
        torch.testing.assert_close(last[1, 2, 0], torch.tensor(naive(512, 0.5)) + torch.tensor([128.0, 64, 128, 64]))
