"""Cells in boxes against a loop over cells; tight boxes against torchvision."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_iou as torchvision_iou
from torchvision.ops import masks_to_boxes

from unipan.ops.boxes import box_iou, boxes_of, inside
from unipan.panoptic.maps import VOID

GRID = (6, 9)
corner = st.floats(-20, 60, width=32)


@given(corner, corner, st.floats(0, 30, width=32), st.floats(0, 30, width=32))
@settings(max_examples=40, deadline=None)
def test_inside_is_the_cells_whose_centre_lies_in_the_box(x0: float, y0: float, width: float, height: float) -> None:
    box = torch.tensor([[x0, y0, x0 + width, y0 + height]])
    left, top, right, bottom = box[0].tolist()
    cells = inside(box, *GRID, 4.0)[0]
    rows = [y for y in range(GRID[0]) if top <= (y + 0.5) * 4 < bottom]
    columns = [x for x in range(GRID[1]) if left <= (x + 0.5) * 4 < right]
    assert cells.any()
    if rows and columns:
        assert cells.nonzero().tolist() == [[y, x] for y in rows for x in columns]


def test_a_box_between_centres_takes_the_cell_of_its_middle() -> None:
    boxes = torch.tensor([[10.5, 4.1, 11.5, 5.0], [2.5, 0, 5.5, 24], [-9, -9, -8, -8], [99, 99, 100, 100]])
    cells = inside(boxes, *GRID, 4.0)
    assert cells[0].nonzero().tolist() == [[1, 2]]
    assert cells[1].nonzero()[:, 1].tolist() == [1] * 6
    assert cells[2].nonzero().tolist() == [[0, 0]]
    assert cells[3].nonzero().tolist() == [[5, 8]]


def test_neighbouring_boxes_share_no_cell() -> None:
    cells = inside(torch.tensor([[0.0, 0, 18, 24], [18, 0, 36, 24]]), *GRID, 4.0)
    assert cells.sum(0).eq(1).all()


def test_inside_of_no_box_is_empty() -> None:
    assert inside(torch.zeros(0, 4), *GRID, 4.0).shape == (0, *GRID)


def random_instances(seed: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOID, count, (13, 17), generator=generator)


def test_boxes_of_equals_torchvision_with_exclusive_ends() -> None:
    instances = torch.full((40, 50), VOID)
    for row, (y, x, h, w) in enumerate([(7, 4, 1, 1), (0, 0, 5, 50), (20, 30, 20, 20), (10, 8, 9, 3)]):
        instances[y : y + h, x : x + w] = row
    masks = instances == torch.arange(4)[:, None, None]
    expected = masks_to_boxes(masks) + torch.tensor([0, 0, 1, 1])
    assert torch.equal(boxes_of(instances, 4), expected)
    assert torch.equal(boxes_of(instances.int(), 4), expected)


@given(st.integers(0, 1000), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_boxes_of_leaves_rows_beyond_count_and_void_out(seed: int, count: int) -> None:
    instances = random_instances(seed, 5)
    assert torch.equal(boxes_of(instances, count), boxes_of(instances, 5)[:count])


def test_rows_without_pixels_get_zeros() -> None:
    instances = torch.full((4, 4), VOID)
    instances[2, 3] = 1
    assert boxes_of(instances, 3).tolist() == [[0, 0, 0, 0], [3, 2, 4, 3], [0, 0, 0, 0]]
    assert boxes_of(instances, 0).shape == (0, 4)


def test_box_iou_is_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 40, 2, 2, generator=generator).mul(20).round() / 2  # rounded, so that some only touch
    one, other = (torch.cat([each.amin(1), each.amax(1)], 1) for each in corners)
    expected = torchvision_iou(one, other)
    torch.testing.assert_close(box_iou(one, other), expected, rtol=0, atol=0, equal_nan=True)
    assert box_iou(one, other[:0]).shape == (40, 0)
