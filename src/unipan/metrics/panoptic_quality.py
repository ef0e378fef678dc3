"""Panoptic quality, equal to the official definition (panopticapi's evaluation.py) including its quirks.

A prediction matches a ground-truth segment of its class that is no crowd if IoU > 1/2, where the union leaves out
the prediction's pixels on void. An unmatched prediction that lies by more than half on void and on the last-listed
crowd of its class is no false positive. PQ = sum of IoU / (TP + FP/2 + FN/2) per class, averaged over the classes
with TP + FP + FN > 0. Unlike the official tool, areas of the truth are always counted from the map, never trusted.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from unipan.categories import Categories
from unipan.ops.runs import rows_of_ids, runs
from unipan.structures import PanopticMap, Segment

GROUPS = ("All", "Things", "Stuff")
"""The groups of classes that PQ is averaged over, by the official tool's names."""

_DENSE = 1 << 22  # up to this many cells, pair counts live in a table; above it, in a sorted list


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
        truth, prediction: positions in `segments`, ascending; one beyond the last is void.
        pixels: of each pair.
    """

    truth: Int64[np.ndarray, " N"]
    prediction: Int64[np.ndarray, " N"]
    pixels: Int64[np.ndarray, " N"]


def count_overlaps(truth: PanopticMap, prediction: PanopticMap, name: str = "image") -> Overlaps:
    """Count the pixels of every pair of segments that meet.

    Raises:
        ValueError: the maps differ in size, or a map and its segments disagree.
    """
    if truth.ids.shape != prediction.ids.shape:
        raise ValueError(
            f"{name}: the prediction is {_size(prediction)} but the truth is {_size(truth)} (width x height)"
        )
    starts, lengths = runs(truth.ids, prediction.ids)
    rows = rows_of_ids(truth.ids.reshape(-1)[starts], [s.id for s in truth], f"{name}, truth")
    columns = rows_of_ids(prediction.ids.reshape(-1)[starts], [s.id for s in prediction], f"{name}, prediction")
    width = len(prediction) + 1
    pairs = rows * width + columns
    if (len(truth) + 1) * width <= _DENSE:
        table = np.bincount(pairs, weights=lengths, minlength=0)
        codes = np.flatnonzero(table)
        pixels = table[codes].astype(np.int64)
    else:
        codes, inverse = np.unique(pairs, return_inverse=True)
        pixels = np.bincount(inverse, weights=lengths).astype(np.int64)
    return Overlaps(codes // width, codes % width, pixels)


def match_segments(truth: PanopticMap, prediction: PanopticMap, name: str = "image") -> Matches:
    """Match two panoptic maps of one image by the official rules (see the top of this file).

    Raises:
        ValueError: the maps differ in size, an id has no segment, or a segment has no pixel.
    """
    overlaps = count_overlaps(truth, prediction, name)
    rows, columns, pixels = overlaps.truth, overlaps.prediction, overlaps.pixels
    truth_area = _areas(truth, rows, pixels, f"{name}, truth")
    prediction_area = _areas(prediction, columns, pixels, f"{name}, prediction")
    on_void = np.zeros(len(prediction) + 1, np.int64)
    on_void[columns[rows == len(truth)]] = pixels[rows == len(truth)]

    # -1 and -2 never equal a category id, so void never meets void.
    truth_class = np.array([s.category.id for s in truth] + [-1], np.int64)
    prediction_class = np.array([s.category.id for s in prediction] + [-2], np.int64)
    crowd = np.array([s.iscrowd for s in truth] + [True], bool)
    may = (truth_class[rows] == prediction_class[columns]) & ~crowd[rows]
    t, p, shared = rows[may], columns[may], pixels[may]
    iou = shared / (truth_area[t] + prediction_area[p] - shared - on_void[p])
    hit = iou > 0.5
    t, p, iou = t[hit], p[hit], iou[hit]

    missed = ~crowd
    missed[t] = False
    ignored = on_void + _pixels_on_crowd(truth.segments, prediction_class, overlaps)
    spurious = ignored <= 0.5 * prediction_area
    spurious[p] = False
    spurious[-1] = False
    return Matches(t, p, iou, np.flatnonzero(missed), np.flatnonzero(spurious))


def _size(panoptic: PanopticMap) -> str:
    height, width = panoptic.ids.shape
    return f"{width} x {height}"


def _areas(
    panoptic: PanopticMap, owner: Int64[np.ndarray, " N"], pixels: Int64[np.ndarray, " N"], source: str
) -> Int64[np.ndarray, " _"]:
    """The area of each segment and, last, of void."""
    areas = np.bincount(owner, weights=pixels, minlength=len(panoptic) + 1).astype(np.int64)
    if (areas[:-1] == 0).any():
        absent = panoptic.segments[int(np.argmin(areas[:-1]))].id
        raise ValueError(f"{source}: segment id {absent} is declared but has no pixel in the map; remove it")
    return areas


def _pixels_on_crowd(
    truth: Iterable[Segment], prediction_class: Int64[np.ndarray, " P"], overlaps: Overlaps
) -> Int64[np.ndarray, " P"]:
    """For each prediction its pixels on the crowd of its class; the official tool knows only the last-listed one."""
    crowd_of_class = {s.category.id: row for row, s in enumerate(truth) if s.iscrowd}
    found = np.zeros(len(prediction_class), np.int64)
    for category, row in crowd_of_class.items():
        here = overlaps.truth == row
        columns = overlaps.prediction[here]
        mine = prediction_class[columns] == category
        found[columns[mine]] = overlaps.pixels[here][mine]
    return found


@dataclass(frozen=True)
class Quality:
    """PQ, SQ and RQ averaged over the n classes of a group that occur, as fractions."""

    pq: float
    sq: float
    rq: float
    n: int


@dataclass(frozen=True)
class ClassQuality:
    """One class; all zero where it occurs neither in the truth nor in the predictions (as the official tool)."""

    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class PanopticScores:
    """What `PanopticQuality.compute()` finds.

    Attributes:
        groups: by the names in GROUPS; None for a group without a class that occurs.
        per_class: by category id.
    """

    groups: Mapping[str, Quality | None]
    per_class: Mapping[int, ClassQuality]

    def __getitem__(self, group: str) -> Quality | None:
        return self.groups[group]

    def to_json(self) -> dict[str, Any]:
        """`{"All"|"Things"|"Stuff": {"pq", "sq", "rq", "n"} or null, "per_class": {category id: {...}}}`."""
        groups = {name: None if found is None else dict(vars(found)) for name, found in self.groups.items()}
        return {**groups, "per_class": {str(key): dict(vars(found)) for key, found in self.per_class.items()}}


@dataclass(frozen=True)
class PanopticQuality:
    """Collects images; `a + b` merges what two threads, ranks or shards have collected, in any order.

    Attributes:
        categories: the classes counted.
        counts: per image name an (L, 4) array of IoU sum, TP, FP, FN.
    """

    categories: Categories
    counts: dict[str, np.ndarray] = field(default_factory=dict)

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> Matches:
        """Count one image.

        Args:
            truth, prediction: of one size, with categories known to this object.
            name: unique within the dataset: a second image of the same name is refused, because an image that is
                counted twice (a sampler that pads, overlapping shards) silently falsifies PQ.

        Raises:
            ValueError: see `match_segments`; also an unknown category or a repeated name.
        """
        if name in self.counts:
            raise ValueError(f"{name}: this image was counted already; every image counts once")
        truth_class = self._classes(truth, f"{name}, truth")
        prediction_class = self._classes(prediction, f"{name}, prediction")
        found = match_segments(truth, prediction, name)
        classes = len(self.categories)
        matched = truth_class[found.truth]
        self.counts[name] = np.stack(
            [
                np.bincount(matched, weights=found.iou, minlength=classes),
                np.bincount(matched, minlength=classes),
                np.bincount(prediction_class[found.spurious], minlength=classes),
                np.bincount(truth_class[found.missed], minlength=classes),
            ],
            axis=1,
            dtype=np.float64,  # bincount of nothing is integer, whatever its weights
        )
        return found

    def _classes(self, panoptic: PanopticMap, source: str) -> Int64[np.ndarray, " N"]:
        index = self.categories.index_of_id
        for segment in panoptic:
            if segment.category.id not in index:
                raise ValueError(
                    f"{source}: segment {segment.id} has category id {segment.category.id}, which is not one of the "
                    f"{len(self.categories)} classes"
                )
        return np.array([index[segment.category.id] for segment in panoptic], np.int64)

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        if self.categories != other.categories:
            raise ValueError("panoptic quality: two parts with different categories cannot be merged")
        twice = sorted(self.counts.keys() & other.counts.keys())
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted in both parts; every image counts once")
        return PanopticQuality(self.categories, {**self.counts, **other.counts})

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def names(self) -> list[str]:
        """The images counted, sorted, so that nothing depends on who counted what first."""
        return sorted(self.counts)

    @property
    def per_image(self) -> Float64[np.ndarray, "I L 4"]:
        """IoU sum, TP, FP, FN per image (in the order of `names`) and class."""
        empty = np.zeros((0, len(self.categories), 4))
        return np.stack([self.counts[name] for name in self.names]) if self.counts else empty

    def compute(self) -> PanopticScores:
        """PQ, SQ, RQ over all images counted so far."""
        per_image = self.per_image
        # fsum rounds once, so the parts of a merge may come in any order and give the same bits.
        sums = np.array([[math.fsum(column) for column in rows.T] for rows in per_image.transpose(1, 0, 2)])
        each = class_qualities(sums)
        means = group_means(self.categories, each)
        groups: dict[str, Quality | None] = {}
        for name, members in group_members(self.categories).items():
            count = int((~np.isnan(each[members, 0])).sum())
            pq, sq, rq = means[name].tolist()
            groups[name] = Quality(pq, sq, rq, count) if count else None
        values = np.nan_to_num(each).tolist()
        per_class = {
            category.id: ClassQuality(*value, *(int(count) for count in row[1:]))
            for category, value, row in zip(self.categories, values, sums.tolist(), strict=True)
        }
        return PanopticScores(groups, per_class)


def group_members(categories: Categories) -> dict[str, slice]:
    """The class indices of each group in GROUPS."""
    things = len(categories.things)
    return dict(zip(GROUPS, (slice(None), slice(0, things), slice(things, None)), strict=True))


def class_qualities(sums: Float64[np.ndarray, "*R L 4"]) -> Float64[np.ndarray, "*R L 3"]:
    """PQ, SQ, RQ per class from IoU sum, TP, FP, FN; NaN for a class without any of the three."""
    iou, tp, fp, fn = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = tp + 0.5 * fp + 0.5 * fn
        sq = np.where(tp > 0, iou / tp, np.where(weight > 0, 0.0, np.nan))
        return np.stack([iou / weight, sq, tp / weight], axis=-1)


def group_means(categories: Categories, each: Float64[np.ndarray, "*R L 3"]) -> dict[str, Float64[np.ndarray, "*R 3"]]:
    """PQ, SQ, RQ per group: the mean over the classes that are not NaN; NaN for a group without any."""
    means = {}
    for name, members in group_members(categories).items():
        values = each[..., members, :]
        with np.errstate(invalid="ignore"):
            means[name] = np.nansum(values, axis=-2) / (~np.isnan(values)).sum(axis=-2)
    return means
