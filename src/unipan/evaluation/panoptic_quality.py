"""Panoptic quality of a set of images: collected image by image, in any parts, strict and official at once.

`compute()` is the strict figure, always the headline. `official()` is what panopticapi's evaluation.py prints, or None
with `official_reason` where it raises. The two readings are told apart in `unipan.evaluation.matching`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from unipan.arrays import Float64, Int64
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, Matches, match_official, match_strict
from unipan.evaluation.pq_scores import GROUPS, PanopticScores
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

SIZES = ("small", "medium", "large")
"""Below 32^2 pixels, below 96^2, and the rest (COCO's areas): of the truth's segment for TP and FN, else of the FP."""

_BOUNDS = np.array([32**2, 96**2])


@dataclass(frozen=True)
class ImageCounts:
    """One image's counts of the C classes that occur in them.

    Attributes:
        classes: their indices, ascending.
        sums: by class, by SIZES: IoU sum, TP, FP, FN.
    """

    classes: Int64[np.ndarray, " C"]
    sums: Float64[np.ndarray, "C 3 4"]

    @classmethod
    def of(cls, found: Matches, batch: Batch, truth_area: np.ndarray, images: int, classes: int) -> "list[ImageCounts]":
        """Count the matches of each image of a batch, whose tables bear class indices.

        Args:
            found: of the batch.
            batch: of this number of images.
            truth_area: by which sizes are told apart.
            images, classes: how many there are.
        """
        hits, wrong, lost = len(found.truth), len(found.false_positives), len(found.false_negatives)
        rows = (batch.truth_image * classes + batch.truth.classes, batch.prediction_image * classes)
        rows = (rows[0], rows[1] + batch.prediction.classes)
        hit = rows[0][found.truth]
        cells = np.concatenate([hit, hit, rows[1][found.false_positives], rows[0][found.false_negatives]])
        hit = truth_area[found.truth]
        sizes = _size_of(
            np.concatenate([hit, hit, batch.prediction_area[found.false_positives], truth_area[found.false_negatives]])
        )
        columns = np.repeat(np.arange(4), [hits, hits, wrong, lost])
        weights = np.concatenate([found.iou, np.ones(hits + wrong + lost)])
        occurs = np.bincount(cells, minlength=images * classes) > 0
        there, row_of = np.flatnonzero(occurs), np.cumsum(occurs) - 1
        counted = np.bincount(12 * row_of[cells] + 4 * sizes + columns, weights=weights, minlength=12 * len(there))
        # bincount of nothing is integer, whatever its weights
        sums = counted.astype(np.float64, copy=False).reshape(-1, 3, 4)
        ends = np.searchsorted(there, classes * np.arange(images + 1)).tolist()
        labels = there % classes
        return [cls(labels[start:end], sums[start:end]) for start, end in pairwise(ends)]

    @property
    def total(self) -> Float64[np.ndarray, "C 4"]:
        """Over all sizes."""
        return np.asarray(self.sums.sum(axis=1))

    def equals(self, other: "ImageCounts") -> bool:
        """Whether PQ is the same, sizes aside."""
        return np.array_equal(self.classes, other.classes) and np.array_equal(self.total, other.total)


@dataclass(frozen=True)
class PanopticQuality:
    """Collects images; `a + b` merges what two threads, ranks or shards have collected, in any order.

    Attributes:
        categories: the classes counted.
        counts: the strict counts per image name.
        official_counts: of the images where the official rules count otherwise.
        refusals: per image name why the official tool raises on it.
    """

    categories: Categories
    counts: dict[str, ImageCounts] = field(default_factory=dict)
    official_counts: dict[str, ImageCounts] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> Matches:
        """Count one image.

        Args:
            truth, prediction: of one size, with categories known to this object.
            name: unique within the dataset: a second image of the same name is refused, because an image that is
                counted twice (a sampler that pads, overlapping shards) silently falsifies PQ.

        Returns:
            The strict matches.

        Raises:
            ValueError: see `match_segments`; also an unknown category or a repeated name.
        """
        return self.add(ImagePair.of(truth, prediction, self.categories, name))

    def add(self, pair: ImagePair) -> Matches:
        """Count one image whose overlaps are known."""
        return self.put(pair.batch, [pair.name])

    def put(self, batch: Batch, names: Sequence[str], refusals: Mapping[int, str] = MappingProxyType({})) -> Matches:
        """Count images whose overlaps are known; one by one or many at once, the counts are the same.

        Args:
            batch: with class indices; segments without pixels do not count.
            names: of its images, unique within the dataset, see `update`.
            refusals: why the official tool raises on an image, by its position, where it does for what is not in
                the batch.

        Returns:
            The strict matches.

        Raises:
            ValueError: a repeated name; then no image is counted.
        """
        for name, count in Counter(names).items():
            self._once(name, count)
        found = match_strict(batch)
        counted = ImageCounts.of(found, batch, batch.truth_area, len(names), len(self.categories))
        refused = {**_refusals(batch), **refusals}
        self.refusals.update({names[image]: text for image, text in sorted(refused.items())})
        differing = sorted(_readings_differ(batch) - refused.keys())
        if differing:
            official = match_official(batch)
            others = ImageCounts.of(official, batch, batch.truth.declared, len(names), len(self.categories))
            self.official_counts.update(
                {names[image]: others[image] for image in differing if not others[image].equals(counted[image])}
            )
        self.counts.update(zip(names, counted, strict=True))
        return found

    def _once(self, name: str, count: int = 1) -> None:
        if count > 1 or name in self.counts:
            raise ValueError(f"{name}: this image was counted already; every image counts once")

    def __add__(self, other: "PanopticQuality") -> "PanopticQuality":
        if self.categories != other.categories:
            raise ValueError("panoptic quality: two parts with different categories cannot be merged")
        twice = sorted(self.counts.keys() & other.counts.keys())
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted in both parts; every image counts once")
        return PanopticQuality(
            self.categories,
            {**self.counts, **other.counts},
            {**self.official_counts, **other.official_counts},
            {**self.refusals, **other.refusals},
        )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def names(self) -> list[str]:
        """The images counted, sorted, so that nothing depends on who counted what first."""
        return sorted(self.counts)

    @property
    def per_image(self) -> Float64[np.ndarray, "I L 4"]:
        """IoU sum, TP, FP, FN per image (in the order of `names`) and class, by the strict rules."""
        found = np.zeros((len(self.counts), len(self.categories), 4))
        for row, name in enumerate(self.names):
            found[row, self.counts[name].classes] = self.counts[name].total
        return found

    def compute(self) -> PanopticScores:
        """Strict PQ, SQ, RQ over all images counted so far."""
        return self._scores([(each.classes, each.total) for each in self.counts.values()])

    def by_size(self) -> dict[str, PanopticScores]:
        """Strict PQ, SQ, RQ by SIZES: as if the segments of one size were all that is there."""
        rows = self.counts.values()
        return {
            size: self._scores([(each.classes, each.sums[:, column]) for each in rows])
            for column, size in enumerate(SIZES)
        }

    def official(self) -> PanopticScores | None:
        """What panopticapi prints; None where it raises (see `official_reason`)."""
        return self._official()[0]

    @property
    def official_reason(self) -> str | None:
        """Why `official()` is None."""
        return self._official()[1]

    def to_json(self) -> dict[str, Any]:
        """`{"official": R or null, "strict": R}`, R as in `PanopticScores`; next to a null, "official_reason"."""
        strict = self.compute()
        scores, reason = self._official(strict)
        found = {"official": scores and scores.to_json(), "strict": strict.to_json()}
        return found if reason is None else {**found, "official_reason": reason}

    def _official(self, strict: PanopticScores | None = None) -> tuple[PanopticScores | None, str | None]:
        if self.refusals:
            first = min(self.refusals)
            more = f" (and {len(self.refusals) - 1} more images)" if len(self.refusals) > 1 else ""
            return None, f"{first}: {self.refusals[first]}{more}"
        scores = strict or self.compute()
        if self.official_counts:
            counts = {**self.counts, **self.official_counts}
            scores = self._scores([(each.classes, each.total) for each in counts.values()])
        empty = [group for group in GROUPS if scores[group] is None]
        if empty:
            return None, f"no class of {' and '.join(empty)} occurs, and the official tool divides by zero"
        if not all(each is not None and math.isfinite(each.pq) for each in scores.groups.values()):
            return None, "the areas that the truth's JSON declares lead to a union of no pixels"
        return scores, None

    def _scores(self, rows: list[tuple[np.ndarray, np.ndarray]]) -> PanopticScores:
        """From the classes and counts of each image."""
        sums = np.zeros((len(self.categories), 4))
        if rows:
            classes = np.concatenate([each for each, _ in rows])
            values = np.concatenate([each for _, each in rows])
            order = np.argsort(classes, kind="stable")
            found, starts = np.unique(classes[order], return_index=True)
            parts = np.split(values[order], starts[1:])
            for label, part in zip(found.tolist(), parts, strict=True) if len(found) else ():
                # fsum rounds once, so the parts of a merge may come in any order and give the same bits.
                sums[label] = [math.fsum(column) for column in part.T.tolist()]
        return PanopticScores.of(self.categories, sums)


def _size_of(area: np.ndarray) -> Int64[np.ndarray, " N"]:
    return np.searchsorted(_BOUNDS, area, side="right").astype(np.int64, copy=False)


def _refusals(batch: Batch) -> dict[int, str]:
    """Why the official tool raises on these segments: the first reason of each image where it does."""
    truth, prediction, overlaps = batch.truth, batch.prediction, batch.overlaps
    found: dict[int, str] = {}
    for image in batch.overlap_image[overlaps.prediction > len(prediction)].tolist():
        found.setdefault(image, "the prediction's PNG has ids that its JSON does not declare")
    for row in np.flatnonzero(batch.prediction_area == 0).tolist():
        text = f"segment {prediction.ids[row]} of the prediction has no pixel in its PNG"
        found.setdefault(int(batch.prediction_image[row]), text)
    bare = np.append(np.isnan(truth.declared) & ~truth.crowd, [False, False])
    if not bare.any():
        return found
    pairs = np.flatnonzero(bare[overlaps.truth] & (overlaps.prediction < len(prediction)))
    rows, columns = overlaps.truth[pairs], overlaps.prediction[pairs]
    for row in rows[truth.classes[rows] == prediction.classes[columns]].tolist():  # read for an IoU, for nothing else
        found.setdefault(int(batch.truth_image[row]), f"segment {truth.ids[row]} of the truth's JSON has no `area`")
    return found


def _readings_differ(batch: Batch) -> set[int]:
    """The images whose official counts can be others than the strict ones."""
    truth = batch.truth
    crowds = np.flatnonzero(truth.crowd)
    kinds = [*zip(batch.truth_image[crowds].tolist(), truth.classes[crowds].tolist(), strict=True)]
    found = {image for (image, _), count in Counter(kinds).items() if count > 1}
    found.update(batch.truth_image[truth.declared != batch.truth_area].tolist())
    found.update(batch.overlap_image[batch.overlaps.truth > len(truth)].tolist())
    return found
