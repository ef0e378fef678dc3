import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.evaluation.covering import ParsingCovering
from unipan.panoptic.maps import PanopticMap


def score(*pairs: tuple[PanopticMap, PanopticMap], by_image_size: bool = True) -> dict[str, float | None]:
    covering = ParsingCovering(CLASSES, by_image_size=by_image_size)
    for number, (truth, prediction) in enumerate(pairs):
        covering.update(truth, prediction, str(number))
    return covering.compute()


def test_by_hand() -> None:
    # Cars: c (4 pixels) is covered with 2/4 by C or k, the single C by nothing of its class; sky 3/4.
    truth, guess = of(["cccc", "Csss"]), of(["CCkk", "ssss"])
    found = score((truth, guess))
    assert found["Things"] == pytest.approx((4 * 0.5 + 1 * 0) / 5)
    assert found["Stuff"] == pytest.approx(3 / 4)
    assert found["All"] == pytest.approx((0.4 + 0.75) / 2)


def test_one_prediction_may_cover_many_and_classes_without_truth_do_not_count() -> None:
    assert score((of(["cC"]), of(["kk"])))["Things"] == 0.5
    assert score((of(["cc"]), of(["pp"]))) == {"All": 0.0, "Things": 0.0, "Stuff": None}


def test_void_and_crowds_count_nowhere() -> None:
    assert score((of(["cc.."]), of(["cccc"])))["Things"] == 1.0
    assert score((of(["ccCC"], crowds="C"), of(["cccc"])))["Things"] == 1.0
    assert score((of(["cc"], crowds="c"), of(["cc"])))["All"] is None


def test_small_images_weigh_as_much_as_large_ones_unless_told_otherwise() -> None:
    small, large = (of(["cc"]), of(["cs"])), (of(["cc"] * 4), of(["cc"] * 4))
    assert score(small, large)["Things"] == pytest.approx((0.5 + 1) / 2)
    assert score(small, large, by_image_size=False)["Things"] == pytest.approx((2 * 0.5 + 8) / 10)


def naive(truth: PanopticMap, prediction: PanopticMap) -> list[float]:
    """SC of each class that the truth has, in loops over boolean masks."""
    counted = (truth.ids != 0) & sum((truth.ids != s.id for s in truth if s.iscrowd), True)
    for s in truth:
        if s.iscrowd:
            counted = counted & (truth.ids != s.id)
    scores = []
    for category in CLASSES:
        covered = whole = 0.0
        for s in truth:
            if s.category.id != category.id or s.iscrowd:
                continue
            mine, best = truth.ids == s.id, 0.0
            for other in prediction:
                if other.category.id == category.id:
                    theirs = (prediction.ids == other.id) & counted
                    best = max(best, (mine & theirs).sum() / (mine | theirs).sum())
            covered, whole = covered + mine.sum() * best, whole + mine.sum()
        if whole:
            scores.append(covered / whole)
    return scores


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_the_definition_written_slowly(seed: int) -> None:
    truth, prediction = random_pair(seed)
    expected = naive(truth, prediction)
    found = score((truth, prediction))["All"]
    assert found == (pytest.approx(sum(expected) / len(expected)) if expected else None)


def test_parts_merge_and_settings_must_agree() -> None:
    pairs = [random_pair(seed) for seed in range(6)]
    parts = [ParsingCovering(CLASSES) for _ in range(2)]
    for number, (truth, prediction) in enumerate(pairs):
        parts[number % 2].update(truth, prediction, str(number))
    assert (parts[1] + parts[0]).compute() == score(*pairs)
    with pytest.raises(ValueError, match="different categories or settings"):
        parts[0] + ParsingCovering(CLASSES, by_image_size=False)
