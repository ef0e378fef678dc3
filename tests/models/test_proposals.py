"""Region proposals: the anchors are the config's, and what becomes a box is never in bf16."""

import itertools
from dataclasses import replace

import pytest
import torch

from tests.tiny import tiny_config
from unipan.models.proposals import region_proposals


def test_anchors_are_the_configs() -> None:
    config = replace(tiny_config().detection, anchor_sizes=(8, 16, 32, 64, 128), anchor_ratios=(0.5, 1.0, 2.0))
    cells = region_proposals(16, config).anchor_generator.cell_anchors
    for level, side in zip(cells, (8, 16, 32, 64, 128), strict=True):
        sizes = level[:, 2:] - level[:, :2]
        assert sizes.prod(1).sqrt().tolist() == pytest.approx([side] * 3, rel=0.1)
    for height, width in itertools.pairwise((cells[4][:, 3] - cells[4][:, 1], cells[4][:, 2] - cells[4][:, 0])):
        assert (height / width).tolist() == pytest.approx([0.5, 1, 2], rel=0.1)


def test_what_becomes_a_box_leaves_in_32_bits() -> None:
    head = region_proposals(16, tiny_config().detection).head
    with torch.autocast("cpu", torch.bfloat16):
        level = torch.randn(1, 16, 8, 12)
        assert head.conv(level).dtype == torch.bfloat16
        assert [each.dtype for part in head([level]) for each in part] == [torch.float32] * 2
