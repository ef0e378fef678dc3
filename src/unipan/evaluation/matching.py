"""Which segments of a prediction meet which ones of the truth: PQ's rules (Kirillov et al., CVPR 2019, Sec. 4.1).

A prediction matches a segment of the truth of its class that is no crowd if IoU > 1/2, where the union leaves out the
prediction's pixels on void. An unmatched prediction that lies by more than half on void and on crowds of its class is
no false positive. There are two readings of this:

* strict: areas are counted from the maps, and every crowd of a class absorbs predictions;
* official: what panopticapi's evaluation.py computes. It trusts the `area` that the truth's JSON declares, and only the
  last-listed crowd of a class absorbs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from unipan.arrays import Bool, Float64, Int64
from unipan.panoptic.maps import VOID_ID, PanopticMap, Segment, size_of
from unipan.panoptic.pair_counts import count_pairs, positions


@dataclass(frozen=True)
class Matches:
    """How the segments of a prediction meet those of the truth, as positions in their `segments`.

    Attributes:
        truth, prediction: the matched pairs.
        iou: their IoU, > 0.5.
        false_negatives: unmatched truth, crowds excepted.
        false_positives: unmatched predictions, except those on void or on a crowd.
    """

    truth: Int64[np.ndarray, " M"]
    prediction: Int64[np.ndarray, " M"]
    iou: Float64[np.ndarray, " M"]
    false_negatives: Int64[np.ndarray, " FN"]
    false_positives: Int64[np.ndarray, " FP"]


@dataclass(frozen=True)
class Overlaps:
    """Which segment of the truth shares how many pixels with which one of the prediction.

    Attributes:
        truth, prediction: positions in `segments`, ascending; one beyond the last is void. Two beyond are pixels
            whose id no segment declares: only files that were read leniently have them.
        pixels: of each pair.
    """

    truth: Int64[np.ndarray, " N"]
    prediction: Int64[np.ndarray, " N"]
    pixels: Int64[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class SegmentTable:
    """What the rules ask of the segments of one map, in their order.

    Attributes:
        ids: in the map.
        classes: by any numbers >= 0 that truth and prediction share; class indices in `PanopticQuality`.
        crowd: which ones are crowds.
        declared: the area that the file says, NaN where it says none.
    """

    ids: Int64[np.ndarray, " N"]
    classes: Int64[np.ndarray, " N"]
    crowd: Bool[np.ndarray, " N"]
    declared: Float64[np.ndarray, " N"]

    @classmethod
    def of(cls, segments: Iterable[Segment], classes: Int64[np.ndarray, " N"] | None = None) -> "SegmentTable":
        """The table of a map; classes are category ids unless given."""
        rows = [
            (s.id, s.category.id, s.iscrowd, s.area if s.declared_area is None else s.declared_area) for s in segments
        ]
        ids, categories, crowd, declared = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(
            np.array(ids, np.int64),
            np.array(categories, np.int64) if classes is None else classes,
            np.array(crowd, bool),
            np.array(declared, np.float64),
        )

    def __getitem__(self, rows: Bool[np.ndarray, " N"] | slice) -> "SegmentTable":
        return SegmentTable(self.ids[rows], self.classes[rows], self.crowd[rows], self.declared[rows])

    @classmethod
    def join(cls, tables: Sequence["SegmentTable"]) -> "SegmentTable":
        """All rows, table after table; at least one."""
        return cls(
            np.concatenate([each.ids for each in tables]),
            np.concatenate([each.classes for each in tables]),
            np.concatenate([each.crowd for each in tables]),
            np.concatenate([each.declared for each in tables]),
        )

    def __len__(self) -> int:
        return len(self.ids)


def count_overlaps(truth: PanopticMap, prediction: PanopticMap, name: str = "image") -> Overlaps:
    """Count the pixels of every pair of segments that meet.

    Raises:
        ValueError: the maps differ in size, or a map and its segments disagree.
    """
    if truth.ids.shape != prediction.ids.shape:
        raise ValueError(
            f"{name}: the prediction is {size_of(prediction.ids)} but the truth is {size_of(truth.ids)} (width x "
            "height)"
        )
    try:
        counted = count_pairs(truth.ids, prediction.ids)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    known, given = (np.array([s.id for s in side], np.int64) for side in (truth, prediction))
    overlaps = locate(counted, known, given)
    for side, ids, declared in (("truth", counted[0], known), ("prediction", counted[1], given)):
        stray = np.setdiff1d(ids, np.append(declared, VOID_ID))
        if len(stray):
            raise ValueError(
                f"{name}, {side}: id {stray[0]} has pixels but no segment is declared for it; declare it or paint it 0"
            )
    return overlaps


def locate(
    counted: tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]],
    truth: Int64[np.ndarray, " T"],
    prediction: Int64[np.ndarray, " P"],
) -> Overlaps:
    """Turn the ids of `count_pairs` into positions among the ids of the two sides' segments."""
    ids, other_ids, pixels = counted
    rows, columns = positions(ids, truth), positions(other_ids, prediction)
    order = np.lexsort((columns, rows))
    return Overlaps(rows[order], columns[order], pixels[order])


