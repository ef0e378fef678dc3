"""Bilinear sampling in NumPy: maps of a grid at the pixels of the image, masks in their boxes, argmax of many maps.

The same sampling as `fusion.argmax`, `ops.masks` and `ops.boxes`: half-pixel centres, clamped at the border.

Legend: D detections, K channels, h w the grid, H W the pixels that are asked for.
"""

import math
from dataclasses import dataclass

import numpy as np

from unipan.arrays import Float, Int64

AT_ONCE = 4_000_000
"""Interpolated values that exist at once, whatever the image's size."""


Covered = tuple[int | float, int | float] | None
"""Rows and columns of cells that the image covers, where they are not all: an image need not end with a cell."""


@dataclass(frozen=True)
class Between:
    """Where points lie between the cells of one axis.

    Attributes:
        low, high: for each point the cells whose centres lie before and after it.
        weight: share of `high`, 0..1.
    """

    low: Int64[np.ndarray, " n"]
    high: Int64[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]

    def __getitem__(self, span: slice) -> "Between":
        return Between(self.low[span], self.high[span], self.weight[span])

    @classmethod
    def at(cls, places: Float[np.ndarray, " n"], cells: int) -> "Between":
        """Points whose places are given in cells, 0 at the first centre."""
        places = places.clip(0, cells - 1)
        low = np.floor(places).astype(np.int64)
        return cls(low, np.minimum(low + 1, cells - 1), (places - low).astype(np.float32))

    @classmethod
    def resized(cls, cells: int, pixels: int, covered: int | float | None = None) -> "Between":
        """The pixels of a side that `cells` cells cover, or the first `covered` of them."""
        return cls.at((np.arange(pixels) + 0.5) * ((covered or cells) / pixels) - 0.5, cells)


def sampled(values: Float[np.ndarray, "*k h w"], rows: Between, columns: Between) -> Float[np.ndarray, "*k a b"]:
    """Maps at the crossings of rows and columns."""
    across = rows.weight[:, None]
    tall = values[..., rows.low, :] * (1 - across) + values[..., rows.high, :] * across
    return np.asarray(tall[..., columns.low] * (1 - columns.weight) + tall[..., columns.high] * columns.weight)


def resampled(
    values: Float[np.ndarray, "*k h w"], height: int, width: int, covered: Covered = None
) -> Float[np.ndarray, "*k H W"]:
    """Maps at another size; the same array if it is theirs."""
    rows, columns = values.shape[-2:]
    if (rows, columns) == (height, width) and covered in (None, (rows, columns)):
        return values
    return sampled(values, *_both_axes((rows, columns), (height, width), covered))


def _both_axes(cells: tuple[int, int], size: tuple[int, int], covered: Covered) -> tuple[Between, Between]:
    rows, columns = map(Between.resized, cells, size, covered or cells)
    return rows, columns


def winners(
    channels: Float[np.ndarray, "K h w"], height: int, width: int, covered: Covered = None
) -> Int64[np.ndarray, "H W"]:
    """The argmax over the channels, upsampled bilinearly, without ever holding K x H x W values.

    As in `fusion.argmax`: what wins in all four cells around a pixel wins there too, so only the other pixels are
    interpolated.
    """
    best = np.asarray(channels.argmax(0))
    cells = channels.shape[1], channels.shape[2]
    if cells == (height, width) and covered in (None, cells):
        return best
    rows, columns = _both_axes(cells, (height, width), covered)
    upper, lower = best[rows.low], best[rows.high]
    result: Int64[np.ndarray, "H W"] = upper[:, columns.low]
    agree = (upper == lower)[:, columns.low] & (result == upper[:, columns.high]) & (result == lower[:, columns.high])
    y, x = np.nonzero(~agree)
    step = max(AT_ONCE // len(channels), 1)
    for start in range(0, len(y), step):
        i, j = y[start : start + step], x[start : start + step]
        across, down = columns.weight[j], rows.weight[i]
        left, right = columns.low[j], columns.high[j]
        top = channels[:, rows.low[i], left] * (1 - across) + channels[:, rows.low[i], right] * across
        bottom = channels[:, rows.high[i], left] * (1 - across) + channels[:, rows.high[i], right] * across
        result[i, j] = (top * (1 - down) + bottom * down).argmax(0)
    return result


def cells_inside(box: Float[np.ndarray, " 4"], height: int, width: int) -> tuple[slice, slice]:
    """The cells whose centres lie in a box, and at least one: that of its middle (`ops.boxes.inside`)."""
    window = pixels_inside(box, height, width)
    (x0, y0, x1, y1), (rows, columns) = box.tolist(), window
    return _or_middle(rows, (y0 + y1) / 2, height), _or_middle(columns, (x0 + x1) / 2, width)


def _or_middle(span: slice, middle: float, length: int) -> slice:
    if span.start < span.stop:
        return span
    cell = min(max(math.floor(middle), 0), length - 1)
    return slice(cell, cell + 1)


def pixels_inside(box: Float[np.ndarray, " 4"], height: int, width: int) -> tuple[slice, slice]:
    """The pixels of an image whose centres lie in a box; there may be none."""
    x0, y0, x1, y1 = box.tolist()
    return _centres_between(y0, y1, height), _centres_between(x0, x1, width)


def _centres_between(start: float, end: float, length: int) -> slice:
    """Those in [start, end), cut to 0..length."""
    first = min(max(math.ceil(start - 0.5), 0), length)
    return slice(first, min(max(math.ceil(end - 0.5), first), length))


def in_box(
    mask: Float[np.ndarray, "a b"], box: Float[np.ndarray, " 4"], window: tuple[slice, slice]
) -> Float[np.ndarray, "c d"]:
    """A mask that fills a box, at the cells of a window (`ops.masks.paste`)."""
    x0, y0, x1, y1 = box
    ends = ((y0, y1, window[0]), (x0, x1, window[1]))
    rows, columns = (
        Between.at(
            (np.arange(span.start, span.stop, dtype=np.float32) + np.float32(0.5) - start)
            / max(end - start, np.float32(1e-3))
            * cells
            - np.float32(0.5),
            cells,
        )
        for (start, end, span), cells in zip(ends, mask.shape, strict=True)
    )
    return sampled(mask, rows, columns)


def winners_lead(
    channels: Float[np.ndarray, "K h w"], height: int, width: int, covered: Covered = None
) -> Float[np.ndarray, "H W"]:
    """The best minus the second best channel at every pixel (`fusion.margin.channel_margin`); infinite for one."""
    found = np.full((height, width), np.inf, np.float32)
    if len(channels) < 2:
        return found
    rows, columns = _both_axes((channels.shape[1], channels.shape[2]), (height, width), covered)
    step = max(AT_ONCE // (len(channels) * width), 1)
    for start in range(0, height, step):
        span = slice(start, start + step)
        second, best = np.partition(sampled(channels, rows[span], columns), -2, axis=0)[-2:]
        found[span] = best - second
    return found


def require_pixel(x: int, y: int, size: tuple[int, int], name: str) -> None:
    """Raises ValueError if a pixel lies outside an image of a size (H, W)."""
    height, width = size
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(
            f"affinity: pixel ({x}, {y}) lies outside {name}, which is {width} x {height}; "
            f"x goes from 0 to {width - 1}, y from 0 to {height - 1}"
        )
