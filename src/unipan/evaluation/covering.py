"""Parsing covering (Yang et al. 2019, DeeperLab, arXiv 1902.05093, Sec. 4.2): how well regions are covered, by area.

SC_c = sum over the truth's segments R of class c of |R| max IoU(R, R') / sum of |R|, R' over the predictions of
class c; PC is the mean over the classes that the truth has. No match, no gate: large regions weigh by their size,
where PQ counts every segment alike.
"""

from dataclasses import dataclass

import numpy as np

from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import areas
from unipan.evaluation.pq_scores import group_members, percents


@dataclass(frozen=True)
class ParsingCovering(ClassSums):
    """PC; per image and class the sum of |R| max IoU, and of |R|.

    Attributes:
        by_image_size: |R| is a share of the image, so that every image weighs the same (the default of the authors'
            deeplab/evaluation); else pixels, as the paper writes it. Equal for images of one size.
    """

    by_image_size: bool = True

    def add(self, pair: ImagePair) -> None:
        """Count one image; its void and crowds count nowhere."""
        crowded = pair.crowd[pair.truth]
        given = pair.counted_area - areas(pair.prediction[crowded], pair.pixels[crowded], len(pair.prediction_segments))
        use = pair.same_class & ~crowded
        t, p, pixels = pair.truth[use], pair.prediction[use], pair.pixels[use]
        best = np.zeros(len(pair.truth_segments))
        np.maximum.at(best, t, pixels / (pair.truth_area[t] + given[p] - pixels))
        weight = np.where(pair.crowd, 0, pair.truth_area) / (pair.truth_ids.size if self.by_image_size else 1)
        classes = len(self.categories)
        sums = [np.bincount(pair.truth_class, weights=part, minlength=classes) for part in (weight * best, weight)]
        self.put(pair.name, np.stack(sums, axis=1, dtype=np.float64))

    def compute(self) -> dict[str, float | None]:
        """PC as fractions by the names of GROUPS; None for a group without a class in the truth."""
        covered, area = self.sums(2).T
        found: dict[str, float | None] = {}
        for group, members in group_members(self.categories).items():
            present = area[members] > 0
            shares = covered[members][present] / area[members][present]
            found[group] = float(shares.mean()) if present.any() else None
        return found

    def to_json(self) -> dict[str, float | None]:
        """As `compute`."""
        return self.compute()

    def lines(self) -> list[str]:
        """Of all, things, stuff."""
        return [f"parsing covering: {percents(self.compute().values())}"]
