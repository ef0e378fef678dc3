"""What each kind of error costs: PQ after repairing that kind alone, minus PQ.

A repair edits the counts of PQ, in the segments of its kind and nowhere else:
- a missed segment becomes a match with an IoU of 1; under a wrong name (rule 1 of `errors`) it becomes a match with
  the IoU of the prediction that wears the name, because renaming keeps the shape;
- a spurious prediction is gone;
- `poor boundary` moreover lifts the IoU of every match to 1, of renamed segments too if their kind is repaired as well.

So all repairs together leave a match with an IoU of 1 for every segment and nothing else: PQ 100. Costs do not add
up: PQ is a ratio, and an average over the classes that occur, which repairs may change. Neighbours of a repaired
segment keep their IoU, so a cost is a lower bound of what a better map would gain.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from unipan.arrays import Float64
from unipan.evaluation.errors import BOUNDARY, KINDS, TINY_SHARE, ImageErrors, explain_batch
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch
from unipan.evaluation.pq_scores import GROUPS, class_qualities, group_means, percents
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

Figures = dict[str, float | None]
"""A figure for each of GROUPS, as fraction; None for a group without a class that occurs."""


@dataclass(frozen=True)
class KindCost:
    """One kind of error.

    Attributes:
        truths: segments of the truth that are of it, missed or matched.
        predictions: spurious ones.
        cost: PQ that repairing it alone gains, at least 0.
    """

    truths: int
    predictions: int
    cost: Figures


@dataclass(frozen=True)
class ErrorCosts:
    """What `ErrorDecomposition.compute()` finds.

    Attributes:
        pq: as it is.
        kinds: by the names in KINDS.
        repaired: PQ with all kinds repaired: 1 in every group.
    """

    pq: Figures
    kinds: dict[str, KindCost]
    repaired: Figures

    def to_json(self) -> dict[str, Any]:
        """`{"pq": {group: ...}, "kinds": {kind: {"truths", "predictions", "cost"}}, "repaired": {...}}`."""
        kinds = {kind: dict(vars(cost)) for kind, cost in self.kinds.items()}
        return {"pq": self.pq, "kinds": kinds, "repaired": self.repaired}


@dataclass(frozen=True)
class ErrorDecomposition:
    """Collects images; `a + b` merges two parts, in any order.

    Attributes:
        categories: the classes counted.
        tiny: share of the image below which stuff is tiny.
        images: the errors of each image by its name.
    """

    categories: Categories
    tiny: float = TINY_SHARE
    images: dict[str, ImageErrors] = field(default_factory=dict)

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> ImageErrors:
        """Explain one image. Raises ValueError as `ImagePair.of` and for a repeated name."""
        return self.add(ImagePair.of(truth, prediction, self.categories, name))

    def add(self, pair: ImagePair) -> ImageErrors:
        """Explain one image whose overlaps are known."""
        self.add_batch(pair.batch, [pair.name])
        return self.images[pair.name]

    def add_batch(self, batch: Batch, names: Sequence[str]) -> None:
        """Explain several images whose overlaps are known. Raises ValueError for a repeated name."""
        twice = sorted(name for name, count in Counter(names).items() if count > 1 or name in self.images)
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted already; every image counts once")
        found = explain_batch(batch, len(names), len(self.categories.things), self.tiny)
        self.images.update(zip(names, found, strict=True))

    def __add__(self, other: "ErrorDecomposition") -> "ErrorDecomposition":
        if (self.categories, self.tiny) != (other.categories, other.tiny):
            raise ValueError("error decomposition: two parts with different categories or settings cannot be merged")
        twice = sorted(self.images.keys() & other.images.keys())
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted in both parts; every image counts once")
        return ErrorDecomposition(self.categories, self.tiny, {**self.images, **other.images})

    def compute(self) -> ErrorCosts:
        """PQ, the cost of every kind, and PQ with all repaired."""
        segments = _Segments.of(list(self.images.values()))
        now = self._means(segments, ())
        before = _figures(now, now)
        kinds = {}
        for number, kind in enumerate(KINDS):
            after = _figures(now, self._means(segments, (number,)))
            cost = {group: _difference(after[group], before[group]) for group in GROUPS}
            truths, predictions = segments.truth_kind == number, segments.prediction_kind == number
            kinds[kind] = KindCost(int(truths.sum()), int(predictions.sum()), cost)
        return ErrorCosts(before, kinds, _figures(now, self._means(segments, range(len(KINDS)))))

    def to_json(self) -> dict[str, Any]:
        """As `ErrorCosts.to_json`."""
        return self.compute().to_json()

    def lines(self) -> list[str]:
        """What each kind of error costs, the most expensive first."""
        costs = self.compute()
        kinds = sorted(costs.kinds.items(), key=lambda pair: -(pair[1].cost["All"] or 0.0))
        lines = ["PQ that each kind of error costs (they do not add up), of all, things, stuff:"]
        lines += [
            f"  {kind}: {percents(found.cost.values())}; {found.truths} true, {found.predictions} predicted segments"
            for kind, found in kinds
        ]
        return [*lines, f"  all repaired: PQ {percents(costs.repaired.values())}"]

    def pq_after(self, kinds: Collection[str]) -> Figures:
        """PQ after repairing several kinds together.

        Raises:
            ValueError: a name that is not one of KINDS.
        """
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise ValueError(f"error kinds: {unknown[0]!r} is none of {', '.join(KINDS)}")
        segments = _Segments.of(list(self.images.values()))
        after = self._means(segments, [KINDS.index(kind) for kind in kinds])
        return _figures(self._means(segments, ()), after)

    def _means(self, segments: "_Segments", repair: Collection[int]) -> dict[str, float]:
        """PQ of each group after repairing some kinds; NaN for a group without a class."""
        each = class_qualities(segments.counts(repair, len(self.categories)))
        return {group: float(values[0]) for group, values in group_means(self.categories, each).items()}


@dataclass(frozen=True)
class _Segments:
    """The errors of all images in one, crowds left out, the truth's by class."""

    truth_kind: np.ndarray
    truth_class: np.ndarray
    iou: np.ndarray
    repaired: np.ndarray
    prediction_kind: np.ndarray
    prediction_class: np.ndarray

    @classmethod
    def of(cls, images: list[ImageErrors]) -> "_Segments":
        def joined(name: str, dtype: type = np.int64) -> np.ndarray:
            return np.concatenate([np.zeros(0, dtype), *(getattr(image, name) for image in images)])

        truth_class, spurious = joined("truth_class"), joined("prediction_kind") >= 0
        order = np.argsort(truth_class, kind="stable")[np.count_nonzero(truth_class < 0) :]
        return cls(
            joined("truth_kind")[order],
            truth_class[order],
            joined("iou", np.float64)[order],
            joined("repaired", np.float64)[order],
            joined("prediction_kind")[spurious],
            joined("prediction_class")[spurious],
        )

    def counts(self, kinds: Collection[int], classes: int) -> Float64[np.ndarray, "L 4"]:
        """IoU sum, TP, FP, FN per class after repairing these kinds."""
        repairs = np.zeros(len(KINDS) + 1, bool)  # the last one is for RIGHT
        repairs[list(kinds)] = True
        iou = np.where(repairs[self.truth_kind], 1.0 if BOUNDARY in kinds else self.repaired, self.iou)
        spurious = self.prediction_class[~repairs[self.prediction_kind]]
        hit, values = iou > 0, iou.tolist()
        bounds = np.searchsorted(self.truth_class, np.arange(classes + 1)).tolist()
        return np.stack(
            [
                np.array([math.fsum(values[start:end]) for start, end in pairwise(bounds)]),
                np.bincount(self.truth_class[hit], minlength=classes),
                np.bincount(spurious, minlength=classes),
                np.bincount(self.truth_class[~hit], minlength=classes),
            ],
            axis=1,
            dtype=np.float64,
        )


def _figures(now: dict[str, float], after: dict[str, float]) -> Figures:
    figures: Figures = {}
    for group in GROUPS:
        # A group whose only errors were false positives is left with no class, and with no error.
        perfect = 1.0 if math.isnan(after[group]) else after[group]
        figures[group] = None if math.isnan(now[group]) else perfect
    return figures


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
