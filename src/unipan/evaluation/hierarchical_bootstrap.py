"""How sure a PQ is when both the images and the training could have been others: hierarchical bootstrap.

Each resample draws trainings (seeds) with repetition and, independently, images with repetition: both are crossed,
because every training is scored on the same images. With three seeds there are only ten sets to draw, so the spread
between trainings is underestimated; the spread itself is printed next to the interval.
Source: Davison and Hinkley 1997, sec. 3.8 (resampling at every level).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unipan.arrays import Float64, Int64
from unipan.evaluation.bootstrap import METRICS, Interval
from unipan.evaluation.pq_scores import GROUPS, class_qualities, group_means
from unipan.panoptic.categories import Categories

RESAMPLES = 1000


@dataclass(frozen=True)
class SeededQuality:
    """PQ, SQ and RQ (in the order of METRICS) of several trainings on the same images.

    Attributes:
        each: per group one row per training.
        draws: per group one row per resample; rows of two of these with equal seeds and images are paired.
    """

    each: dict[str, Float64[np.ndarray, "S 3"]]
    draws: dict[str, Float64[np.ndarray, "R 3"]]

    @classmethod
    def of(
        cls, counts: Float64[np.ndarray, "S I L 4"], categories: Categories, resamples: int = RESAMPLES, seed: int = 0
    ) -> "SeededQuality":
        """From IoU sum, TP, FP, FN by training, image and class.

        Raises:
            ValueError: no training or no image.
        """
        seeds, images, classes, _ = counts.shape
        if not seeds or not images:
            raise ValueError("bootstrap: there is no training or no image to resample")
        drawn_seeds, drawn_images = _drawn(seeds, images, resamples, seed)
        found = []
        for run in counts:
            sums = (drawn_images @ run.reshape(images, -1)).reshape(resamples, classes, 4)
            found.append(group_means(categories, class_qualities(sums)))
        rows = np.arange(resamples)[:, None]
        draws = {}
        for group in GROUPS:
            stacked = np.stack([each[group] for each in found], axis=1)  # (R, S, 3)
            draws[group] = stacked[rows, drawn_seeds].mean(axis=1)
        return cls(group_means(categories, class_qualities(counts.sum(axis=1))), draws)

    def mean(self, group: str, metric: str = "pq") -> float:
        """Over the trainings."""
        return float(self.each[group][:, METRICS.index(metric)].mean())

    def spread(self, group: str, metric: str = "pq") -> float | None:
        """Standard deviation between trainings (n - 1); None with one."""
        values = self.each[group][:, METRICS.index(metric)]
        return float(values.std(ddof=1)) if len(values) > 1 else None

    def interval(self, group: str = "All", metric: str = "pq", confidence: float = 0.95) -> Interval | None:
        """Of the mean over the trainings; None for a group without classes."""
        column = METRICS.index(metric)
        return _interval(self.mean(group, metric), self.draws[group][:, column], confidence)

    def minus(
        self, other: "SeededQuality", group: str = "All", metric: str = "pq", confidence: float = 0.95
    ) -> Interval | None:
        """This minus another one's, paired by resample: both must come from the same seeds and images."""
        column = METRICS.index(metric)
        value = self.mean(group, metric) - other.mean(group, metric)
        return _interval(value, self.draws[group][:, column] - other.draws[group][:, column], confidence)


def statistic_interval(
    counts: Float64[np.ndarray, "S I N"],
    statistic: Callable[[Float64[np.ndarray, "... N"]], Float64[np.ndarray, "..."]],
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval | None:
    """Mean over the trainings of what is computed from counts summed over images, resampled as PQ is.

    With one entry instead of the images (their sum) only the trainings are resampled.
    """
    seeds, images, _ = counts.shape
    drawn_seeds, drawn_images = _drawn(seeds, images, resamples, seed)
    each = statistic(np.einsum("ri,sin->rsn", drawn_images, counts))
    draws = np.take_along_axis(each, drawn_seeds, axis=1).mean(axis=1)
    return _interval(float(statistic(counts.sum(axis=1)).mean()), draws, confidence)


def _drawn(
    seeds: int, images: int, resamples: int, seed: int
) -> tuple[Int64[np.ndarray, "R S"], Float64[np.ndarray, "R I"]]:
    """Which trainings a resample has, and how often each image."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(seeds, size=(resamples, seeds))
    return drawn, generator.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def _interval(value: float, draws: Float64[np.ndarray, " R"], confidence: float) -> Interval | None:
    usable = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(usable):
        return None
    tail = 50 * (1 - confidence)
    low, high = np.percentile(usable, [tail, 100 - tail]).tolist()
    return Interval(value, low, high)
