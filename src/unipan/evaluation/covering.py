"""Parsing covering (Yang et al. 2019, DeeperLab, arXiv 1902.05093, Sec. 4.2): how well regions are covered, by area.

SC_c = sum over the truth's segments R of class c of |R| max IoU(R, R') / sum of |R|, R' over the predictions of
class c; PC is the mean over the classes that the truth has. No match, no gate: large regions weigh by their size,
where PQ counts every segment alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, areas
from unipan.evaluation.pq_scores import group_members, percents
from unipan.evaluation.segment_pairs import SegmentPairs


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
        self.add_batch(pair.batch, [pair.name])

    def add_batch(self, batch: Batch, names: Sequence[str]) -> None:
        """Count several images whose overlaps are known."""
        pairs, images, classes = SegmentPairs(batch), len(names), len(self.categories)
        crowded = pairs.crowd[pairs.truth]
        given = pairs.counted_area - areas(pairs.prediction[crowded], pairs.pixels[crowded], len(batch.prediction))
        use = pairs.same_class & ~crowded
        t, p, pixels = pairs.truth[use], pairs.prediction[use], pairs.pixels[use]
        best = np.zeros(len(batch.truth))
        np.maximum.at(best, t, pixels / (pairs.truth_area[t] + given[p] - pixels))
        size = areas(batch.overlap_image, batch.overlaps.pixels, images) if self.by_image_size else np.ones(images)
        weight = np.where(pairs.crowd, 0, pairs.truth_area) / size[batch.truth_image]
        cell = batch.truth_image * classes + pairs.truth_class
        sums = [np.bincount(cell, weights=part, minlength=images * classes) for part in (weight * best, weight)]
        rows = np.stack(sums, axis=1, dtype=np.float64)
        for name, each in zip(names, rows.reshape(images, classes, 2), strict=True):
            self.put(name, each)

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
