"""Panoptic maps: which pixel belongs to which segment, and what each segment is. Truth and prediction alike."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from unipan.arrays import Int32, Integer
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.runs import MAX_ID, rows_of_ids, runs

VOID = -1
"""The label of pixels that teach and count nothing, in every map of class, instance or channel indices."""

VOID_ID = 0
"""The id of void in a panoptic PNG and in `PanopticMap.ids` (COCO panoptic format)."""


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: its id in `PanopticMap.ids`, > 0.
        category: its class.
        score: confidence in 0..1 (1 for ground truth).
        area: pixels.
        bbox: x, y, width, height in pixels (COCO convention).
        iscrowd: a group of things labelled as one region; ground truth only.
        declared_area: what the file says that `area` is, where it says so: official PQ trusts it, nothing
            else does, comparison neither.
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


@dataclass(frozen=True)
class PanopticMap:
    """A panoptic segmentation of one image, truth or prediction.

    Attributes:
        ids: for each pixel the id of its segment, 0 = void.
        segments: exactly one for every other id in `ids`.
    """

    ids: Int32[np.ndarray, "H W"]
    segments: tuple[Segment, ...]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)


@dataclass(frozen=True)
class Sample:
    """One image of a dataset with its truth, both at the image's own size.

    Attributes:
        image: RGB.
        truth: its panoptic map.
        image_id: the dataset's own id.
        name: file name without folders; what error messages call the image.
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
    """Build a `PanopticMap`; areas and bounding boxes are counted from the pixels, in one pass.

    Args:
        ids: 0 = void, every other id a key of `categories`.
        categories: the class of each segment; its order becomes the order of the segments.
        scores: confidence per id, 1 where absent.
        crowds: ids of crowd regions.
        source: what error messages call the map.
        declared_areas: what the file says, per id; kept as it is (see `Segment`).

    Raises:
        ValueError: an id with pixels but no class, a class without pixels, an empty map, or an id that no PNG holds.
    """
    known = list(categories)
    if ids.size == 0:
        raise ValueError(f"{source}: the map has no pixels (shape {ids.shape})")
    if any(not 0 < key <= MAX_ID for key in known):
        bad = next(key for key in known if not 0 < key <= MAX_ID)
        raise ValueError(f"{source}: segment id {bad} is outside 1..{MAX_ID}; 0 is void, renumber it")
    areas, boxes = _areas_and_boxes(ids, known, source)
    segments = []
    for row, (key, category) in enumerate(categories.items()):
        if areas[row] == 0:
            raise ValueError(f"{source}: segment id {key} is declared but has no pixel in the map; remove it")
        x0, y0, x1, y1 = boxes[row].tolist()
        score = 1.0 if scores is None else float(scores.get(key, 1.0))
        bbox = (x0, y0, x1 - x0, y1 - y0)
        said = declared_areas.get(key) if declared_areas else None
        segments.append(
            Segment(
                int(key), category, score, int(areas[row]), bbox, key in crowds, None if said is None else float(said)
            )
        )
    return PanopticMap(np.ascontiguousarray(ids, dtype=np.int32), tuple(segments))


def _areas_and_boxes(
    ids: Integer[np.ndarray, "H W"], known: list[int], source: str
) -> tuple[Integer[np.ndarray, " N"], Integer[np.ndarray, "N 4"]]:
    """Pixels and x0 y0 x1 y1 of each known id; the box of an absent one is meaningless."""
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
    """For each pixel the class index (things first), VOID (-1) where the id is 0; crowds keep their class.

    Raises:
        ValueError: a segment's category is not one of `categories`, or an id has no segment.
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
