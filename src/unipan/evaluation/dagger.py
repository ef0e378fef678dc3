"""PQ-dagger (Porzi et al. 2019, arXiv 1905.01220, Sec. 4): stuff by its IoU, without the gate at one half.

A thing class counts as in PQ. A stuff class counts its IoU in every image whose truth has it, averaged over those
images; where the truth has none of it, predicting it costs only the classes that it covers.
"""

import numpy as np

from unipan.arrays import Float64
from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.panoptic_quality import class_qualities, group_means, match_segments
from unipan.evaluation.segment_pairs import Pairs, total
from unipan.panoptic.maps import PanopticMap


class DaggerQuality(ClassSums):
    """PQ-dagger; per image and class: things IoU sum, TP, FP, FN, stuff its IoU, 1, 0, 0 where the truth has it.

    Stuff is taken class by class: several segments of one stuff class in one image count as one. The union leaves out
    the prediction's pixels on void, as in PQ (torchmetrics leaves out more, see docs/evaluation.md).
    """

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image. Raises ValueError as `PanopticQuality.update`."""
        pairs = Pairs.of(truth, prediction, self.categories, name)
        found = match_segments(truth, prediction, name)
        classes, matched = len(self.categories), pairs.truth_class[found.truth]
        counts = [
            np.bincount(matched, weights=found.iou, minlength=classes),
            np.bincount(matched, minlength=classes),
            np.bincount(pairs.prediction_class[found.spurious], minlength=classes),
            np.bincount(pairs.truth_class[found.missed], minlength=classes),
        ]
        rows = np.stack(counts, axis=1, dtype=np.float64)
        rows[pairs.things :] = 0
        rows[pairs.things :, :2] = stuff_iou(pairs, classes)[pairs.things :]
        self.put(name, rows)

    def compute(self) -> dict[str, float | None]:
        """PQ-dagger as fractions by the names of GROUPS; None for a group without a class that occurs."""
        means = group_means(self.categories, class_qualities(self.sums(4)))
        return {group: None if np.isnan(values[0]) else float(values[0]) for group, values in means.items()}


def stuff_iou(pairs: Pairs, classes: int) -> Float64[np.ndarray, "L 2"]:
    """For each class its IoU in one image and 1, or 0 and 0 where the truth has none of it (crowds aside)."""
    counted = ~pairs.crowd
    wanted = total(pairs.truth_class[counted], pairs.truth_area[counted], classes)
    given = total(pairs.prediction_class, pairs.counted_area, classes)
    both = pairs.same & counted[pairs.truth]
    shared = total(pairs.truth_class[pairs.truth[both]], pairs.pixels[both], classes)
    present = wanted > 0
    return np.stack([np.where(present, shared / np.maximum(wanted + given - shared, 1), 0.0), present], axis=1)
