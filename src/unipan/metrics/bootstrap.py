"""How sure a PQ is: percentile bootstrap over the images (Efron and Tibshirani 1993, ch. 13).

Each resample draws as many images as there are, with repetition; a class that a resample misses is left out of its
average, as in the definition of PQ. Fixed seeds: the same counts give the same interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from unipan.categories import Categories
from unipan.metrics.panoptic_quality import GROUPS, PanopticQuality, class_qualities, group_means

_CELLS = 4_000_000  # draws held in memory at once


@dataclass(frozen=True)
class Interval:
    """A figure with its interval, as fractions."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is clear of zero."""
        return self.low > 0 or self.high < 0


def bootstrap_pq(
    quality: PanopticQuality, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval | None]:
    """PQ of All, Things and Stuff with an interval over images; None for a group without classes.

    Raises:
        ValueError: no image was counted.
    """
    drawn = _resampled_pq(quality.categories, quality.per_image, resamples, seed)
    return _intervals(_pq(quality), drawn, confidence)


def paired_bootstrap_pq(
    a: PanopticQuality, b: PanopticQuality, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval | None]:
    """PQ(a) - PQ(b) of two runs on the same images, with an interval from the same resamples for both.

    Raises:
        ValueError: the runs have different images or classes, or none.
    """
    if a.categories != b.categories:
        raise ValueError("paired bootstrap: the two runs have different categories")
    if a.names != b.names:
        odd = sorted(set(a.names) ^ set(b.names))
        raise ValueError(f"paired bootstrap: {odd[0]} and {len(odd) - 1} more images are in only one of the two runs")
    drawn_a = _resampled_pq(a.categories, a.per_image, resamples, seed)
    drawn_b = _resampled_pq(b.categories, b.per_image, resamples, seed)
    pq_a, pq_b = _pq(a), _pq(b)
    values = {group: pq_a[group] - pq_b[group] for group in GROUPS}
    return _intervals(values, {group: drawn_a[group] - drawn_b[group] for group in GROUPS}, confidence)


def _pq(quality: PanopticQuality) -> dict[str, float]:
    scores = quality.compute()
    found = {group: scores[group] for group in GROUPS}
    return {group: np.nan if value is None else value.pq for group, value in found.items()}


def _resampled_pq(
    categories: Categories, per_image: Float64[np.ndarray, "I L 4"], resamples: int, seed: int
) -> dict[str, Float64[np.ndarray, " R"]]:
    images, classes, _ = per_image.shape
    if images == 0:
        raise ValueError("bootstrap: no image was counted")
    flat = per_image.reshape(images, -1)
    sums = np.concatenate([weights @ flat for weights in _weights(images, resamples, seed)])
    means = group_means(categories, class_qualities(sums.reshape(resamples, classes, 4)))
    return {group: means[group][:, 0] for group in GROUPS}


def _weights(images: int, resamples: int, seed: int) -> Iterator[Float64[np.ndarray, "R I"]]:
    """How often each resample draws each image, in chunks of bounded memory."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS // images)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(images, size=(rows, images))
        drawn += np.arange(rows)[:, None] * images
        yield np.bincount(drawn.reshape(-1), minlength=rows * images).reshape(rows, images).astype(np.float64)


def _intervals(
    values: dict[str, float], drawn: dict[str, Float64[np.ndarray, " R"]], confidence: float
) -> dict[str, Interval | None]:
    tail = 50 * (1 - confidence)
    found: dict[str, Interval | None] = {}
    for group, value in values.items():
        usable = drawn[group][~np.isnan(drawn[group])]
        if np.isnan(value) or usable.size == 0:
            found[group] = None
            continue
        low, high = np.percentile(usable, [tail, 100 - tail]).tolist()
        found[group] = Interval(float(value), low, high)
    return found
