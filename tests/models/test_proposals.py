"""Region proposals: the anchors are the config's, and bf16 does not round what becomes a box."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from tests.tiny import tiny_config
from unipan.models.proposals import region_proposals

SIZE = (32, 512)
"""Wide: bf16 knows only every second or fourth number from 256 on."""


def pyramid() -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(1, 16, max(SIZE[0] // s, 1), SIZE[1] // s, generator=g) for s in (4, 8, 16, 32, 64)]


def test_anchors_are_the_configs() -> None:
    config = replace(tiny_config().detection, anchor_sizes=(8, 16, 32, 64, 128), anchor_ratios=(0.5, 1.0, 2.0))
    cells = region_proposals(16, config).anchor_generator.cell_anchors
    for level, side in zip(cells, (8, 16, 32, 64, 128), strict=True):
        sizes = level[:, 2:] - level[:, :2]
        assert sizes.prod(1).sqrt().tolist() == pytest.approx([side] * 3, rel=0.1)
    for height, width in itertools.pairwise((cells[4][:, 3] - cells[4][:, 1], cells[4][:, 2] - cells[4][:, 0])):
        assert (height / width).tolist() == pytest.approx([0.5, 1, 2], rel=0.1)


def test_bf16_moves_proposals_by_a_fraction_of_a_pixel() -> None:
    torch.manual_seed(0)
    everything = (2000, 2000)
    config = replace(tiny_config().detection, rpn_pre_nms=everything, rpn_post_nms=everything)
    rpn = region_proposals(16, config).eval()
    rpn.nms_thresh = 1.0  # else the order of nearly equal scores decides which ones stay
    with torch.no_grad():
        rpn.head.bbox_pred.weight *= 10
        images, levels = ImageList(torch.zeros(1, 3, *SIZE), [SIZE]), pyramid()
        (exact,), _ = rpn(images, dict(enumerate(levels)))
        with torch.autocast("cpu", torch.bfloat16):
            assert rpn.head.conv(levels[0]).dtype == torch.bfloat16
            (found,), _ = rpn(images, dict(enumerate(levels)))
    assert found.dtype == exact.dtype == torch.float32
    assert len(found) == len(exact) > 1000
    distance = torch.cdist(found, exact, p=torch.inf)
    assert max(distance.amin(0).max(), distance.amin(1).max()) < 0.25
