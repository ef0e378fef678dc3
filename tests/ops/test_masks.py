"""Pasting against grid_sample, mask targets against a loop, label reduction against nearest-exact."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from unipan.ops.boxes import inside
from unipan.ops.masks import crop_targets, paste, paste_full, reduce_labels
from unipan.panoptic.maps import VOID

BOXES = torch.tensor([[3.0, 5, 40, 60], [10, 10, 10.5, 10.5], [-5, -8, 33, 21], [70.3, 2.2, 118, 79.9]])
STRIDE = 4.0
GRID = (20, 30)


def random_masks(count: int, size: int = 7) -> Tensor:
    return torch.rand(count, size, size, generator=torch.Generator().manual_seed(count))


def pasted_by_grid_sample(masks: Tensor, boxes: Tensor, height: int, width: int, stride: float) -> Tensor:
    """The naive form: a table of positions for grid_sample, half-pixel centres, border kept, then the box cut out."""
    xs = (torch.arange(width, dtype=masks.dtype) + 0.5) * stride
    ys = (torch.arange(height, dtype=masks.dtype) + 0.5) * stride
    x0, y0, x1, y1 = (side[:, None] for side in boxes.unbind(1))
    u = (xs - x0) / (x1 - x0) * 2 - 1
    v = (ys - y0) / (y1 - y0) * 2 - 1
    shape = (len(boxes), height, width)
    grid = torch.stack([u[:, None, :].expand(shape), v[:, :, None].expand(shape)], dim=-1)
    sampled = F.grid_sample(masks[:, None], grid, "bilinear", "border", align_corners=False)[:, 0]
    return sampled * inside(boxes, height, width, stride)


@pytest.mark.parametrize("stride", [1.0, 4.0])
def test_paste_equals_grid_sample(stride: float) -> None:
    masks = random_masks(4)
    expected = pasted_by_grid_sample(masks, BOXES, *GRID, stride)
    torch.testing.assert_close(paste(masks, BOXES, *GRID, stride), expected, atol=1e-5, rtol=0)


def test_a_constant_mask_fills_its_box_and_nothing_else() -> None:
    pasted = paste(torch.ones(4, 28, 28), BOXES, *GRID, STRIDE)
    torch.testing.assert_close(pasted, inside(BOXES, *GRID, STRIDE).float())


def test_a_mask_the_size_of_its_box_is_copied() -> None:
    masks = random_masks(1)
    pasted = paste(masks, torch.tensor([[8.0, 4, 36, 32]]), *GRID, STRIDE)
    torch.testing.assert_close(pasted[0, 1:8, 2:9], masks[0])


def test_paste_gradient() -> None:
    masks = random_masks(4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: paste(m, BOXES, 5, 6, 16.0), masks)


def test_paste_of_nothing_keeps_the_graph() -> None:
    masks = torch.rand(3, 5, 5, requires_grad=True)
    pasted = paste(masks[:0], BOXES[:0], *GRID, STRIDE)
    assert pasted.shape == (0, *GRID)
    pasted.sum().backward()
    assert masks.grad is not None
    assert masks.grad.eq(0).all()


def test_paste_stays_in_32_bit_under_autocast() -> None:
    masks = random_masks(4)
    with torch.autocast("cpu", torch.bfloat16):
        pasted = paste(masks.bfloat16(), BOXES, *GRID, STRIDE)
    assert pasted.dtype == torch.float32
    torch.testing.assert_close(pasted, paste(masks.bfloat16().float(), BOXES, *GRID, STRIDE))


@pytest.mark.parametrize("row", range(4))
def test_paste_full_is_paste_at_stride_one_in_the_window(row: int) -> None:
    masks = random_masks(4)
    window, mask = paste_full(masks[row], BOXES[row], 80, 120, 0.5)
    whole = torch.zeros(80, 120, dtype=torch.bool)
    whole[window] = torch.from_numpy(mask)
    expected = paste(masks, BOXES, 80, 120, 1.0)[row] >= 0.5
    if row != 1:  # a box between two pixel centres has no window at full size
        assert torch.equal(whole, expected)
    assert mask.shape == whole[window].shape


def test_paste_full_outside_the_image_is_an_empty_window() -> None:
    for box in ([-9.0, -9, -2, -2], [500.0, 500, 600, 600], [10.6, 3, 10.9, 9]):
        window, mask = paste_full(torch.ones(5, 5), torch.tensor(box), 80, 120, 0.5)
        assert mask.size == 0
        assert torch.zeros(80, 120)[window].numel() == 0


def test_crop_targets_equals_a_loop_over_points() -> None:
    generator = torch.Generator().manual_seed(0)
    instances = torch.randint(VOID, 3, (12, 15), generator=generator).repeat_interleave(3, 0).repeat_interleave(3, 1)
    boxes = torch.tensor([[0.0, 0, 45, 36], [3.7, 5.2, 20.1, 9.9], [44, 35, 45, 36]])
    rows = torch.tensor([0, 2, 1])
    size = 4
    expected = torch.zeros(3, size, size)
    for r, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        for y in range(2 * size):
            for x in range(2 * size):
                py = int(y0 + (y + 0.5) / (2 * size) * (y1 - y0))
                px = int(x0 + (x + 0.5) / (2 * size) * (x1 - x0))
                expected[r, y // 2, x // 2] += float(instances[py, px] == rows[r]) / 4
    assert torch.equal(crop_targets(instances, boxes, rows, size), (expected >= 0.5).float())


def test_crop_targets_and_paste_undo_each_other() -> None:
    ys, xs = torch.meshgrid(torch.arange(200), torch.arange(300), indexing="ij")
    disc = ((ys - 90.5) ** 2 / 60**2 + (xs - 140.5) ** 2 / 100**2) < 1
    instances = torch.where(disc, 0, VOID)
    box = torch.tensor([[40.0, 30, 241, 151]])
    target = crop_targets(instances, box, torch.tensor([0]), 28)
    window, mask = paste_full(target[0], box[0], 200, 300, 0.5)
    found = torch.zeros(200, 300, dtype=torch.bool)
    found[window] = torch.from_numpy(mask)
    assert (found & disc).sum() / (found | disc).sum() > 0.97
    offset = found.nonzero().float().mean(0) - disc.nonzero().float().mean(0)
    assert offset.abs().max() < 0.3


def test_crop_targets_of_nothing() -> None:
    found = crop_targets(torch.zeros(8, 8).long(), torch.zeros(0, 4), torch.zeros(0).long(), 28)
    assert found.shape == (0, 28, 28)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
@example(1, 26, 1, 11)
@settings(max_examples=40, deadline=None)
def test_reduce_labels_equals_nearest_exact(height: int, width: int, h: int, w: int) -> None:
    labels = torch.arange(height * width).reshape(height, width)
    found = reduce_labels(labels, h, w)
    rows, columns = ([(Fraction(2 * i + 1, 2) * n / k) for i in range(k)] for n, k in ((height, h), (width, w)))
    assert found.tolist() == [[math.floor(y) * width + math.floor(x) for x in columns] for y in rows]
    expected = F.interpolate(labels[None, None].double(), (h, w), mode="nearest-exact")[0, 0].long()
    # Where a centre lies on the border of two pixels (26 columns to 11: 5.5 * 26 / 11 = 13), torch's rounded factor may
    # take the one before.
    clear = torch.tensor([[y.denominator > 1 and x.denominator > 1 for x in columns] for y in rows])
    assert torch.equal(found[clear], expected[clear])


def test_reduce_labels_does_not_shift_the_map() -> None:
    ys = torch.arange(64)[:, None].expand(64, 64)
    assert (reduce_labels(ys, 16, 16)[:, 0].double() + 0.5).mean() == 32.5  # centres of cells, rounded up
    assert F.interpolate(ys[None, None].double(), (16, 16), mode="nearest")[0, 0].mean() == 30


def test_reduce_labels_keeps_ids_that_floats_would_round() -> None:
    labels = torch.full((8, 8), 2**24 + 1)
    assert reduce_labels(labels, 2, 2).eq(2**24 + 1).all()
