"""How sure a PQ is: percentile bootstrap over the images (Efron and Tibshirani 1993, ch. 13).

Each resample draws as many images as there are, with repetition; a class that a resample misses is left out of its
average, as in the definition of PQ. Fixed seeds: the same counts give the same interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unipan.arrays import Float64
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS, class_qualities, group_means

METRICS = ("pq", "sq", "rq")
"""In the order of `class_qualities`' last axis."""

_DRAWS_AT_ONCE = 200_000  # draws held in memory at once, at 24 bytes each


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

    def __str__(self) -> str:
        """In percent, like `58.3 (55.1–61.0)`."""
        value, low, high = (f"{100 * v:.1f}" if v < 0.9995 else "100" for v in (self.value, self.low, self.high))
        return f"{value} ({low}–{high})"


Intervals = dict[str, dict[str, Interval] | None]
"""By GROUPS and METRICS; None for a group without classes."""


def bootstrap_quality(
    quality: PanopticQuality, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Intervals:
    """PQ, SQ and RQ (by METRICS) of All, Things and Stuff, their intervals over images from the same resamples.

    A group without classes is None.

    Raises:
        ValueError: no image was counted.
    """
    return _intervals(_values(quality), _resampled(quality, resamples, seed), confidence)


def bootstrap_pq(
    quality: PanopticQuality, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval | None]:
    """The PQ of `bootstrap_quality`."""
    return _pq_alone(bootstrap_quality(quality, resamples, confidence, seed))


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
    values_a, values_b = _values(a), _values(b)
    drawn_a, drawn_b = _resampled(a, resamples, seed), _resampled(b, resamples, seed)
    values = {group: values_a[group] - values_b[group] for group in GROUPS}
    return _pq_alone(_intervals(values, {group: drawn_a[group] - drawn_b[group] for group in GROUPS}, confidence))


def _pq_alone(found: Intervals) -> dict[str, Interval | None]:
    return {group: None if each is None else each["pq"] for group, each in found.items()}


def _values(quality: PanopticQuality) -> dict[str, Float64[np.ndarray, " 3"]]:
    scores = quality.compute()
    found = {group: scores[group] for group in GROUPS}
    return {
        group: np.full(3, np.nan) if each is None else np.array([each.pq, each.sq, each.rq])
        for group, each in found.items()
    }


def _resampled(quality: PanopticQuality, resamples: int, seed: int) -> dict[str, Float64[np.ndarray, "R 3"]]:
    per_image = quality.per_image
    images, classes, _ = per_image.shape
    if images == 0:
        raise ValueError("bootstrap: no image was counted")
    flat = per_image.reshape(images, -1)
    sums = np.concatenate([weights @ flat for weights in _weights(images, resamples, seed)])
    return group_means(quality.categories, class_qualities(sums.reshape(resamples, classes, 4)))


def _weights(images: int, resamples: int, seed: int) -> Iterator[Float64[np.ndarray, "R I"]]:
    """How often each resample draws each image, in chunks of bounded memory."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _DRAWS_AT_ONCE // images)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(images, size=(rows, images))
        drawn += np.arange(rows)[:, None] * images
        yield np.bincount(drawn.reshape(-1), minlength=rows * images).reshape(rows, images).astype(np.float64)


def _intervals(
    values: dict[str, Float64[np.ndarray, " 3"]], drawn: dict[str, Float64[np.ndarray, "R 3"]], confidence: float
) -> Intervals:
    tail = 50 * (1 - confidence)
    found: Intervals = {}
    for group, value in values.items():
        # A group without classes has none of the three figures.
        usable = drawn[group][~np.isnan(drawn[group]).any(axis=1)]
        if np.isnan(value).any() or len(usable) == 0:
            found[group] = None
            continue
        low, high = (percentile(usable, each).tolist() for each in (tail, 100 - tail))
        found[group] = {metric: Interval(*row) for metric, *row in zip(METRICS, value.tolist(), low, high, strict=True)}
    return found


def percentile(values: Float64[np.ndarray, "R n"], percent: float) -> Float64[np.ndarray, " n"]:
    """As `np.percentile(values, percent, axis=0)`, to the last bit; that imports numpy.ma, which takes a while."""
    ordered = np.sort(values, axis=0)
    place = percent / 100 * (len(values) - 1)
    low, share = int(place), place - int(place)
    below, above = ordered[low], ordered[min(low + 1, len(values) - 1)]
    return np.asarray(above - (above - below) * (1 - share) if share >= 0.5 else below + (above - below) * share)
