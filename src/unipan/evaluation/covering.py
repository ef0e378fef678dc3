"""Parsing covering (Yang et al. 2019, DeeperLab, arXiv 1902.05093, Sec. 4.2): how well regions are covered, by area.

SC_c = sum over the truth's segments R of class c of |R| max IoU(R, R') / sum of |R|, R' over the predictions of
class c; PC is the mean over the classes that the truth has. No match, no gate: large regions weigh by their size,
where PQ counts every segment alike.
"""

from dataclasses import dataclass

import numpy as np

from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.panoptic_quality import group_members
from unipan.evaluation.segment_pairs import Pairs, total
from unipan.panoptic.maps import PanopticMap


@dataclass(frozen=True)
class ParsingCovering(ClassSums):
    """PC; per image and class the sum of |R| max IoU, and of |R|.

    Attributes:
        by_image_size: |R| is a share of the image, so that every image weighs the same (the default of the authors'
            deeplab/evaluation); else pixels, as the paper writes it. Equal for images of one size.
    """

    by_image_size: bool = True

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image; its void and crowds count nowhere. Raises ValueError as `PanopticQuality.update`."""
        pairs = Pairs.of(truth, prediction, self.categories, name)
        crowded = pairs.crowd[pairs.truth]
        given = pairs.counted_area - total(
            pairs.prediction[crowded], pairs.pixels[crowded], len(pairs.prediction_class)
        )
        use = pairs.same & ~crowded
        t, p, pixels = pairs.truth[use], pairs.prediction[use], pairs.pixels[use]
        best = np.zeros(len(truth))
        np.maximum.at(best, t, pixels / (pairs.truth_area[t] + given[p] - pixels))
        weight = np.where(pairs.crowd, 0, pairs.truth_area) / (truth.ids.size if self.by_image_size else 1)
        classes = len(self.categories)
        sums = [np.bincount(pairs.truth_class, weights=part, minlength=classes) for part in (weight * best, weight)]
        self.put(name, np.stack(sums, axis=1, dtype=np.float64))

    def compute(self) -> dict[str, float | None]:
        """PC as fractions by the names of GROUPS; None for a group without a class in the truth."""
        covered, area = self.sums(2).T
        found: dict[str, float | None] = {}
        for group, members in group_members(self.categories).items():
            present = area[members] > 0
            shares = covered[members][present] / area[members][present]
            found[group] = float(shares.mean()) if present.any() else None
        return found
