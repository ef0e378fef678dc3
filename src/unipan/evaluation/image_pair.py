"""The truth and the prediction of one image: what every metric needs of them, computed once for all metrics."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from unipan.arrays import Bool, Float64, Int32, Int64
from unipan.evaluation.matching import (
    Batch,
    Matches,
    Overlaps,
    SegmentTable,
    areas,
    count_overlaps,
    match_strict,
    require_pixels,
)
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap


@dataclass(frozen=True)
class ImagePair:
    """T true and P predicted segments and the N pairs of them that share pixels.

    Attributes:
        name: of the image, unique within the dataset.
        categories: of the dataset.
        truth_ids, prediction_ids: the maps. Ids that the tables do not list are void.
        truth_segments, prediction_segments: tables with class indices.
        overlaps: pixels of every pair of segments, void included.
    """

    name: str
    categories: Categories
    truth_ids: Int32[np.ndarray, "H W"]
    prediction_ids: Int32[np.ndarray, "H W"]
    truth_segments: SegmentTable
    prediction_segments: SegmentTable
    overlaps: Overlaps

    @classmethod
    def of(
        cls, truth: PanopticMap, prediction: PanopticMap, categories: Categories, name: str = "image"
    ) -> "ImagePair":
        """Count the overlaps of two maps.

        Raises:
            ValueError: the maps differ in size, a map and its segments disagree, or a category is unknown.
        """
        truth_segments = SegmentTable.of(truth, class_indices(truth, categories, f"{name}, truth"))
        given = SegmentTable.of(prediction, class_indices(prediction, categories, f"{name}, prediction"))
        overlaps = count_overlaps(truth, prediction, name)
        require_pixels(truth, overlaps.truth, f"{name}, truth")
        require_pixels(prediction, overlaps.prediction, f"{name}, prediction")
        return cls(name, categories, truth.ids, prediction.ids, truth_segments, given, overlaps)

    def keep(self, truth: Bool[np.ndarray, " T"], prediction: Bool[np.ndarray, " P"]) -> "ImagePair":
        """The pair with only some of its segments; the others, and ids that no segment declares, become void."""
        overlaps = Overlaps(
            _renumbered(self.overlaps.truth, truth),
            _renumbered(self.overlaps.prediction, prediction),
            self.overlaps.pixels,
        )
        return replace(
            self,
            truth_segments=self.truth_segments[truth],
            prediction_segments=self.prediction_segments[prediction],
            overlaps=overlaps,
        )

    @cached_property
    def batch(self) -> Batch:
        """The pair as a batch of one image."""
        return Batch.of([(self.overlaps, self.truth_segments, self.prediction_segments)])

    @cached_property
    def matches(self) -> Matches:
        """By the strict rules."""
        return match_strict(self.batch)

    @cached_property
    def _segments_only(self) -> Bool[np.ndarray, " M"]:
        inside = self.overlaps.truth < len(self.truth_segments)
        return inside & (self.overlaps.prediction < len(self.prediction_segments))

    @cached_property
    def truth(self) -> Int64[np.ndarray, " N"]:
        """Position of the true segment of each pair; pairs with void are left out here and in what follows."""
        return np.asarray(self.overlaps.truth[self._segments_only])

    @cached_property
    def prediction(self) -> Int64[np.ndarray, " N"]:
        """Position of the predicted segment of each pair."""
        return np.asarray(self.overlaps.prediction[self._segments_only])

    @cached_property
    def pixels(self) -> Int64[np.ndarray, " N"]:
        """Pixels that each pair shares."""
        return np.asarray(self.overlaps.pixels[self._segments_only])

    @property
    def truth_class(self) -> Int64[np.ndarray, " T"]:
        """Class index of each true segment."""
        return self.truth_segments.classes

    @property
    def prediction_class(self) -> Int64[np.ndarray, " P"]:
        """Class index of each predicted segment."""
        return self.prediction_segments.classes

    @property
    def crowd(self) -> Bool[np.ndarray, " T"]:
        """Which true segments are crowds."""
        return self.truth_segments.crowd

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
        void = self.overlaps.truth >= len(self.truth_segments)
        return areas(self.overlaps.prediction[void], self.overlaps.pixels[void], len(self.prediction_segments))

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
        on_crowd = areas(self.prediction[absorbed], self.pixels[absorbed], len(self.prediction_segments))
        return np.asarray(self.on_void + on_crowd > 0.5 * self.prediction_area)


def class_indices(panoptic: PanopticMap, categories: Categories, source: str) -> Int64[np.ndarray, " N"]:
    """The class index of each segment. Raises ValueError that names a segment of an unknown category."""
    index = categories.index_of_id
    for segment in panoptic:
        if segment.category.id not in index:
            raise ValueError(
                f"{source}: segment {segment.id} has category id {segment.category.id}, which is not one of the "
                f"{len(categories)} classes"
            )
    return np.array([index[segment.category.id] for segment in panoptic], np.int64)


def _renumbered(positions: Int64[np.ndarray, " M"], kept: Bool[np.ndarray, " N"]) -> Int64[np.ndarray, " M"]:
    count = np.count_nonzero(kept)
    renumbered = np.append(np.where(kept, np.cumsum(kept) - 1, count), [count, count])
    return np.asarray(renumbered[positions])
