"""The truth and the prediction of one image: what every metric needs of them, computed once for all metrics."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from unipan.arrays import Bool, Int32, Int64
from unipan.evaluation.matching import Batch, Overlaps, SegmentTable, count_overlaps, require_pixels
from unipan.evaluation.segment_pairs import SegmentPairs
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap


@dataclass(frozen=True)
class ImagePair(SegmentPairs):
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
