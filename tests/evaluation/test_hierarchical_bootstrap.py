"""Intervals over trainings and images: against hand-made cases in which the answer is known."""

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.evaluation.hierarchical_bootstrap import SeededQuality, statistic_interval
from unipan.evaluation.pq_scores import PanopticScores


def counts_of(iou: list[list[float]]) -> np.ndarray:
    """(S, I, L, 4): in each image one matched segment of every class, of the given IoU; IoU 0 is a miss."""
    found = np.zeros((len(iou), len(iou[0]), len(CATEGORIES), 4))
    for seed, row in enumerate(iou):
        for image, value in enumerate(row):
            found[seed, image, :] = (value, 1, 0, 0) if value else (0, 0, 0, 1)
    return found


def test_the_value_is_the_mean_of_each_trainings_pq() -> None:
    counts = counts_of([[0.8, 0.6, 0.0], [0.9, 0.9, 0.9]])
    each = []
    for run in counts:
        quality = PanopticScores.of(CATEGORIES, run.sum(axis=0))["All"]
        assert quality is not None
        each.append(quality.pq)
    assert each[0] == pytest.approx(1.4 / 2.5)
    found = SeededQuality.of(counts, CATEGORIES)
    assert found.mean("All") == pytest.approx(np.mean(each))
    assert found.spread("All") == pytest.approx(np.std(each, ddof=1))
    interval = found.interval()
    assert interval is not None
    assert interval.low < interval.value < interval.high


def test_trainings_that_differ_widen_the_interval_though_all_images_agree() -> None:
    found = SeededQuality.of(counts_of([[0.6] * 5, [0.8] * 5]), CATEGORIES).interval()
    assert found is not None
    assert (found.low, found.value, found.high) == (pytest.approx(0.6), pytest.approx(0.7), pytest.approx(0.8))


def test_one_training_on_equal_images_has_no_width() -> None:
    quality = SeededQuality.of(counts_of([[0.7] * 4]), CATEGORIES)
    found = quality.interval("Things", "sq")
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.7), pytest.approx(0.7))
    assert quality.spread("All") is None


def test_differences_are_paired_by_training_and_image() -> None:
    generator = np.random.default_rng(0)
    base = generator.uniform(0.5, 0.9, (3, 20))
    a, b = (SeededQuality.of(counts_of(values.tolist()), CATEGORIES) for values in (base + 0.05, base))
    found = a.minus(b)
    assert found is not None  # the same .05 in every training and image, however different those are
    assert (found.low, found.value, found.high) == (pytest.approx(0.05),) * 3
    assert a.interval().high - a.interval().low > 0.01  # type: ignore[union-attr]


def test_with_many_images_and_one_training_it_is_the_usual_standard_error() -> None:
    values = np.random.default_rng(1).uniform(0.5, 1.0, (1, 400))
    found = SeededQuality.of(counts_of(values.tolist()), CATEGORIES, resamples=4000).interval()
    assert found is not None
    error = values.std() / 20
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_group_without_classes_has_no_interval() -> None:
    counts = counts_of([[0.7] * 4])
    counts[:, :, 2:] = 0
    quality = SeededQuality.of(counts, CATEGORIES)
    assert quality.interval("Stuff") is None
    assert quality.minus(quality, "Stuff") is None
    assert quality.interval("Things") is not None


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_nothing_to_resample(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no training or no image"):
        SeededQuality.of(np.zeros(shape), CATEGORIES)


def test_any_statistic_is_resampled_as_pq_is() -> None:
    generator = np.random.default_rng(0)
    counts = counts_of(generator.uniform(0.5, 1, (3, 20)).tolist())
    expected = SeededQuality.of(counts, CATEGORIES).interval()

    def pq(sums: np.ndarray) -> np.ndarray:  # every class has the same counts: one will do
        return np.asarray(sums[..., 0] / (sums[..., 1] + (sums[..., 2] + sums[..., 3]) / 2))

    found = statistic_interval(counts[:, :, 0], pq)
    assert found is not None
    assert expected is not None
    assert (found.low, found.value, found.high) == pytest.approx((expected.low, expected.value, expected.high))
