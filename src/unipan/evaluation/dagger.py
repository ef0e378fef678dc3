"""PQ-dagger (Porzi et al. 2019, arXiv 1905.01220, Sec. 4): stuff by its IoU, without the gate at one half.

A thing class counts as in PQ. A stuff class counts its IoU in every image whose truth has it, averaged over those
images; where the truth has none of it, predicting it costs only the classes that it covers.
"""

from collections.abc import Sequence

import numpy as np

from unipan.arrays import Float64
from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, areas
from unipan.evaluation.pq_scores import class_qualities, group_means, percents
from unipan.evaluation.segment_pairs import SegmentPairs


class DaggerQuality(ClassSums):
    """PQ-dagger; per image and class: things IoU sum, TP, FP, FN, stuff its IoU, 1, 0, 0 where the truth has it.

    Stuff is taken class by class: several segments of one stuff class in one image count as one. The union leaves out
    the prediction's pixels on void, as in PQ (torchmetrics leaves out more, see docs/evaluation.md).
    """

    def add(self, pair: ImagePair) -> None:
        """Count one image."""
        self.add_batch(pair.batch, [pair.name])

    def add_batch(self, batch: Batch, names: Sequence[str]) -> None:
        """Count several images whose overlaps are known."""
        pairs, images, things = SegmentPairs(batch), len(names), len(self.categories.things)
        found, classes = pairs.matches, len(self.categories)
        wanted = batch.truth_image * classes + pairs.truth_class
        given = batch.prediction_image * classes + pairs.prediction_class
        matched, cells = wanted[found.truth], images * classes
        counts = [
            np.bincount(matched, weights=found.iou, minlength=cells),
            np.bincount(matched, minlength=cells),
            np.bincount(given[found.false_positives], minlength=cells),
            np.bincount(wanted[found.false_negatives], minlength=cells),
        ]
        rows = np.stack(counts, axis=1, dtype=np.float64).reshape(images, classes, len(counts))
        rows[:, things:] = 0
        rows[:, things:, :2] = stuff_iou(pairs, images, classes)[:, things:]
        for name, each in zip(names, rows, strict=True):
            self.put(name, each)

    def compute(self) -> dict[str, float | None]:
        """PQ-dagger as fractions by the names of GROUPS; None for a group without a class that occurs."""
        means = group_means(self.categories, class_qualities(self.sums(4)))
        return {group: None if np.isnan(values[0]) else float(values[0]) for group, values in means.items()}

    def to_json(self) -> dict[str, float | None]:
        """As `compute`."""
        return self.compute()

    def lines(self) -> list[str]:
        """Of all, things, stuff."""
        return [f"PQ†: {percents(self.compute().values())}"]


def stuff_iou(pairs: SegmentPairs, images: int, classes: int) -> Float64[np.ndarray, "N L 2"]:
    """For each image and class its IoU and 1, or 0 and 0 where the truth has none of it (crowds aside)."""
    counted, cells = ~pairs.crowd, images * classes
    wanted_in = pairs.batch.truth_image * classes + pairs.truth_class
    given_in = pairs.batch.prediction_image * classes + pairs.prediction_class
    wanted = areas(wanted_in[counted], pairs.truth_area[counted], cells)
    given = areas(given_in, pairs.counted_area, cells)
    both = pairs.same_class & counted[pairs.truth]
    shared = areas(wanted_in[pairs.truth[both]], pairs.pixels[both], cells)
    present = wanted > 0
    iou = np.where(present, shared / np.maximum(wanted + given - shared, 1), 0.0)
    return np.stack([iou, present], axis=1).reshape(images, classes, 2)
