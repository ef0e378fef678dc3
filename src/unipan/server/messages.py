"""What goes to the browser: maps, margins and affinities as arrays behind a JSON header, in one piece.

A message is the length of the header (4 bytes, little-endian), the header, and the arrays; header and arrays are padded
to 4 bytes. The header's `arrays` tell of each array its type, shape (height, width) and first byte after the header.
"""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from unipan.arrays import Float32
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import Segment
from unipan.result import PanopticResult
from unipan.server.scenes import EditableScene, PageBox, with_boxes
from unipan.visualization.margin_picture import margin_limit
from unipan.visualization.palette import Color, instance_color

GZIP_FROM = 1 << 16
"""Bytes: smaller messages are not worth it."""
AFFINITY_PIXELS = 1_000_000
"""Affinities are sent at no more; they are interpolated from a coarser grid anyway."""
AFFINITY_STEPS = 32767
"""Of affinities from 0 to the largest."""


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """A message of a header and arrays."""
    parts, places, offset = [], {}, 0
    for name, array in arrays.items():
        data = array.tobytes()
        places[name] = {"type": array.dtype.name, "shape": array.shape, "offset": offset}
        parts.append(data + bytes(-len(data) % 4))
        offset += len(parts[-1])
    text = json.dumps({**header, "arrays": places}, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def squeezed(message: bytes) -> bytes:
    """The message as gzip; level 1, since maps are mostly runs."""
    return gzip.compress(message, 1)


def maps_message(
    scene: EditableScene, boxes: list[PageBox], fusions: list[str], margin: bool, categories: Categories
) -> bytes:
    """The maps of one set of boxes by several fusions, with the margin of the first one if it is wanted.

    Raises:
        ValueError: boxes or a fusion that this network cannot take.
    """
    edited = with_boxes(scene, boxes)
    arrays: dict[str, np.ndarray] = {}
    header: dict[str, Any] = {"maps": {}}
    for fusion in dict.fromkeys(fusions):
        result = edited.result(fusion)
        arrays[fusion] = result.ids.astype(np.uint16)
        header["maps"][fusion] = segment_rows(result, boxes, categories)
        if margin and result.find_margin is not None and "margin" not in arrays:
            header["margin"] = limit = margin_limit(result.margin)
            arrays["margin"] = np.rint(np.clip(result.margin / (limit or 1.0), 0, 1) * 255).astype(np.uint8)
    return pack(header, arrays)


def segment_rows(result: PanopticResult, boxes: list[PageBox], categories: Categories) -> list[dict[str, Any]]:
    """The segments of a map, each with its class, its colour and the box that it comes from."""
    owners = box_of_segments(result, boxes, categories)
    rows = []
    for segment in result:
        owner = owners.get(segment.id)
        rows.append(
            {
                "id": segment.id,
                "label": categories.index_of_id[segment.category.id],
                "score": segment.score,
                "area": segment.area,
                "bbox": segment.bbox,
                "box": owner,
                "color": box_color(segment.category, 0 if owner is None else boxes[owner].tint),
            }
        )
    return rows


def box_color(category: Category, tint: int) -> Color:
    """Of a thing and its box: its class's colour, varied from instance to instance."""
    return instance_color(category.color, tint if category.isthing else 0)


def box_of_segments(result: PanopticResult, boxes: list[PageBox], categories: Categories) -> dict[int, int]:
    """Segment id -> position of the box that it was made from: of the same class and score, the one that fits best."""
    scores = np.array([each.score for each in boxes], np.float32)
    free = set(range(len(boxes)))
    owners = {}
    for segment in result:
        label = categories.index_of_id[segment.category.id]
        score = np.float32(segment.score)
        fitting = [each for each in free if boxes[each].label == label and scores[each] == score]
        if segment.isthing and fitting:
            best = max(fitting, key=lambda each: _box_overlap(segment, boxes[each]))
            owners[segment.id] = best
            free.remove(best)
    return owners


def _box_overlap(segment: Segment, box: PageBox) -> float:
    """IoU of a segment's bounding box and a box."""
    x, y, width, height = segment.bbox
    x0, y0, x1, y1 = box.box
    shared = max(min(x + width, x1) - max(x, x0), 0) * max(min(y + height, y1) - max(y, y0), 0)
    return shared / (width * height + (x1 - x0) * (y1 - y0) - shared + 1e-9)


def affinity_message(affinity: Float32[np.ndarray, "H W"], x: int, y: int) -> bytes:
    """Affinities of pixel (x, y) as whole numbers, `scale` being the value of 1.

    `limit` is where colours end: few pixels lie beyond, and would leave the rest pale.
    """
    height, width = affinity.shape
    limit = float(np.quantile(np.abs(affinity).reshape(-1)[:: max(affinity.size // 200_000, 1)], 0.995))
    factor = (AFFINITY_PIXELS / affinity.size) ** 0.5
    if factor < 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        affinity = np.asarray(cv2.resize(affinity, size, interpolation=cv2.INTER_AREA), np.float32)
    scale = float(np.abs(affinity).max(initial=0)) / AFFINITY_STEPS or 1.0
    values = np.rint(affinity / scale).astype(np.int16)
    return pack({"x": x, "y": y, "scale": scale, "limit": limit or 1.0}, {"affinity": values})
