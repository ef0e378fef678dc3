"""PQ, SQ and RQ from sums of IoU, TP, FP and FN: per class, and averaged over groups of classes.

PQ = sum of IoU / (TP + FP/2 + FN/2), SQ = sum of IoU / TP, RQ = TP / (TP + FP/2 + FN/2) per class, each averaged over
the classes with TP + FP + FN > 0 (so that mean PQ is not mean SQ times mean RQ), as in panopticapi's evaluation.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unipan.arrays import Float64
from unipan.panoptic.categories import Categories

GROUPS = ("All", "Things", "Stuff")
"""The groups of classes that PQ is averaged over, by the official tool's names."""


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

    @classmethod
    def of(cls, categories: Categories, sums: Float64[np.ndarray, "L 4"]) -> "PanopticScores":
        """From IoU sum, TP, FP, FN of each class."""
        each = class_qualities(sums)
        means = group_means(categories, each)
        groups: dict[str, Quality | None] = {}
        for name, members in group_members(categories).items():
            count = int((~np.isnan(each[members, 0])).sum())
            pq, sq, rq = means[name].tolist()
            groups[name] = Quality(pq, sq, rq, count) if count else None
        values = np.nan_to_num(each).tolist()
        per_class = {
            category.id: ClassQuality(*value, *(int(count) for count in row[1:]))
            for category, value, row in zip(categories, values, sums.tolist(), strict=True)
        }
        return cls(groups, per_class)

    def __getitem__(self, group: str) -> Quality | None:
        return self.groups[group]

    def to_json(self) -> dict[str, Any]:
        """`{"All"|"Things"|"Stuff": {"pq", "sq", "rq", "n"} or null, "per_class": {category id: {...}}}`."""
        groups = {name: None if found is None else dict(vars(found)) for name, found in self.groups.items()}
        return {**groups, "per_class": {str(key): dict(vars(found)) for key, found in self.per_class.items()}}


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


def percent(value: float | None) -> str:
    """A fraction as the field writes it, in percent with one decimal; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def percents(values: Iterable[float | None]) -> str:
    """Several of them, with commas."""
    return ", ".join(map(percent, values))
