"""Which segments of a prediction meet which ones of the truth: PQ's rules (Kirillov et al., CVPR 2019, Sec. 4.1).

A prediction matches a segment of the truth of its class that is no crowd if IoU > 1/2, where the union leaves out the
prediction's pixels on void. An unmatched prediction that lies by more than half on void and on crowds of its class is
no false positive. There are two readings of this:

* strict: areas are counted from the maps, and every crowd of a class absorbs predictions;
* official: what panopticapi's evaluation.py computes. It trusts the `area` that the truth's JSON declares, and only the
  last-listed crowd of a class absorbs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unipan.ops.pair_counts import count_pairs, positions
from unipan.structures import VOID_ID, PanopticMap, Segment


@dataclass(frozen=True)
class Matches:
    """How the segments of a prediction meet those of the truth, as positions in their `segments`.

    Attributes:
        truth, prediction: the matched pairs.
        iou: their IoU, > 0.5.
        missed: unmatched truth, crowds excepted (FN).
        spurious: unmatched predictions, those on void or crowd excepted (FP).
    """

    truth: Int64[np.ndarray, " M"]
    prediction: Int64[np.ndarray, " M"]
    iou: Float64[np.ndarray, " M"]
    missed: Int64[np.ndarray, " FN"]
    spurious: Int64[np.ndarray, " FP"]


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


@dataclass(frozen=True)
class Table:
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
    def of(cls, segments: Iterable[Segment], classes: Int64[np.ndarray, " N"] | None = None) -> "Table":
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

    def __len__(self) -> int:
        return len(self.ids)


def count_overlaps(truth: PanopticMap, prediction: PanopticMap, name: str = "image") -> Overlaps:
    """Count the pixels of every pair of segments that meet.

    Raises:
        ValueError: the maps differ in size, or a map and its segments disagree.
    """
    if truth.ids.shape != prediction.ids.shape:
        raise ValueError(
            f"{name}: the prediction is {_size(prediction)} but the truth is {_size(truth)} (width x height)"
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
    return match_strict(overlaps, Table.of(truth), Table.of(prediction))


def require_pixels(panoptic: PanopticMap, present: Int64[np.ndarray, " N"], source: str) -> None:
    """Raises ValueError that names the first segment whose position is not `present`."""
    absent = np.setdiff1d(np.arange(len(panoptic)), present)
    if len(absent):
        key = panoptic.segments[int(absent[0])].id
        raise ValueError(f"{source}: segment id {key} is declared but has no pixel in the map; remove it")


def match_strict(
    overlaps: Overlaps,
    truth: Table,
    prediction: Table,
    truth_area: Int64[np.ndarray, " T"] | None = None,
    prediction_area: Int64[np.ndarray, " P"] | None = None,
) -> Matches:
    """Areas as counted, every crowd; undeclared pixels are void, segments without pixels are not there.

    The areas are those that the overlaps add up to, for callers that know them.
    """
    rows = np.minimum(overlaps.truth, len(truth))
    columns = np.minimum(overlaps.prediction, len(prediction))
    if truth_area is None:
        truth_area = areas(rows, overlaps.pixels, len(truth))
    if prediction_area is None:
        prediction_area = areas(columns, overlaps.pixels, len(prediction))
    given = _Given(truth_area, prediction_area, truth_area > 0, truth.crowd)
    return _match(Overlaps(rows, columns, overlaps.pixels), truth, prediction, given)


def match_official(overlaps: Overlaps, truth: Table, prediction: Table) -> Matches:
    """As panopticapi: the truth's declared areas, the last-listed crowd of a class; a segment without pixels is missed.

    Pixels whose id the truth does not declare are not void there, but nothing; a prediction must not have any.
    """
    last = {label: row for row, label in enumerate(truth.classes.tolist()) if truth.crowd[row]}
    kept = np.zeros(len(truth), bool)
    kept[list(last.values())] = True
    prediction_area = areas(overlaps.prediction, overlaps.pixels, len(prediction))
    given = _Given(truth.declared, prediction_area, np.ones(len(truth), bool), kept)
    return _match(overlaps, truth, prediction, given)


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


def _match(overlaps: Overlaps, truth: Table, prediction: Table, given: _Given) -> Matches:
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
    missed = ~truth.crowd & given.expected
    missed[t] = False
    spurious = (ignored <= 0.5 * given.prediction_area) & (given.prediction_area > 0)
    spurious[p] = False
    return Matches(t, p, iou, np.flatnonzero(missed), np.flatnonzero(spurious))


def areas(positions: Int64[np.ndarray, " N"], pixels: Int64[np.ndarray, " N"], count: int) -> Int64[np.ndarray, " K"]:
    """The pixels of each of `count` segments; what lies beyond them is left out."""
    counted = np.bincount(positions, weights=pixels, minlength=count)
    return np.asarray(counted[:count], np.int64)


def _size(panoptic: PanopticMap) -> str:
    height, width = panoptic.ids.shape
    return f"{width} x {height}"
