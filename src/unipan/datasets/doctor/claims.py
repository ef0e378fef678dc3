"""Pixels whose id does not say which segment they are: one id for several segments, or id 0, which means void."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from unipan.arrays import Int32
from unipan.panoptic.coco_json import Row, float_or_nan, whole
from unipan.panoptic.coco_parser import claims_by_id, one_segment
from unipan.panoptic.maps import VOID_ID
from unipan.panoptic.runs import MAX_ID

Ids = Int32[np.ndarray, "H W"]
Box = tuple[int, int, int, int]

SAME_BOX = 0.5
"""IoU from which a part's box is the declared one; tools differ in whether a box of one pixel is 0 or 1 wide."""


@dataclass(frozen=True)
class Part:
    """Pixels that get an id of their own.

    Attributes:
        old: the id that they have.
        box: x, y, width, height of the connected part that is meant; None for all pixels of the id.
        new: their id from now on.
    """

    old: int
    box: Box | None
    new: int


@dataclass
class Told:
    """What could be told apart.

    Attributes:
        parts: what gets an id of its own.
        rows: the segments of the parts, under their new ids.
        lost: ids whose pixels nobody can assign; they become void.
    """

    parts: list[Part] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)


def tell_apart(ids: Ids, annotation: Row, known: Collection[int]) -> Told:
    """Find out which pixels are whose where an id is 0 or has several segments.

    Segments that share an id are told apart by their boxes, if each box is that of one connected part and no part is
    left without. Id 0 is taken for a segment if its area, or else its box, is that of the pixels 0, or it has neither.

    Args:
        ids: the PNG.
        annotation: its row.
        known: ids of the categories.
    """
    told, claims = Told(), claims_by_id(annotation)
    unused = max([int(ids.max()), *claims], default=0) + 1
    for key, rows in claims.items():
        usable = [row for row in rows if whole(row.get("category_id")) in known]
        if key == VOID_ID:
            boxes: Sequence[Box | None] | None = (
                [None] if len(usable) == len(rows) == 1 and _is_void(ids, rows[0]) else None
            )
        elif one_segment(rows):
            continue
        else:
            boxes = _matching_boxes(ids == key, [row.get("bbox") for row in rows]) if len(usable) == len(rows) else None
            if boxes is None:
                told.lost.add(key)
        if boxes is None or unused + len(rows) > MAX_ID:
            continue
        for row, box in zip(rows, boxes, strict=True):
            told.parts.append(Part(key, box, unused))
            told.rows.append({**row, "id": unused})
            unused += 1
        if key != VOID_ID:
            told.lost.add(key)  # what no box is around
    return told


def give_ids(ids: Ids, parts: Sequence[Part]) -> Ids:
    """The map with the parts under their new ids."""
    if not parts:
        return ids
    changed = ids.copy()
    for key in {part.old for part in parts}:
        labels, boxes = _connected_parts(ids == key)
        for part in parts:
            if part.old != key:
                continue
            changed[ids == key if part.box is None else labels == 1 + boxes.index(part.box)] = part.new
    return changed


def _is_void(ids: Ids, row: Row) -> bool:
    """Whether the pixels 0 are this segment, as far as its area and box tell."""
    void = ids == VOID_ID
    count = int(void.sum())
    if not count:
        return False
    if row.get("area") is not None:
        return whole(row["area"]) == count
    box = row.get("bbox")
    if box is None:
        return True
    ys, xs = np.flatnonzero(void.any(axis=1)), np.flatnonzero(void.any(axis=0))
    around = (int(xs[0]), int(ys[0]), int(xs[-1] - xs[0] + 1), int(ys[-1] - ys[0] + 1))
    return _box_iou(around, box) > SAME_BOX


def _matching_boxes(mask: np.ndarray, declared: Sequence[Any]) -> list[Box] | None:
    """The box of the one connected part that each declared box is around; None unless all of them fit one to one."""
    _, boxes = _connected_parts(mask)
    if len(boxes) != len(declared) or len(set(boxes)) < len(boxes):
        return None
    found: list[Box] = []
    for box in declared:
        fitting = [each for each in boxes if _box_iou(each, box) > SAME_BOX]
        if len(fitting) != 1 or fitting[0] in found:
            return None
        found.append(fitting[0])
    return found


def _connected_parts(mask: np.ndarray) -> tuple[np.ndarray, list[Box]]:
    """A map of parts from 1, and the box of each."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels, [(int(x), int(y), int(w), int(h)) for x, y, w, h, _ in statistics[1:].tolist()]


def _box_iou(one: Box, other: Any) -> float:
    """IoU of a box and what a JSON says is one; 0 for anything else."""
    if not isinstance(other, list) or len(other) != 4:
        return 0.0
    x, y, width, height = (float_or_nan(value) for value in other)
    across = min(one[0] + one[2], x + width) - max(one[0], x)
    down = min(one[1] + one[3], y + height) - max(one[1], y)
    if not (across > 0 and down > 0):  # a NaN fails too
        return 0.0
    return across * down / (one[2] * one[3] + width * height - across * down)
