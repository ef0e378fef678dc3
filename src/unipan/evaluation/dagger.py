"""PQ-dagger (Porzi et al. 2019, arXiv 1905.01220, Sec. 4): stuff by its IoU, without the gate at one half.

A thing class counts as in PQ. A stuff class counts its IoU in every image whose truth has it, averaged over those
images; where the truth has none of it, predicting it costs only the classes that it covers.
"""

import numpy as np

from unipan.arrays import Float64
from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import areas
from unipan.evaluation.pq_scores import class_qualities, group_means, percents


class DaggerQuality(ClassSums):
    """PQ-dagger; per image and class: things IoU sum, TP, FP, FN, stuff its IoU, 1, 0, 0 where the truth has it.

    Stuff is taken class by class: several segments of one stuff class in one image count as one. The union leaves out
    the prediction's pixels on void, as in PQ (torchmetrics leaves out more, see docs/evaluation.md).
    """

    def add(self, pair: ImagePair) -> None:
        """Count one image."""
        found, things = pair.matches, len(self.categories.things)
        classes, matched = len(self.categories), pair.truth_class[found.truth]
        counts = [
            np.bincount(matched, weights=found.iou, minlength=classes),
            np.bincount(matched, minlength=classes),
            np.bincount(pair.prediction_class[found.false_positives], minlength=classes),
            np.bincount(pair.truth_class[found.false_negatives], minlength=classes),
        ]
        rows = np.stack(counts, axis=1, dtype=np.float64)
        rows[things:] = 0
        rows[things:, :2] = stuff_iou(pair, classes)[things:]
        self.put(pair.name, rows)

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


def stuff_iou(pair: ImagePair, classes: int) -> Float64[np.ndarray, "L 2"]:
    """For each class its IoU in one image and 1, or 0 and 0 where the truth has none of it (crowds aside)."""
    counted = ~pair.crowd
    wanted = areas(pair.truth_class[counted], pair.truth_area[counted], classes)
    given = areas(pair.prediction_class, pair.counted_area, classes)
    both = pair.same_class & counted[pair.truth]
    shared = areas(pair.truth_class[pair.truth[both]], pair.pixels[both], classes)
    present = wanted > 0
    return np.stack([np.where(present, shared / np.maximum(wanted + given - shared, 1), 0.0), present], axis=1)
