"""The pairs of segments that meet, with what every rule asks of them: areas, classes, crowds, void."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unipan.arrays import Bool, Float64, Int64
from unipan.evaluation.class_sums import class_indices
from unipan.evaluation.panoptic_quality import count_overlaps
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap


@dataclass(frozen=True)
class Pairs:
    """N pairs of a truth with T segments and a prediction with P, void left out; positions are those in `segments`.

    Attributes:
        truth, prediction: positions of the two segments of each pair.
        pixels: that they share.
        truth_class, prediction_class: class index of each segment.
        truth_area, prediction_area: pixels of each segment.
        crowd: which segments of the truth are crowds.
        on_void: for each prediction its pixels on void.
        things: T; class indices below it are things.
    """

    truth: Int64[np.ndarray, " N"]
    prediction: Int64[np.ndarray, " N"]
    pixels: Int64[np.ndarray, " N"]
    truth_class: Int64[np.ndarray, " T"]
    prediction_class: Int64[np.ndarray, " P"]
    truth_area: Int64[np.ndarray, " T"]
    prediction_area: Int64[np.ndarray, " P"]
    crowd: Bool[np.ndarray, " T"]
    on_void: Int64[np.ndarray, " P"]
    things: int

    @classmethod
    def of(cls, truth: PanopticMap, prediction: PanopticMap, categories: Categories, name: str = "image") -> "Pairs":
        """Count the pairs of two maps of one image; raises ValueError as `count_overlaps`, and unknown categories."""
        truth_class = class_indices(truth, categories, f"{name}, truth")
        prediction_class = class_indices(prediction, categories, f"{name}, prediction")
        found = count_overlaps(truth, prediction, name)
        t, p, pixels = found.truth, found.prediction, found.pixels
        real = (t < len(truth)) & (p < len(prediction))
        return cls(
            t[real],
            p[real],
            pixels[real],
            truth_class,
            prediction_class,
            total(t, pixels, len(truth)),
            total(p, pixels, len(prediction)),
            np.array([segment.iscrowd for segment in truth], bool),
            total(p[t == len(truth)], pixels[t == len(truth)], len(prediction)),
            len(categories.things),
        )

    @cached_property
    def counted_area(self) -> Int64[np.ndarray, " P"]:
        """Pixels of each prediction that are not on void."""
        return np.asarray(self.prediction_area - self.on_void)

    @cached_property
    def iou(self) -> Float64[np.ndarray, " N"]:
        """Of each pair, whatever its classes; the union leaves out the prediction's pixels on void, as in PQ."""
        union = self.truth_area[self.truth] + self.counted_area[self.prediction] - self.pixels
        return np.asarray(self.pixels / union)

    @cached_property
    def same(self) -> Bool[np.ndarray, " N"]:
        """Which pairs have one class."""
        return np.asarray(self.truth_class[self.truth] == self.prediction_class[self.prediction])

    @cached_property
    def ignored(self) -> Bool[np.ndarray, " P"]:
        """Predictions more than half on void and on crowds of their class: no false positives if unmatched."""
        absorbed = self.same & self.crowd[self.truth]
        on_crowd = total(self.prediction[absorbed], self.pixels[absorbed], len(self.prediction_class))
        return np.asarray(self.on_void + on_crowd > 0.5 * self.prediction_area)


def total(owner: Int64[np.ndarray, " N"], pixels: Int64[np.ndarray, " N"], count: int) -> Int64[np.ndarray, " _"]:
    """Pixels summed for each of `count` owners; what belongs to void (position `count`) is left out."""
    return np.bincount(owner, weights=pixels, minlength=count + 1)[:count].astype(np.int64)