def match_segments(truth: PanopticMap, prediction: PanopticMap, name: str = "image") -> Matches:
    """Match two panoptic maps of one image by the strict rules (see the top of this file).

    Raises:
        ValueError: the maps differ in size, an id has no segment, or a segment has no pixel.
    """
    overlaps = count_overlaps(truth, prediction, name)
    require_pixels(truth, overlaps.truth, f"{name}, truth")
    require_pixels(prediction, overlaps.prediction, f"{name}, prediction")
    return Batch.of([(overlaps, SegmentTable.of(truth), SegmentTable.of(prediction))]).matches


def require_pixels(panoptic: PanopticMap, present: Int64[np.ndarray, " N"], source: str) -> None:
    """Raises ValueError that names the first segment whose position is not `present`."""
    absent = np.setdiff1d(np.arange(len(panoptic)), present)
    if len(absent):
        key = panoptic.segments[int(absent[0])].id
        raise ValueError(f"{source}: segment id {key} is declared but has no pixel in the map; remove it")


@dataclass(frozen=True)
class Batch:
    """The segments of several images in one row, image after image: the rules look at all of them at once.

    Attributes:
        truth, prediction: all segments.
        overlaps: all pairs. Void is one beyond the last segment of all, whatever image it is of, and what is
            undeclared two beyond: the other segment of a pair tells the image, so no rule confuses them.
        truth_image, prediction_image, overlap_image: which image each of them is of, ascending.
    """

    truth: SegmentTable
    prediction: SegmentTable
    overlaps: Overlaps
    truth_image: Int64[np.ndarray, " T"]
    prediction_image: Int64[np.ndarray, " P"]
    overlap_image: Int64[np.ndarray, " N"]

    @classmethod
    def of(cls, images: Sequence[tuple[Overlaps, SegmentTable, SegmentTable]]) -> "Batch":
        """From the overlaps, the truth and the prediction of each image; at least one."""
        overlaps, truth, prediction = zip(*images, strict=True)
        owner = _owner(list(map(len, overlaps)))
        known, given = list(map(len, truth)), list(map(len, prediction))
        joined = Overlaps(
            _shifted(np.concatenate([each.truth for each in overlaps]), owner, known),
            _shifted(np.concatenate([each.prediction for each in overlaps]), owner, given),
            np.concatenate([each.pixels for each in overlaps]),
        )
        return cls(SegmentTable.join(truth), SegmentTable.join(prediction), joined, _owner(known), _owner(given), owner)

    @cached_property
    def truth_area(self) -> Int64[np.ndarray, " T"]:
        """Pixels of each segment of the truth, as counted."""
        return areas(self.overlaps.truth, self.overlaps.pixels, len(self.truth))

    @cached_property
    def prediction_area(self) -> Int64[np.ndarray, " P"]:
        """Pixels of each prediction, as counted."""
        return areas(self.overlaps.prediction, self.overlaps.pixels, len(self.prediction))

    @cached_property
    def matches(self) -> Matches:
        """By the strict rules, found once for all metrics."""
        return match_strict(self)


def _owner(lengths: list[int]) -> Int64[np.ndarray, " N"]:
    return np.repeat(np.arange(len(lengths)), lengths)


