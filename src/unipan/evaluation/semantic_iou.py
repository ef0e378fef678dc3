"""Mean IoU over pixels (Everingham et al. 2010; Table I reads it off the panoptic output).

Void pixels of the truth count nothing; a void prediction on a class is a miss of that class. Averages go over the
classes that occur in the truth or the prediction, as in cityscapesScripts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unipan.arrays import Int64, Integer
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch
from unipan.evaluation.pq_scores import percents
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID, PanopticMap, class_map
from unipan.panoptic.runs import runs


@dataclass(frozen=True)
class IoUScores:
    """Fractions; None where no class of the group occurs.

    Attributes:
        mean, things, stuff: averages over the classes that occur.
        per_class: by category id.
    """

    mean: float | None
    things: float | None
    stuff: float | None
    per_class: dict[int, float | None]

    def to_json(self) -> dict[str, object]:
        """`{"mean", "things", "stuff": fraction or null, "per_class": {category id: fraction or null}}`."""
        per_class = {str(key): value for key, value in self.per_class.items()}
        return {"mean": self.mean, "things": self.things, "stuff": self.stuff, "per_class": per_class}


class SemanticIoU:
    """A confusion matrix that `update` fills and `a + b` merges.

    Attributes:
        categories: the classes, L of them.
        confusion: pixels by truth (row) and prediction (column); the last column is void.
    """

    def __init__(self, categories: Categories, confusion: Int64[np.ndarray, "L M"] | None = None) -> None:
        classes = len(categories)
        self.categories = categories
        self.confusion = np.zeros((classes, classes + 1), np.int64) if confusion is None else confusion

    def update(
        self,
        truth: PanopticMap | Integer[np.ndarray, "H W"],
        prediction: PanopticMap | Integer[np.ndarray, "H W"],
        name: str = "image",
    ) -> None:
        """Count one image, given as panoptic maps or as maps of class indices (VOID = -1).

        Raises:
            ValueError: the sizes differ, or a class is unknown.
        """
        wanted, given = self._classes(truth, f"{name}, truth"), self._classes(prediction, f"{name}, prediction")
        if wanted.shape != given.shape:
            raise ValueError(f"{name}: the prediction is {given.shape} but the truth is {wanted.shape}")
        starts, lengths = runs(wanted, given)
        rows, columns = wanted.reshape(-1)[starts].astype(np.int64), given.reshape(-1)[starts].astype(np.int64)
        counted = rows != VOID
        width = len(self.categories) + 1
        pairs = rows * width + np.where(columns == VOID, width - 1, columns)
        found = np.bincount(pairs[counted], weights=lengths[counted], minlength=self.confusion.size)
        self.confusion += found.reshape(self.confusion.shape).astype(np.int64)

    def add(self, pair: ImagePair) -> None:
        """Count one image whose overlaps are known."""
        self.add_batch(pair.batch, [pair.name])

    def add_batch(self, batch: Batch, names: Sequence[str]) -> None:  # noqa: ARG002  a sum needs no names
        """Count several images whose overlaps are known."""
        void = len(self.categories)
        rows, columns = (
            np.append(segments.classes, [void, void])[positions]
            for segments, positions in (
                (batch.truth, batch.overlaps.truth),
                (batch.prediction, batch.overlaps.prediction),
            )
        )
        found = np.zeros((void + 1, void + 1), np.int64)
        np.add.at(found, (rows, columns), batch.overlaps.pixels)
        self.confusion += found[:void]

    def _classes(self, given: PanopticMap | Integer[np.ndarray, "H W"], source: str) -> Integer[np.ndarray, "H W"]:
        if isinstance(given, PanopticMap):
            return class_map(given, self.categories)
        if given.size and (given.min() < VOID or given.max() >= len(self.categories)):
            raise ValueError(
                f"{source}: class indices run from {VOID} (void) to {len(self.categories) - 1}, "
                f"found {given.min()}..{given.max()}"
            )
        return given

    def __add__(self, other: "SemanticIoU") -> "SemanticIoU":
        if self.categories != other.categories:
            raise ValueError("semantic IoU: two parts with different categories cannot be merged")
        return type(self)(self.categories, self.confusion + other.confusion)

    def compute(self) -> IoUScores:
        """IoU over all pixels counted so far."""
        square = self.confusion[:, :-1]
        shared = np.diag(square)
        union = self.confusion.sum(axis=1) + square.sum(axis=0) - shared
        each = [int(s) / int(u) if u else None for s, u in zip(shared, union, strict=True)]
        things = len(self.categories.things)
        per_class = {category.id: value for category, value in zip(self.categories, each, strict=True)}
        return IoUScores(_mean(each), _mean(each[:things]), _mean(each[things:]), per_class)

    def to_json(self) -> dict[str, object]:
        """As `IoUScores.to_json`."""
        return self.compute().to_json()

    def lines(self) -> list[str]:
        """Mean IoU of all classes, things, stuff."""
        found = self.compute()
        return [f"mean IoU: {percents([found.mean, found.things, found.stuff])}"]


def _mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
