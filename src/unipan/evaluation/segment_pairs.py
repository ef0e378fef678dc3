"""Pairs of segments that share pixels, and what metrics ask of them: of one image, or of several at once."""

from functools import cached_property

import numpy as np

from unipan.arrays import Bool, Float64, Int64
from unipan.evaluation.matching import Batch, Matches, areas


class SegmentPairs:
    """The N pairs of T true and P predicted segments that share pixels; pairs with void are left out.

    Positions are those in the tables of the batch.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    @property
    def batch(self) -> Batch:
        """The segments and their overlaps, void included."""
        return self._batch

    @property
    def matches(self) -> Matches:
        """By the strict rules."""
        return self.batch.matches

    @cached_property
    def _segments_only(self) -> Bool[np.ndarray, " M"]:
        overlaps = self.batch.overlaps
        return (overlaps.truth < len(self.batch.truth)) & (overlaps.prediction < len(self.batch.prediction))

    @cached_property
    def truth(self) -> Int64[np.ndarray, " N"]:
        """Position of the true segment of each pair."""
        return np.asarray(self.batch.overlaps.truth[self._segments_only])

    @cached_property
    def prediction(self) -> Int64[np.ndarray, " N"]:
        """Position of the predicted segment of each pair."""
        return np.asarray(self.batch.overlaps.prediction[self._segments_only])

    @cached_property
    def pixels(self) -> Int64[np.ndarray, " N"]:
        """Pixels that each pair shares."""
        return np.asarray(self.batch.overlaps.pixels[self._segments_only])

    @property
    def truth_class(self) -> Int64[np.ndarray, " T"]:
        """Class index of each true segment."""
        return self.batch.truth.classes

    @property
    def prediction_class(self) -> Int64[np.ndarray, " P"]:
        """Class index of each predicted segment."""
        return self.batch.prediction.classes

    @property
    def crowd(self) -> Bool[np.ndarray, " T"]:
        """Which true segments are crowds."""
        return self.batch.truth.crowd

    @property
    def truth_area(self) -> Int64[np.ndarray, " T"]:
        """Pixels of each true segment."""
        return self.batch.truth_area

    @property
    def prediction_area(self) -> Int64[np.ndarray, " P"]:
        """Pixels of each predicted segment."""
        return self.batch.prediction_area

    @cached_property
    def on_void(self) -> Int64[np.ndarray, " P"]:
        """Pixels of each predicted segment that are void in the truth."""
        overlaps = self.batch.overlaps
        void = overlaps.truth >= len(self.batch.truth)
        return areas(overlaps.prediction[void], overlaps.pixels[void], len(self.batch.prediction))

    @cached_property
    def counted_area(self) -> Int64[np.ndarray, " P"]:
        """Pixels of each predicted segment that are not void in the truth."""
        return np.asarray(self.prediction_area - self.on_void)

    @cached_property
    def iou(self) -> Float64[np.ndarray, " N"]:
        """IoU of each pair, whatever its classes; the union leaves out what is void in the truth, as in PQ."""
        union = self.truth_area[self.truth] + self.counted_area[self.prediction] - self.pixels
        return np.asarray(self.pixels / union)

    @cached_property
    def same_class(self) -> Bool[np.ndarray, " N"]:
        """Which pairs have one class."""
        return np.asarray(self.truth_class[self.truth] == self.prediction_class[self.prediction])

    @cached_property
    def ignored(self) -> Bool[np.ndarray, " P"]:
        """Predictions more than half on void and on crowds of their class: no false positives if unmatched."""
        absorbed = self.same_class & self.crowd[self.truth]
        on_crowd = areas(self.prediction[absorbed], self.pixels[absorbed], len(self.batch.prediction))
        return np.asarray(self.on_void + on_crowd > 0.5 * self.prediction_area)
