"""Trimming of small stuff (the paper's Table I): part of an evaluation, never of inference.

The paper's Table I removes small stuff segments before scoring, 2048 pixels on Cityscapes and 4096 on COCO
(UPSNet's and panopticapi's limits). It lifts PQ of stuff by about 2 points without a better network, so both figures
belong in a report.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS, percent, percents
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID_ID, PanopticMap
from unipan.panoptic.runs import rows_of_ids, runs


def trim_stuff(prediction: PanopticMap, area: int) -> PanopticMap:
    """The prediction with every stuff segment of fewer than `area` pixels turned into void.

    Pixels are counted from the map, at the image's own size. The same object where nothing is that small.

    Raises:
        ValueError: a negative area, or a map that disagrees with its segments.
    """
    _check_area(area)
    starts, lengths = runs(prediction.ids)
    ids = [segment.id for segment in prediction]
    rows = rows_of_ids(prediction.ids.reshape(-1)[starts], ids, "trim stuff")
    areas = np.bincount(rows, weights=lengths, minlength=len(ids) + 1)[:-1]
    stuff = np.array([not segment.isthing for segment in prediction], bool)
    small = stuff & (areas < area)
    if not small.any():
        return prediction
    table = np.array([*np.where(small, VOID_ID, ids), VOID_ID], np.int32)
    kept = tuple(segment for segment, gone in zip(prediction, small, strict=True) if not gone)
    return PanopticMap(np.repeat(table[rows], lengths).reshape(prediction.ids.shape), kept)


def _check_area(area: int) -> None:
    if area < 0:
        raise ValueError(f"trim stuff: the area is {area} pixels; give 0 or more (4096 on COCO, 2048 on Cityscapes)")


@dataclass(frozen=True)
class Scored:
    """PQ and IoU of the same panoptic maps; `a + b` merges two parts."""

    quality: PanopticQuality
    iou: SemanticIoU

    @classmethod
    def of(cls, categories: Categories) -> "Scored":
        """Nothing counted yet."""
        return cls(PanopticQuality(categories), SemanticIoU(categories))

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image. Raises ValueError as `ImagePair.of` and for a repeated name."""
        self.add(ImagePair.of(truth, prediction, self.quality.categories, name))

    def add(self, pair: ImagePair) -> None:
        """Count one image whose overlaps are known."""
        self.quality.add(pair)
        self.iou.add(pair)

    def __add__(self, other: "Scored") -> "Scored":
        return Scored(self.quality + other.quality, self.iou + other.iou)

    def stuff(self) -> dict[str, float | None]:
        """PQ, SQ, RQ and IoU of stuff, as fractions; None where no stuff occurs."""
        found = self.quality.compute()["Stuff"]
        three = {name: None if found is None else getattr(found, name) for name in ("pq", "sq", "rq")}
        return {**three, "iou": self.iou.compute().stuff}


@dataclass(frozen=True)
class TrimEffect:
    """Table I: stuff before and after trimming; `a + b` merges two parts.

    Attributes:
        area: in pixels, see `trim_stuff`.
        before, after: of the predictions as they are, and trimmed.
    """

    area: int
    before: Scored
    after: Scored

    @classmethod
    def of(cls, categories: Categories, area: int) -> "TrimEffect":
        """Nothing counted yet. Raises ValueError for a negative area."""
        _check_area(area)
        return cls(area, Scored.of(categories), Scored.of(categories))

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image. Raises ValueError as `ImagePair.of` and for a repeated name."""
        self.add(ImagePair.of(truth, prediction, self.before.quality.categories, name))

    def add(self, pair: ImagePair) -> None:
        """Count one image whose overlaps are known."""
        self.before.add(pair)
        stuff = pair.prediction_class >= len(pair.categories.things)
        kept = ~(stuff & (pair.prediction_area < self.area))
        self.after.add(pair if kept.all() else pair.keep(np.ones(len(pair.truth_segments), bool), kept))

    def __add__(self, other: "TrimEffect") -> "TrimEffect":
        if self.area != other.area:
            raise ValueError(f"trim stuff: parts trimmed at {self.area} and {other.area} pixels cannot be merged")
        return TrimEffect(self.area, self.before + other.before, self.after + other.after)

    def compute(self) -> dict[str, dict[str, float | None]]:
        """`{"untrimmed", "trimmed", "delta": {"pq", "sq", "rq", "iou"}}` of stuff, as fractions."""
        before, after = self.before.stuff(), self.after.stuff()
        delta = {}
        for name, value in before.items():
            other = after[name]
            delta[name] = None if value is None or other is None else other - value
        return {"untrimmed": before, "trimmed": after, "delta": delta}

    def groups(self) -> dict[str, dict[str, float | None]]:
        """PQ, SQ and RQ of All, Things and Stuff, trimmed: the row that papers print."""
        scores = self.after.quality.compute()
        return {
            group: {key: None if scores[group] is None else getattr(scores[group], key) for key in ("pq", "sq", "rq")}
            for group in GROUPS
        }

    def to_json(self) -> dict[str, Any]:
        """The area, what `compute` finds of stuff, and under "groups" the trimmed scores of all classes."""
        return {"area": self.area, **self.compute(), "groups": self.groups()}

    def lines(self) -> list[str]:
        """The trimmed scores as a row, and the effect on stuff."""
        found = self.compute()
        parts = [f"{group} {percents(scores.values())}" for group, scores in self.groups().items()]
        changes = [
            f"{name} {percent(found['untrimmed'][key])} to {percent(found['trimmed'][key])}"
            for key, name in (("pq", "PQ"), ("sq", "SQ"), ("rq", "RQ"), ("iou", "IoU"))
        ]
        return [
            f"stuff segments below {self.area} pixels trimmed (never in inference): PQ, SQ, RQ of {'; '.join(parts)}",
            f"  stuff from {', '.join(changes)}",
        ]
