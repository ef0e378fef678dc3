"""The outlines of segments as polygons, and as GeoJSON.

A polygon runs along the edges of pixels: that in column x and row y is the square from (x, y) to (x + 1, y + 1). So its
area is the segment's number of pixels, and a line one pixel wide is a polygon too. Contours through the centres of
pixels, as OpenCV's `findContours` gives, are half a pixel too small on every side and have no area in a thin segment.
"""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Int64

from unipan.panoptic.maps import PanopticMap, Segment

Ring = Int64[np.ndarray, "N 2"]
"""x, y of the corners, without the first one again."""
_STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
"""dx, dy of the four directions; the next one is a turn to the left, counted with y upwards."""


def segment_polygons(panoptic: PanopticMap, segment: Segment) -> list[list[Ring]]:
    """The polygons of a segment, one for each part whose pixels share sides.

    Returns:
        for each part its outline, then its holes. Coordinates are pixels, (0, 0) is the upper left corner of the image.
        Outlines are counterclockwise and holes clockwise as RFC 7946 wants it, for an axis y that points upwards.
    """
    x, y, width, height = segment.bbox
    rings = _rings(panoptic.ids[y : y + height, x : x + width] == segment.id)
    return [[ring + np.array([x, y]) for ring in part] for part in rings]


def to_geojson(panoptic: PanopticMap, name: str = "image") -> dict[str, Any]:
    """All segments as a GeoJSON FeatureCollection (RFC 7946), with the properties that QuPath reads.

    Coordinates are pixels instead of degrees, with (0, 0) in the upper left corner and y downwards.

    Args:
        panoptic: the map.
        name: of the image.
    """
    return {"type": "FeatureCollection", "name": name, "features": [_feature(panoptic, each) for each in panoptic]}


def _feature(panoptic: PanopticMap, segment: Segment) -> dict[str, Any]:
    parts = [[[*ring.tolist(), ring[0].tolist()] for ring in part] for part in segment_polygons(panoptic, segment)]
    single = len(parts) == 1
    return {
        "type": "Feature",
        "id": segment.id,
        "geometry": {"type": "Polygon" if single else "MultiPolygon", "coordinates": parts[0] if single else parts},
        "properties": {
            "objectType": "annotation",  # QuPath's; so are `name`, `classification` and `measurements`
            "name": f"{segment.category.name} {segment.id}",
            "classification": {"name": segment.category.name, "color": list(segment.category.color)},
            "measurements": {"score": round(segment.score, 4)},
            "category_id": segment.category.id,
            "isthing": segment.isthing,
            "score": round(segment.score, 4),
            "area": segment.area,
            "bbox": list(segment.bbox),
        },
    }


def _rings(mask: Bool[np.ndarray, "H W"]) -> list[list[Ring]]:
    """The rings of each part of a mask: the sides between pixels inside and outside, chained head to tail."""
    padded = np.pad(mask, 1)
    _, parts = cv2.connectedComponents(padded.astype(np.uint8), connectivity=4)
    width = mask.shape[1] + 1
    corners = (mask.shape[0] + 1) * width
    keys, pixels = _inner_sides(padded, parts, width, corners)
    order = np.argsort(keys)
    keys, pixels = keys[order], pixels[order]
    following = np.searchsorted(keys, _following_sides(keys, parts, width, corners)).tolist()
    found: list[list[Ring]] = [[] for _ in range(int(parts.max()))]
    free = np.ones(len(keys), bool)
    for start in range(len(keys)):
        if not free[start]:
            continue
        ring, side = [start], following[start]
        while side != start:
            ring.append(side)
            side = following[side]
        chain = np.array(ring)
        free[chain] = False
        directions, places = np.divmod(keys[chain], corners)
        turns = directions != np.roll(directions, 1)
        rows, columns = np.divmod(places[turns], width)
        part, points = found[int(pixels[start]) - 1], np.stack([columns, rows], 1)
        if _doubled_area(points) > 0:  # counterclockwise: the outline; the others are holes
            part.insert(0, points)
        else:
            part.append(points)
    return found


def _inner_sides(
    padded: Bool[np.ndarray, "I J"], parts: np.ndarray, width: int, corners: int
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Every side with the inside to its left: its key, direction * corners + the corner it starts at, and its part."""
    inside, inner = padded[1:-1, 1:-1], parts[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    starts = ((0, 0), (0, 1), (1, 1), (1, 0))  # row and column of the corner, from the pixel's own
    keys, owners = [], []
    for direction, (outside, (down, right)) in enumerate(zip(neighbours, starts, strict=True)):
        rows, columns = np.nonzero(inside & ~outside)
        keys.append(direction * corners + (rows + down) * width + columns + right)
        owners.append(inner[rows, columns].astype(np.int64))
    return np.concatenate(keys), np.concatenate(owners)


def _following_sides(
    keys: Int64[np.ndarray, " N"], parts: np.ndarray, width: int, corners: int
) -> Int64[np.ndarray, " N"]:
    """The key of the side after each.

    Where two pixels meet in a corner only, four sides do. If the two belong to one part, their sides are chained around
    the pixel outside, which makes two rings that touch; otherwise around each pixel, which keeps the parts apart. So no
    ring crosses or touches itself.
    """
    directions, places = np.divmod(keys, corners)
    rows, columns = np.divmod(places, width)
    dx, dy = _STEPS[directions].T
    rows, columns = rows + dy, columns + dx
    # The four pixels around the corner, in `parts` with its margin of one.
    upper_left, upper_right = parts[rows, columns], parts[rows, columns + 1]
    lower_left, lower_right = parts[rows + 1, columns], parts[rows + 1, columns + 1]
    falling = (upper_left > 0) & (lower_right > 0) & (upper_right == 0) & (lower_left == 0)
    rising = (upper_right > 0) & (lower_left > 0) & (upper_left == 0) & (lower_right == 0)
    joined = (falling & (upper_left == lower_right)) | (rising & (upper_right == lower_left))
    # Of the pixels ahead, the one to the left and the one to the right decide where the outline turns.
    around = np.stack([lower_right, lower_left, upper_left, upper_right]) > 0  # to the left of directions 0, 1, 2, 3
    each = np.arange(len(keys))
    left, right = around[directions, each], around[(directions - 1) % 4, each]
    turn = np.where(left, np.where(right, -1, 0), 1)
    turn = np.where(falling | rising, np.where(joined, -1, 1), turn)
    return np.asarray(((directions + turn) % 4) * corners + rows * width + columns)


def _doubled_area(points: Ring) -> int:
    x, y = points.T
    return int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
