"""Panoptic quality of a set of images: collected image by image, in any parts, strict and official at once.

>>> import numpy as np
>>> from unipan.panoptic.categories import Categories
>>> rows = [{"id": 7, "name": "cat", "isthing": 1}, {"id": 9, "name": "sky", "isthing": 0}]
>>> metric = PanopticQuality(Categories.from_coco(rows))
>>> truth = (np.array([[1, 1, 2, 2]]), [{"id": 1, "category_id": 7}, {"id": 2, "category_id": 9}])
>>> prediction = (np.array([[5, 5, 5, 6]]), {5: 7, 6: 9})
>>> _ = metric.update(truth, prediction)
>>> round(metric.compute()["Things"].pq, 4), metric.compute()["Stuff"].pq
(0.6667, 0.0)

`compute()` is the strict figure, always the headline. `official()` is what panopticapi's evaluation.py prints, or None
with `official_reason` where it raises. The two readings are told apart in `unipan.evaluation.matching`.
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from operator import add
from types import MappingProxyType
from typing import Any

import numpy as np

from unipan.arrays import Float64, Int32, Int64
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, Matches, match_official
from unipan.evaluation.pq_scores import GROUPS, PanopticScores
from unipan.panoptic.categories import Categories
from unipan.panoptic.given_maps import GivenMap, as_map

SIZES = ("small", "medium", "large")
"""Below 32^2 pixels, below 96^2, and the rest (COCO's areas): of the truth's segment for TP and FN, else of the FP."""

_BOUNDS = np.array([32**2, 96**2])


_CELLS_OF_A_CLASS = 12  # of a class: 3 sizes, each with IoU sum, TP, FP, FN
_AT_ONCE = 512  # images whose counts are written out with all zeros: memory does not grow with the dataset


@dataclass(frozen=True)
class ImageCounts:
    """One image's counts, without the zeros: a class has one or two segments of one size in an image.

    Attributes:
        cells: 12 class + 4 size + column, ascending; sizes as in SIZES, columns are IoU sum, TP, FP, FN.
        values: of these cells.
    """

    cells: Int32[np.ndarray, " N"]
    values: Float64[np.ndarray, " N"]

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
        rows = batch.truth_image * classes + batch.truth.classes
        others = batch.prediction_image * classes + batch.prediction.classes
        hit, hit_area = rows[found.truth], truth_area[found.truth]
        row = np.concatenate([hit, hit, others[found.false_positives], rows[found.false_negatives]])
        area = [hit_area, hit_area, batch.prediction_area[found.false_positives], truth_area[found.false_negatives]]
        columns = np.repeat(np.arange(4), [hits, hits, wrong, lost])
        keys, cell = np.unique(
            _CELLS_OF_A_CLASS * row + 4 * _size_of(np.concatenate(area)) + columns, return_inverse=True
        )
        counted = np.bincount(cell, weights=np.concatenate([found.iou, np.ones(hits + wrong + lost)]))
        # bincount of nothing is integer, whatever its weights
        values, width = counted.astype(np.float64, copy=False), _CELLS_OF_A_CLASS * classes
        ends = np.searchsorted(keys, width * np.arange(images + 1)).tolist()
        cells = (keys % width).astype(np.int32)
        return [cls(cells[start:end], values[start:end]) for start, end in pairwise(ends)]

    @property
    def classes(self) -> Int64[np.ndarray, " C"]:
        """Indices of the classes that occur, ascending."""
        return np.unique(self.cells // _CELLS_OF_A_CLASS).astype(np.int64)

    @property
    def total(self) -> Float64[np.ndarray, "C 4"]:
        """IoU sum, TP, FP, FN of each of `classes`, over all sizes."""
        classes, row = np.unique(self.cells // _CELLS_OF_A_CLASS, return_inverse=True)
        counted = np.bincount(4 * row + self.cells % 4, weights=self.values, minlength=4 * len(classes))
        return counted.astype(np.float64, copy=False).reshape(-1, 4)

    def equals(self, other: "ImageCounts") -> bool:
        """Whether PQ is the same, sizes aside."""
        return np.array_equal(self.classes, other.classes) and np.array_equal(self.total, other.total)


@dataclass(frozen=True)
class PanopticQuality:
    """Collects images; `a + b` merges what two threads, ranks or shards have collected, in any order.

    In a training loop: `update` for each image, `gather` where several processes share the images, `compute`, `reset`.

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
    _computed: dict[int, PanopticScores] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.categories, Categories):
            raise TypeError(
                f"PanopticQuality: {type(self.categories).__name__} instead of Categories; "
                "unipan.Categories.from_coco(rows) makes them of COCO's rows"
            )

    def update(self, truth: GivenMap, prediction: GivenMap, name: str | None = None) -> Matches:
        """Count one image.

        Args:
            truth, prediction: of one size, with categories known to this object: panoptic maps, or arrays or tensors
                of ids with their segments, see `as_map`.
            name: unique within the dataset: a second image of the same name is refused, because an image that is
                counted twice (a sampler that pads, overlapping shards) silently falsifies PQ. Images without a name
                are numbered; nobody can tell then whether one comes twice.

        Returns:
            The strict matches.

        Raises:
            ValueError: see `as_map` and `match_segments`; also an unknown category or a repeated name.
        """
        name = _number(len(self.counts)) if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"PanopticQuality: the name of an image is a text, not {name!r}")
        known = as_map(truth, self.categories, f"{name}, truth")
        return self.add(
            ImagePair.of(known, as_map(prediction, self.categories, f"{name}, prediction"), self.categories, name)
        )

    def reset(self) -> None:
        """Forget all images."""
        for collected in (self.counts, self.official_counts, self.refusals, self._computed):
            collected.clear()

    def gather(self) -> "PanopticQuality":
        """What all processes of torch.distributed have collected, the same in each; every process must call it.

        Without such processes it is this object itself.
        """
        distributed: Any = getattr(sys.modules.get("torch"), "distributed", None)
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return self
        parts: list[PanopticQuality] = [self] * distributed.get_world_size()
        distributed.all_gather_object(parts, self)
        return reduce(add, parts)

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
        found = batch.matches
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
        other = other._numbered_after(self)
        twice = sorted(self.counts.keys() & other.counts.keys())
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted in both parts; every image counts once")
        return PanopticQuality(
            self.categories,
            {**self.counts, **other.counts},
            {**self.official_counts, **other.official_counts},
            {**self.refusals, **other.refusals},
        )

    def __radd__(self, other: int) -> "PanopticQuality":
        """`sum(parts)` begins with 0."""
        return self if other == 0 else NotImplemented

    def _numbered_after(self, first: "PanopticQuality") -> "PanopticQuality":
        """With other numbers for images without a name, where both parts have some."""
        theirs, ours = ([name for name in each.names if _NUMBERED.fullmatch(name)] for each in (first, self))
        if not theirs or not ours:
            return self
        start = int(theirs[-1][1:])  # never above the number of images
        new = dict.fromkeys(self.counts) | {name: _number(start + place) for place, name in enumerate(ours)}
        parts = (self.counts, self.official_counts, self.refusals)
        renamed: list[Any] = [{new[name] or name: value for name, value in part.items()} for part in parts]
        return PanopticQuality(self.categories, *renamed)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def names(self) -> list[str]:
        """The images counted, sorted, so that nothing depends on who counted what first."""
        return sorted(self.counts)

    @property
    def per_image(self) -> Float64[np.ndarray, "I L 4"]:
        """IoU sum, TP, FP, FN per image (in the order of `names`) and class, by the strict rules."""
        listed = [self.counts[name] for name in self.names]
        found = np.empty((len(listed), len(self.categories), 4))
        for start in range(0, len(listed), _AT_ONCE):
            found[start : start + _AT_ONCE] = self._dense(listed[start : start + _AT_ONCE])
        return found

    def compute(self) -> PanopticScores:
        """Strict PQ, SQ, RQ over all images counted so far."""
        count = len(self.counts)  # images are never taken away
        if count not in self._computed:
            self._computed.clear()
            self._computed[count] = self._scores(self.counts.values())
        return self._computed[count]

    def by_size(self) -> dict[str, PanopticScores]:
        """Strict PQ, SQ, RQ by SIZES: as if the segments of one size were all that is there."""
        return {size: self._scores(self.counts.values(), number) for number, size in enumerate(SIZES)}

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
        scores, reason = self._official()
        found = {"official": scores and scores.to_json(), "strict": strict.to_json()}
        return found if reason is None else {**found, "official_reason": reason}

    def _official(self) -> tuple[PanopticScores | None, str | None]:
        if self.refusals:
            first = min(self.refusals)
            more = f" (and {len(self.refusals) - 1} more images)" if len(self.refusals) > 1 else ""
            return None, f"{first}: {self.refusals[first]}{more}"
        scores = self.compute()
        if self.official_counts:
            counts = {**self.counts, **self.official_counts}
            scores = self._scores(counts.values())
        empty = [group for group in GROUPS if scores[group] is None]
        if empty:
            return None, f"no class of {' and '.join(empty)} occurs, and the official tool divides by zero"
        if not all(each is not None and math.isfinite(each.pq) for each in scores.groups.values()):
            return None, "the areas that the truth's JSON declares lead to a union of no pixels"
        return scores, None

    def _scores(self, counts: Collection[ImageCounts], size: int | None = None) -> PanopticScores:
        """Over all images; by one of SIZES, or by all."""
        listed, sums = list(counts), np.zeros((len(self.categories), 4))
        found: list[list[Float64[np.ndarray, " N"]]] = [[] for _ in self.categories]
        for start in range(0, len(listed), _AT_ONCE):
            dense = self._dense(listed[start : start + _AT_ONCE], size)
            sums += dense.sum(axis=0)
            for parts, column in zip(found, dense[..., 0].T, strict=True):
                parts.append(column[column != 0])
        # fsum rounds once, so the parts of a merge may come in any order and give the same bits. Counts never round.
        sums[:, 0] = [math.fsum(np.concatenate(parts).tolist()) if parts else 0.0 for parts in found]
        return PanopticScores.of(self.categories, sums)

    def _dense(self, counts: Collection[ImageCounts], size: int | None = None) -> Float64[np.ndarray, "I L 4"]:
        """With all zeros; of one of SIZES, or added up over all."""
        image = np.repeat(np.arange(len(counts)), [len(each.cells) for each in counts])
        cells = np.concatenate([np.zeros(0, np.int64), *(each.cells for each in counts)])
        values = np.concatenate([np.zeros(0), *(each.values for each in counts)])
        if size is not None:
            wanted = cells // 4 % 3 == size
            image, cells, values = image[wanted], cells[wanted], values[wanted]
        row = 4 * len(self.categories)
        found = np.bincount(
            image * row + cells // _CELLS_OF_A_CLASS * 4 + cells % 4, weights=values, minlength=len(counts) * row
        )
        return found.astype(np.float64, copy=False).reshape(len(counts), len(self.categories), 4)


def _number(position: int) -> str:
    """The name of an image that has none."""
    return f"#{position + 1:09d}"


_NUMBERED = re.compile(r"#\d{9}")


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
