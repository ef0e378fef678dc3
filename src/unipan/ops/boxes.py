"""Boxes x0 y0 x1 y1 in pixels, the ends exclusive: a box of one pixel is 1 wide."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def inside(boxes: Float[Tensor, "D 4"], height: int, width: int, stride: int | float) -> Bool[Tensor, "D h w"]:
    """Which cells of a grid lie in each box: those whose centre does, and at least one.

    Args:
        boxes: in pixels of the image; parts outside the grid are cut off.
        height: of the grid, in cells.
        width: of the grid, in cells.
        stride: pixels per cell; cell x has its centre at (x + .5) * stride.
    """
    rows = inside_axis(boxes[:, 1], boxes[:, 3], height, stride)
    columns = inside_axis(boxes[:, 0], boxes[:, 2], width, stride)
    return rows[:, :, None] & columns[:, None, :]


def inside_axis(
    start: Float[Tensor, " D"], end: Float[Tensor, " D"], length: int, stride: int | float
) -> Bool[Tensor, "D n"]:
    """`inside` along one axis of `length` cells; a span between two centres takes the cell of its middle."""
    cells = torch.arange(length, device=start.device)
    centres = (cells + 0.5) * stride
    hit = (centres >= start[:, None]) & (centres < end[:, None])
    middle = ((start + end) / (2 * stride)).floor().clamp(0, length - 1)
    return hit | (~hit.any(1, keepdim=True) & (cells == middle[:, None]))


def boxes_of(instances: Int[Tensor, "H W"], count: int) -> Float[Tensor, "N 4"]:
    """Tight boxes of the rows 0..count-1 of an instance map; a row without pixels gets zeros.

    Every other value of the map (VOID, rows >= count) is ignored.
    """
    height, width = instances.shape
    device = instances.device
    # One bin more than rows takes everything that belongs to none.
    bins = torch.where((instances >= 0) & (instances < count), instances, count).long().flatten()
    ys = torch.arange(height, device=device).repeat_interleave(width)
    xs = torch.arange(width, device=device).repeat(height)
    empty = bins.new_zeros(count + 1)
    start = [empty.scatter_reduce(0, bins, axis, "amin", include_self=False) for axis in (xs, ys)]
    end = [empty.scatter_reduce(0, bins, axis + 1, "amax", include_self=False) for axis in (xs, ys)]
    return torch.stack(start + end, dim=1)[:count].float()


def box_iou(one: Float[Tensor, "D 4"], other: Float[Tensor, "N 4"]) -> Float[Tensor, "D N"]:
    """IoU of every pair of boxes x0 y0 x1 y1, as torchvision computes it; two boxes without area have none (NaN)."""
    start = torch.maximum(one[:, None, :2], other[None, :, :2])
    end = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (end - start).clamp(min=0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (one, other)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)
