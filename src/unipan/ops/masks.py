"""Masks between the m x m grid of their box, the 1/stride grid of the network and the image."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from unipan.ops.boxes import inside, inside_axis


def paste(
    masks: Float[Tensor, "D m m"], boxes: Float[Tensor, "D 4"], height: int, width: int, stride: int | float
) -> Float[Tensor, "D h w"]:
    """Lay each m x m mask into its box on a grid: bilinear, half-pixel centres, zero outside the box.

    Bilinear interpolation is separable, so it is two small matrix products per mask: no D x h x w x 2 table of
    sampling positions, and a gradient in `masks` that is two products again. Boxes carry none.

    Args:
        masks: probabilities or logits; beyond the outermost centres the border value is kept.
        boxes: in pixels of the image.
        height: of the grid, in cells.
        width: of the grid, in cells.
        stride: pixels per cell.
    """
    boxes = boxes.detach().to(masks.dtype if masks.dtype == torch.float64 else torch.float32)
    cells = masks.shape[-1]
    rows = _interpolation(boxes[:, 1], boxes[:, 3], _centres(0, height, stride, boxes), cells)
    columns = _interpolation(boxes[:, 0], boxes[:, 2], _centres(0, width, stride, boxes), cells)
    rows = rows * inside_axis(boxes[:, 1], boxes[:, 3], height, stride)[:, :, None]
    columns = columns * inside_axis(boxes[:, 0], boxes[:, 2], width, stride)[:, :, None]
    # bf16 would round the positions within a cell to a few steps.
    with torch.autocast(masks.device.type, enabled=False):
        return rows @ masks.to(boxes.dtype) @ columns.transpose(1, 2)


def paste_whole(
    masks: Float[Tensor, "D a b"], boxes: Float[Tensor, "D 4"], height: int, width: int, stride: int | float
) -> Float[Tensor, "D h w"]:
    """As `paste`, for masks that lie on the whole grid, at any resolution: bilinear, and zero outside the box."""
    masks = masks if masks.dtype == torch.float64 else masks.float()
    if len(masks) == 0:  # F.interpolate refuses them
        return masks[:, :1, :1].expand(0, height, width)
    if masks.shape[1:] != (height, width):
        masks = F.interpolate(masks[None], (height, width), mode="bilinear", align_corners=False)[0]
    return masks * inside(boxes.detach(), height, width, stride)


def paste_full(
    mask: Float[Tensor, "a b"],
    box: Float[Tensor, " 4"],
    height: int,
    width: int,
    threshold: int | float,
    whole: bool = False,
) -> tuple[tuple[slice, slice], Bool[np.ndarray, "c d"]]:
    """Where one mask reaches `threshold` at the image's size, computed within its box alone.

    Args:
        mask: probabilities or logits, in the unit of `threshold`.
        box: in pixels of the image.
        height: of the image.
        width: of the image.
        threshold: the least value of a pixel of the mask.
        whole: whether the mask lies on the whole image, not in the box.

    Returns:
        The box's window of the image and the mask in it: `image[window][mask]`. A box without a pixel centre in
        the image gives an empty window.
    """
    window, values = paste_window(mask, box, height, width, whole)
    return window, (values >= threshold).numpy()


def paste_window(
    mask: Float[Tensor, "a b"], box: Float[Tensor, " 4"], height: int, width: int, whole: bool = False
) -> tuple[tuple[slice, slice], Float[Tensor, "c d"]]:
    """One mask at the image's size, within its box alone: the values behind `paste_full`, on the CPU."""
    mask, box = mask.detach().float().cpu(), box.detach().float().cpu()
    x0, y0, x1, y1 = box.tolist()
    window = (_span(y0, y1, height), _span(x0, x1, width))
    spanned = box.new_tensor([0, 0, width, height]) if whole else box
    rows = _interpolation(spanned[1:2], spanned[3:4], _centres(window[0].start, window[0].stop, 1, box), mask.shape[0])
    columns = _interpolation(
        spanned[0:1], spanned[2:3], _centres(window[1].start, window[1].stop, 1, box), mask.shape[1]
    )
    return window, rows[0] @ mask @ columns[0].T


def crop_targets(
    instances: Int[Tensor, "H W"], boxes: Float[Tensor, "R 4"], rows: Int[Tensor, " R"], size: int
) -> Float[Tensor, "R m m"]:
    """What the mask head should say in each box: 1 where at least half of a cell shows the box's own thing.

    A cell is looked at in four points, so nothing of size N x H x W is built.

    Args:
        instances: for each pixel the row of its thing, VOID elsewhere.
        boxes: inside the image, in pixels.
        rows: the thing that each box is matched to, >= 0.
        size: m, cells per side.
    """
    height, width = instances.shape
    steps = (torch.arange(2 * size, device=boxes.device) + 0.5) / (2 * size)
    xs = boxes[:, 0, None] + steps * (boxes[:, 2] - boxes[:, 0])[:, None]
    ys = boxes[:, 1, None] + steps * (boxes[:, 3] - boxes[:, 1])[:, None]
    columns = xs.floor().long().clamp(0, width - 1)
    lines = ys.floor().long().clamp(0, height - 1)
    own = instances[lines[:, :, None], columns[:, None, :]] == rows[:, None, None]
    quarters = own.float().view(len(boxes), size, 2, size, 2)
    return (quarters.mean((2, 4)) >= 0.5).float()


def reduce_labels(labels: Int[Tensor, "H W"], height: int, width: int) -> Int[Tensor, "h w"]:
    """A label map on a coarser grid: each cell takes the label at its centre.

    The same pixels as `F.interpolate(mode="nearest-exact")`, without its detour through floats (which may round a
    centre on the border of two pixels down); `nearest` takes each cell's corner, which shifts the map by half a cell.
    """
    rows = (2 * torch.arange(height, device=labels.device) + 1) * labels.shape[0] // (2 * height)
    columns = (2 * torch.arange(width, device=labels.device) + 1) * labels.shape[1] // (2 * width)
    return labels[rows[:, None], columns]


def _centres(start: int, stop: int, stride: int | float, like: Tensor) -> Float[Tensor, " n"]:
    return (torch.arange(start, stop, device=like.device, dtype=like.dtype) + 0.5) * stride


def _interpolation(
    start: Float[Tensor, " D"], end: Float[Tensor, " D"], centres: Float[Tensor, " n"], cells: int
) -> Float[Tensor, "D n m"]:
    """How much each of `cells` cells between start and end counts at each centre (two of them, sum 1)."""
    length = (end - start).clamp(min=1e-3)[:, None]
    position = ((centres - start[:, None]) / length * cells - 0.5).clamp(0, cells - 1)
    index = torch.arange(cells, device=centres.device, dtype=centres.dtype)
    return (1 - (position[:, :, None] - index).abs()).clamp(min=0)


def _span(start: float, end: float, length: int) -> slice:
    """The pixels whose centres lie in [start, end), cut to 0..length."""
    first = min(max(math.ceil(start - 0.5), 0), length)
    return slice(first, min(max(math.ceil(end - 0.5), first), length))
