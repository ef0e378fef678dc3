"""Pixels of polygons, boxes, ellipses and masks, each cut to its own window of the image.

One rule for all formats: a point (x, y) lies on a grid whose lines are the edges of pixels, so (0, 0) is the top left
corner of the image and (W, H) the bottom right one. Polygons are filled as pycocotools fills them; of a box and an
ellipse a pixel belongs to it if its centre does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, isfinite, radians, sin

import numpy as np

from unipan.arrays import Bool

Size = tuple[int, int]
"""Height and width."""
Points = Sequence[tuple[float, float]]
"""Corners (x, y) in pixels."""

_FAR = 10
"""Polygons are clipped where they are so many sides of the image away from it."""
_MARGIN = 2  # pixels of a window around a polygon, so that its corners round as they would in the whole image


@dataclass(frozen=True)
class PixelRegion:
    """Some pixels of an image.

    Attributes:
        top, left: where the window begins.
        mask: the pixels in the window.
    """

    top: int
    left: int
    mask: Bool[np.ndarray, "h w"]

    @property
    def area(self) -> int:
        """The number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the window, to index an image."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def full(self, size: Size) -> Bool[np.ndarray, "H W"]:
        """The mask at the size of the image."""
        pixels = np.zeros(size, bool)
        pixels[self.window] = self.mask
        return pixels


def region_of_mask(mask: Bool[np.ndarray, "H W"], top: int = 0, left: int = 0) -> PixelRegion:
    """A mask cut to the pixels that are set; (top, left) is where the mask itself lies."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return PixelRegion(top, left, np.zeros((0, 0), bool))
    y, x = int(rows[0]), int(columns[0])
    return PixelRegion(top + y, left + x, np.ascontiguousarray(mask[y : rows[-1] + 1, x : columns[-1] + 1]))


def region_of_patch(patch: Bool[np.ndarray, "h w"], top: int, left: int, size: Size) -> PixelRegion:
    """A mask that lies at (top, left) of an image, clipped to the image."""
    y, x = max(0, -top), max(0, -left)
    inside = patch[y : max(size[0] - top, 0), x : max(size[1] - left, 0)]
    return region_of_mask(inside, top + y, left + x)


def region_of_polygons(polygons: Iterable[Points], size: Size) -> PixelRegion:
    """The union of polygons, clipped to the image; each has at least three corners. The parts of one object are one.

    Raises:
        ValueError: a coordinate that is not a number.
    """
    from faster_coco_eval.core import mask as decoder

    parts = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    corners = np.concatenate(parts) if parts else np.zeros((0, 2))
    if not np.isfinite(corners).all():
        raise ValueError("a corner is not a number")
    if not len(corners):
        return PixelRegion(0, 0, np.zeros((0, 0), bool))
    reach = float(_FAR * (max(size) + 100))
    if np.abs(corners).max() > reach:  # the decoder walks along every edge
        parts = [cut for part in parts if len(cut := _clipped(part, reach))]
        if not parts:
            return PixelRegion(0, 0, np.zeros((0, 0), bool))
        corners = np.concatenate(parts)
    low = np.clip(np.floor(corners.min(axis=0)) - _MARGIN, 0, (size[1], size[0])).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + _MARGIN, 0, (size[1], size[0])).astype(int)
    width, height = (int(side) for side in high - low)
    if width < 1 or height < 1:
        return PixelRegion(0, 0, np.zeros((0, 0), bool))
    flat = [(part - low).reshape(-1).tolist() for part in parts]
    encoded = decoder.merge(decoder.frPyObjects(flat, height, width))
    mask = np.asarray(decoder.decode(encoded), bool).reshape(height, width)
    return region_of_mask(mask, int(low[1]), int(low[0]))


def _clipped(corners: np.ndarray, reach: float) -> np.ndarray:
    """The part of a polygon within -reach..reach on both axes (Sutherland and Hodgman 1974)."""
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            distance = reach - sign * corners[:, axis]  # not below 0: inside
            kept = []
            for here in range(len(corners)):
                before = here - 1
                if (distance[before] < 0) != (distance[here] < 0):
                    share = distance[before] / (distance[before] - distance[here])
                    crossing = corners[before] + share * (corners[here] - corners[before])
                    crossing[axis] = sign * reach  # exactly: numbers of 30 digits have no others left
                    kept.append(crossing)
                if distance[here] >= 0:
                    kept.append(corners[here])
            corners = np.asarray(kept, np.float64).reshape(-1, 2)
    return corners


def region_of_box(left: float, top: float, right: float, bottom: float, size: Size, angle: float = 0.0) -> PixelRegion:
    """A box, clipped to the image.

    Args:
        left, top, right, bottom: its edges in pixels, before it is turned.
        size: of the image.
        angle: by which it is turned about its centre, in degrees, clockwise on the screen.
    """
    if angle % 360:
        x, y = (left + right) / 2, (top + bottom) / 2
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return region_of_polygons([[turned(*corner, x, y, angle) for corner in corners]], size)
    if not all(isfinite(edge) for edge in (left, top, right, bottom)):
        raise ValueError("an edge of the box is not a number")
    x0, x1 = (min(max(ceil(edge - 0.5), 0), size[1]) for edge in sorted((left, right)))
    y0, y1 = (min(max(ceil(edge - 0.5), 0), size[0]) for edge in sorted((top, bottom)))
    return PixelRegion(y0, x0, np.ones((y1 - y0, x1 - x0), bool))


def region_of_ellipse(x: float, y: float, rx: float, ry: float, size: Size, angle: float = 0.0) -> PixelRegion:
    """An ellipse about (x, y) with these radii, turned clockwise by `angle` degrees, clipped to the image."""
    if not all(isfinite(value) for value in (x, y, rx, ry, angle)):
        raise ValueError("a number of the ellipse is not finite")
    reach = max(abs(rx), abs(ry))
    if not isfinite(abs(x) + abs(y) + reach):
        raise ValueError("a number of the ellipse is too large")
    x0, x1 = max(floor(x - reach), 0), min(ceil(x + reach), size[1])
    y0, y1 = max(floor(y - reach), 0), min(ceil(y + reach), size[0])
    if x0 >= x1 or y0 >= y1 or not rx or not ry:
        return PixelRegion(0, 0, np.zeros((0, 0), bool))
    across, down = np.meshgrid(np.arange(x0, x1) + 0.5 - x, np.arange(y0, y1) + 0.5 - y)
    c, s = cos(radians(angle)), sin(radians(angle))
    mask = ((c * across + s * down) / rx) ** 2 + ((c * down - s * across) / ry) ** 2 <= 1
    return region_of_mask(mask, y0, x0)


def turned(x: float, y: float, about_x: float, about_y: float, angle: float) -> tuple[float, float]:
    """A point turned about another, clockwise on the screen, whose y axis points down."""
    c, s = cos(radians(angle)), sin(radians(angle))
    return about_x + c * (x - about_x) - s * (y - about_y), about_y + s * (x - about_x) + c * (y - about_y)


def bits_of_runs(counts: Sequence[int], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """A mask from lengths of runs, row after row, zeros first. Raises ValueError if they do not fill it."""
    lengths = np.asarray(counts, np.int64)
    if (lengths < 0).any() or int(lengths.sum()) != height * width:
        raise ValueError(f"its runs have {int(lengths.sum())} pixels, not {height} x {width}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
