"""Panoptic maps, ground truth or prediction: the segment of every pixel, and the class of every segment."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unipan.arrays import Int32, Integer
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.runs import MAX_ID, rows_of_ids, runs

VOID = -1
"""The ignore label in maps of class, instance or channel indices."""

VOID_ID = 0
"""The id of void in a panoptic PNG and in `PanopticMap.ids` (COCO panoptic format)."""


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: its id in `PanopticMap.ids`, > 0.
        category: its class.
        score: confidence in 0..1; 1 for ground truth.
        area: number of pixels.
        bbox: x, y, width, height in pixels, as in COCO.
        iscrowd: whether it is a group of things labelled as one region; ground truth only.
        declared_area: the `area` given in the file, if any. Only the official PQ uses it; `==` ignores it.
    """

    id: int
    category: Category
    score: float
    area: int
    bbox: tuple[int, int, int, int]
    iscrowd: bool = False
    declared_area: float | None = field(default=None, compare=False)

    @property
    def isthing(self) -> bool:
        """Whether its class is countable."""
        return self.category.isthing

    def to_coco(self, score: bool = False) -> dict[str, Any]:
        """Its row in `segments_info` of a COCO panoptic JSON; the score is included if asked for, or other than 1."""
        row = {
            "id": self.id,
            "category_id": self.category.id,
            "area": self.area,
            "bbox": list(self.bbox),
            "iscrowd": int(self.iscrowd),
        }
        return {**row, "score": self.score} if score or self.score != 1 else row


@dataclass(frozen=True)
class PanopticMap:
    """A panoptic segmentation of one image.

    Attributes:
        ids: the segment id of each pixel; 0 is void.
        segments: one for every id in `ids` other than 0.
    """

    ids: Int32[np.ndarray, "H W"]
    segments: tuple[Segment, ...]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)


@dataclass(frozen=True)
class Sample:
    """One image of a dataset with its ground truth, both at the image's own size.

    Attributes:
        image: RGB.
        truth: its panoptic map.
        image_id: its id in the dataset.
        name: its file name without folders, for messages.
    """

    image: np.ndarray  # (H, W, 3) uint8
    truth: PanopticMap
    image_id: int | str
    name: str


def panoptic_map(
    ids: Integer[np.ndarray, "H W"],
    categories: Mapping[int, Category],
    scores: Mapping[int, float] | None = None,
    crowds: Collection[int] = (),
    source: str = "panoptic map",
    declared_areas: Mapping[int, float] | None = None,
) -> PanopticMap:
    """Build a `PanopticMap`, with areas and bounding boxes measured from the pixels in one pass.

    Args:
        ids: 0 is void; every other id is a key of `categories`.
        categories: the class of each segment; the segments keep this order.
        scores: confidence per id; 1 where absent.
        crowds: ids of crowd regions.
        source: what error messages call the map.
        declared_areas: areas given in the file, per id; see `Segment`.

    Raises:
        ValueError: an id has pixels but no class or a class but no pixels, the map is empty, or an id is outside
            1..256^3 - 1.
    """
    known = list(categories)
    if ids.size == 0:
        raise ValueError(f"{source}: the map has no pixels (shape {ids.shape})")
    bad = next((key for key in known if not 0 < key <= MAX_ID), None)
    if bad is not None:
        raise ValueError(f"{source}: segment id {bad} is outside 1..{MAX_ID}; 0 is void, renumber it")
    areas, boxes = _areas_and_boxes(ids, known, source)
    segments = []
    for row, (key, category) in enumerate(categories.items()):
        if areas[row] == 0:
            raise ValueError(f"{source}: segment id {key} is declared but has no pixel in the map; remove it")
        x0, y0, x1, y1 = boxes[row].tolist()
        score = 1.0 if scores is None else float(scores.get(key, 1.0))
        bbox = (x0, y0, x1 - x0, y1 - y0)
        declared = declared_areas.get(key) if declared_areas else None
        declared = None if declared is None else float(declared)
        segments.append(Segment(int(key), category, score, int(areas[row]), bbox, key in crowds, declared))
    return PanopticMap(np.ascontiguousarray(ids, dtype=np.int32), tuple(segments))


def size_of(ids: Integer[np.ndarray, "H W"]) -> str:
    """Width x height, as messages say it."""
    height, width = ids.shape
    return f"{width} x {height}"


def _areas_and_boxes(
    ids: Integer[np.ndarray, "H W"], known: list[int], source: str
) -> tuple[Integer[np.ndarray, " N"], Integer[np.ndarray, "N 4"]]:
    """Area and box (x0, y0, x1, y1) of each known id; the box of an absent id is meaningless."""
    starts, lengths = runs(ids, longest=ids.shape[1])
    owner = rows_of_ids(ids.reshape(-1)[starts], known, source)
    top, left = np.divmod(starts, ids.shape[1])
    areas = np.bincount(owner, weights=lengths, minlength=len(known) + 1)[:-1].astype(np.int64)
    boxes = np.zeros((len(known) + 1, 4), np.int64)
    boxes[:, :2] = ids.size
    np.minimum.at(boxes[:, 0], owner, left)
    np.minimum.at(boxes[:, 1], owner, top)
    np.maximum.at(boxes[:, 2], owner, left + lengths)
    np.maximum.at(boxes[:, 3], owner, top + 1)
    return areas, boxes[:-1]


def class_map(panoptic: PanopticMap, categories: Categories) -> Int32[np.ndarray, "H W"]:
    """The class index (things first) of each pixel, VOID (-1) where the id is 0; crowds keep their class.

    Raises:
        ValueError: a segment's category is not in `categories`, or an id has no segment.
    """
    for segment in panoptic:
        if segment.category.id not in categories.index_of_id:
            raise ValueError(
                f"segment {segment.id}: category id {segment.category.id} ({segment.category.name!r}) is not one of "
                f"the {len(categories)} classes"
            )
    classes = np.array([*(categories.index_of_id[segment.category.id] for segment in panoptic), VOID], np.int32)
    starts, lengths = runs(panoptic.ids)
    rows = rows_of_ids(panoptic.ids.reshape(-1)[starts], [segment.id for segment in panoptic], "panoptic map")
    return np.repeat(classes[rows], lengths).reshape(panoptic.ids.shape)
