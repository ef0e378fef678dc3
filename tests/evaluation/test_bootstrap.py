import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.evaluation.bootstrap import Interval, bootstrap_pq, bootstrap_quality, paired_bootstrap_pq, percentile
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.panoptic.categories import Categories


def counted(seeds: range, better: bool = False) -> PanopticQuality:
    quality = PanopticQuality(CLASSES)
    for seed in seeds:
        truth, prediction = random_pair(seed)
        quality.update(truth, truth if better and seed % 2 else prediction, f"{seed:04d}")
    return quality


def test_interval_holds_the_figure_and_narrows_with_more_images() -> None:
    few, many = counted(range(20)), counted(range(200))
    for quality in (few, many):
        value = quality.compute()["All"]
        found = bootstrap_pq(quality)["All"]
        assert value is not None
        assert found is not None
        assert found.value == value.pq
        assert found.low < found.value < found.high
    narrow, wide = bootstrap_pq(many)["Things"], bootstrap_pq(few)["Things"]
    assert narrow is not None
    assert wide is not None
    assert narrow.high - narrow.low < wide.high - wide.low


def test_resamples_equal_recounting_the_drawn_images() -> None:
    quality = counted(range(6))
    drawn = np.random.default_rng(0).integers(6, size=(50, 6))
    values = []
    for rows in drawn:
        again = PanopticQuality(CLASSES, {f"{k}": quality.counts[quality.names[row]] for k, row in enumerate(rows)})
        scores = again.compute()["Stuff"]
        values.append([np.nan] * 3 if scores is None else [scores.pq, scores.sq, scores.rq])
    found = bootstrap_quality(quality, resamples=50, seed=0)["Stuff"]
    whole = quality.compute()["Stuff"]
    assert found is not None
    assert whole is not None
    low, high = np.nanpercentile(values, [2.5, 97.5], axis=0)
    for column, metric in enumerate(("pq", "sq", "rq")):
        assert found[metric].value == getattr(whole, metric)
        assert (found[metric].low, found[metric].high) == pytest.approx((low[column], high[column]), abs=1e-12)
    assert bootstrap_pq(quality, resamples=50, seed=0)["Stuff"] == found["pq"]


def test_an_interval_reads_as_percent() -> None:
    assert str(Interval(0.5834, 0.55, 1.0)) == "58.3 (55.0–100)"


def test_fixed_seed_and_order_of_counting_do_not_change_the_interval() -> None:
    forward, parts = counted(range(30)), counted(range(15, 30)) + counted(range(15))
    assert bootstrap_pq(forward) == bootstrap_pq(parts)
    assert bootstrap_pq(forward, seed=1) != bootstrap_pq(forward)


def test_paired_difference() -> None:
    worse, better = counted(range(60)), counted(range(60), better=True)
    gain = paired_bootstrap_pq(better, worse)["All"]
    assert gain is not None
    assert gain.excludes_zero
    assert gain.low > 0
    loss = paired_bootstrap_pq(worse, better)["All"]
    assert loss is not None
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low))
    same = paired_bootstrap_pq(worse, worse)["All"]
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert not same.excludes_zero


def test_a_group_without_classes_has_no_interval() -> None:
    quality = PanopticQuality(CLASSES)
    quality.update(of(["ss"]), of(["ss"]), "a")
    assert bootstrap_pq(quality, resamples=10)["Things"] is None
    assert bootstrap_quality(quality, resamples=10)["Things"] is None
    assert paired_bootstrap_pq(quality, quality, resamples=10)["Things"] is None


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no image was counted"):
        bootstrap_pq(PanopticQuality(CLASSES))
    with pytest.raises(ValueError, match="in only one of the two runs"):
        paired_bootstrap_pq(counted(range(3)), counted(range(4)))
    with pytest.raises(ValueError, match="different categories"):
        paired_bootstrap_pq(PanopticQuality(CLASSES), PanopticQuality(Categories(CLASSES.things)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([0.0, 2.5, 5.0, 33.3, 50.0, 97.5, 100.0]))
def test_percentiles_are_numpys(seed: int, count: int, percent: float) -> None:
    values = np.random.default_rng(seed).random((count, 3))
    np.testing.assert_array_equal(percentile(values, percent), np.percentile(values, percent, axis=0))