def _shifted(
    positions: Int64[np.ndarray, " N"], owner: Int64[np.ndarray, " N"], lengths: list[int]
) -> Int64[np.ndarray, " N"]:
    """Positions in each image's table, as those in the joined one."""
    counts = np.array(lengths)
    beyond = positions - counts[owner]
    first = np.cumsum(counts) - counts
    return np.asarray(np.where(beyond >= 0, beyond + counts.sum(), positions + first[owner]))


def match_strict(batch: Batch) -> Matches:
    """Areas as counted, every crowd; undeclared pixels are void, segments without pixels are not there."""
    rows = np.minimum(batch.overlaps.truth, len(batch.truth))
    columns = np.minimum(batch.overlaps.prediction, len(batch.prediction))
    given = _Given(batch.truth_area, batch.prediction_area, batch.truth_area > 0, batch.truth.crowd)
    return _match(Overlaps(rows, columns, batch.overlaps.pixels), batch.truth, batch.prediction, given)


def match_official(batch: Batch) -> Matches:
    """As panopticapi: the truth's declared areas, the last-listed crowd of a class; a segment without pixels is missed.

    Pixels whose id the truth does not declare are not void there, but nothing; a prediction must not have any.
    """
    truth = batch.truth
    rows = np.flatnonzero(truth.crowd)
    keys = zip(batch.truth_image[rows].tolist(), truth.classes[rows].tolist(), strict=True)
    last = dict(zip(keys, rows.tolist(), strict=True))  # later ones replace earlier ones
    kept = np.zeros(len(truth), bool)
    kept[list(last.values())] = True
    given = _Given(truth.declared, batch.prediction_area, np.ones(len(truth), bool), kept)
    return _match(batch.overlaps, truth, batch.prediction, given)


class _Given(NamedTuple):
    """What the two readings give the rules.

    Attributes:
        truth_area, prediction_area: of each segment.
        expected: which segments of the truth are missed unless matched, crowds excepted.
        absorbing: which crowds take predictions in.
    """

    truth_area: Int64[np.ndarray, " T"] | Float64[np.ndarray, " T"]
    prediction_area: Int64[np.ndarray, " P"]
    expected: Bool[np.ndarray, " T"]
    absorbing: Bool[np.ndarray, " T"]


def _match(overlaps: Overlaps, truth: SegmentTable, prediction: SegmentTable, given: _Given) -> Matches:
    """The rules."""
    rows, columns, pixels = overlaps.truth, overlaps.prediction, overlaps.pixels
    void = rows == len(truth)
    on_void = areas(columns[void], pixels[void], len(prediction))
    inside = np.flatnonzero((rows < len(truth)) & (columns < len(prediction)))
    inside = inside[truth.classes[rows[inside]] == prediction.classes[columns[inside]]]
    ignored, crowds = on_void, truth.crowd[rows[inside]]
    if crowds.any():
        absorbed = inside[given.absorbing[rows[inside]]]
        ignored = on_void + areas(columns[absorbed], pixels[absorbed], len(prediction))
        inside = inside[~crowds]
    t, p, shared = rows[inside], columns[inside], pixels[inside]
    with np.errstate(divide="ignore", invalid="ignore"):  # a wrong declared area leads anywhere
        iou = shared / (given.truth_area[t] + given.prediction_area[p] - shared - on_void[p])
        hit = iou > 0.5
    t, p, iou = t[hit], p[hit], iou[hit]
    false_negatives = ~truth.crowd & given.expected
    false_negatives[t] = False
    false_positives = (ignored <= 0.5 * given.prediction_area) & (given.prediction_area > 0)
    false_positives[p] = False
    return Matches(t, p, iou, np.flatnonzero(false_negatives), np.flatnonzero(false_positives))


def areas(positions: Int64[np.ndarray, " N"], pixels: Int64[np.ndarray, " N"], count: int) -> Int64[np.ndarray, " K"]:
    """The pixels of each of `count` segments; what lies beyond them is left out."""
    counted = np.bincount(positions, weights=pixels, minlength=count)
    return np.asarray(counted[:count], np.int64)
