"""What the kinds cost: by hand, against the counts edited one by one, and exactly 100 with all repaired."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.evaluation.error_costs import ErrorCosts, ErrorDecomposition
from unipan.evaluation.errors import KINDS
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS, class_qualities, group_means
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap, panoptic_map


def decompose(*pairs: tuple[PanopticMap, PanopticMap]) -> ErrorDecomposition:
    found = ErrorDecomposition(CLASSES, tiny=0.05)
    for number, (truth, prediction) in enumerate(pairs):
        found.update(truth, prediction, str(number))
    return found


def test_a_missed_and_a_spurious_thing_by_hand() -> None:
    # Cars: one right, one missed, one spurious: 1 / (1 + .5 + .5). Of the sky 10 of 12 pixels.
    truth, guess = of(["cc..CC", "ssssss", "ssssss"]), of(["cc....", "ssssss", "sskkss"])
    costs = decompose((truth, guess)).compute()
    sky = 10 / 12
    assert costs.pq["Things"] == pytest.approx(1 / 2)
    assert costs.pq["Stuff"] == pytest.approx(sky)
    assert costs.kinds["missed"].cost["Things"] == pytest.approx(2 / 2.5 - 1 / 2)
    assert costs.kinds["spurious"].cost["Things"] == pytest.approx(1 / 1.5 - 1 / 2)
    assert costs.kinds["poor boundary"].cost == {
        "All": pytest.approx((1 - sky) / 2),
        "Things": 0.0,
        "Stuff": pytest.approx(1 - sky),
    }
    assert (costs.kinds["missed"].truths, costs.kinds["missed"].predictions) == (1, 0)
    assert costs.kinds["split"].cost["All"] == 0.0
    assert costs.repaired == dict.fromkeys(GROUPS, 1.0)


def test_renaming_keeps_the_shape_until_boundaries_are_repaired_too() -> None:
    found = decompose((of(["cccc"]), of(["ppp."])))
    assert found.compute().pq["All"] == 0.0
    assert found.pq_after(["wrong class"])["All"] == 0.75  # the person is gone from the average
    assert found.pq_after(["poor boundary"])["All"] == 0.0
    assert found.pq_after(["wrong class", "poor boundary"])["All"] == 1.0


def test_a_group_whose_only_errors_were_false_positives_is_perfect_without_them() -> None:
    costs = decompose((of(["ssss"]), of(["sssc"]))).compute()
    assert costs.pq["Things"] == 0.0
    assert costs.kinds["spurious"].cost["Things"] == 1.0
    assert costs.repaired["Things"] == 1.0
    void = decompose((of(["..."]), of(["ccc"]))).compute()
    assert void.pq == void.repaired == dict.fromkeys(GROUPS, None)
    assert void.kinds["missed"].cost["All"] is None
    assert ErrorDecomposition(CLASSES).compute().pq["All"] is None


def check(costs: ErrorCosts, quality: PanopticQuality) -> None:
    scores = quality.compute()
    for group in GROUPS:
        score = scores[group]
        assert costs.pq[group] == (None if score is None else pytest.approx(score.pq, abs=1e-12))
        assert costs.repaired[group] == (None if score is None else 1.0)  # exactly
        for cost in costs.kinds.values():
            gain = cost.cost[group]
            assert gain is None if score is None else gain is not None and gain > -1e-12


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_pq_is_pq_all_repaired_is_100_and_no_repair_harms(seed: int, images: int) -> None:
    pairs = [random_pair(seed + number) for number in range(images)]
    quality = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    check(decompose(*pairs).compute(), quality)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.permutations(KINDS))
def test_one_more_repair_never_harms(seed: int, order: list[str]) -> None:
    found = decompose(random_pair(seed), random_pair(seed + 1))
    ladder = [found.pq_after(order[:count])["All"] for count in range(len(order) + 1)]
    if ladder[0] is not None:
        assert (np.diff(ladder) > -1e-12).all()
        assert ladder[-1] == 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_repairs_edit_the_counts_of_pq_one_by_one(seed: int) -> None:
    truth, prediction = random_pair(seed)
    found = ErrorDecomposition(CLASSES)
    errors = found.update(truth, prediction, "x")
    quality = PanopticQuality(CLASSES)
    matches = quality.update(truth, prediction, "x")
    for number, kind in enumerate(KINDS):
        counts = quality.per_image[0].copy()
        for t in matches.false_negatives:
            if errors.truth_kind[t] == number:
                counts[errors.truth_class[t]] += [errors.repaired[t], 1, 0, -1]
        for t, iou in zip(matches.truth, matches.iou, strict=True):
            if errors.truth_kind[t] == number:
                counts[errors.truth_class[t]] += [1 - iou, 0, 0, 0]
        for p in matches.false_positives:
            if errors.prediction_kind[p] == number:
                counts[errors.prediction_class[p]] -= [0, 0, 1, 0]
        again = group_means(CLASSES, class_qualities(counts))["All"][0]
        after = found.pq_after([kind])["All"]
        assert after is None or after == pytest.approx(1.0 if np.isnan(again) else again)


def test_parts_merge_in_any_order_to_the_same_bits() -> None:
    pairs = [random_pair(seed) for seed in range(21)]
    whole, parts = ErrorDecomposition(CLASSES), [ErrorDecomposition(CLASSES) for _ in range(7)]
    for number, (truth, prediction) in enumerate(pairs):
        whole.update(truth, prediction, str(number))
        parts[number % 7].update(truth, prediction, str(number))
    merged = ErrorDecomposition(CLASSES)
    for part in parts[::-1]:
        merged = merged + part
    assert merged.compute() == whole.compute()
    assert merged.compute().to_json()["kinds"]["merged"].keys() == {"truths", "predictions", "cost"}


def test_refusals() -> None:
    found = decompose((of(["cs"]), of(["cs"])))
    with pytest.raises(ValueError, match="0: this image was counted already"):
        found.update(of(["cs"]), of(["cs"]), "0")
    pair = ImagePair.of(of(["cs"]), of(["cs"]), CLASSES)
    tables = (pair.overlaps, pair.truth_segments, pair.prediction_segments)
    with pytest.raises(ValueError, match="new: this image was counted already"):
        found.add_batch(Batch.of([tables, tables]), ["new", "new"])
    assert [*found.images] == ["0"]
    with pytest.raises(ValueError, match="0: this image was counted in both parts"):
        found + found
    with pytest.raises(ValueError, match="different categories or settings"):
        found + ErrorDecomposition(Categories(CLASSES.things), 0.05)
    with pytest.raises(ValueError, match="'blurred' is none of missed, spurious"):
        found.pq_after(["blurred"])


def disturbed(truth: PanopticMap, categories: Categories, seed: int) -> PanopticMap:
    """A prediction made from the truth by every kind of mistake: shifted, renamed, dropped, split, merged."""
    rng = np.random.default_rng(seed)
    ids = np.roll(truth.ids, (2, -3), (0, 1))
    classes = {s.id: s.category for s in truth}
    for s in truth:
        y, x = np.nonzero(ids == s.id)
        fate = rng.random()
        if fate < 0.15:
            ids[y, x] = 0
        elif fate < 0.3:
            classes[s.id] = categories[int(rng.integers(len(categories)))]
        elif fate < 0.45:
            ids[y, x] = np.where(x < np.median(x), s.id, s.id ^ 1 << 23)
            classes[s.id ^ 1 << 23] = s.category
        elif fate < 0.6:
            ids[y, x] = truth.segments[int(rng.integers(len(truth)))].id
    return panoptic_map(ids, {key: classes[key] for key in np.unique(ids).tolist() if key})


@pytest.mark.real_data
def test_disturbed_truth_of_photographs(shared_data: Path) -> None:
    dataset = CocoPanoptic(shared_data / "coco20")
    found, quality = ErrorDecomposition(dataset.categories), PanopticQuality(dataset.categories)
    for index, name in enumerate(dataset.names):
        truth = dataset.truth(index)
        prediction = disturbed(truth, dataset.categories, index)
        found.update(truth, prediction, name)
        quality.update(truth, prediction, name)
    costs = found.compute()
    check(costs, quality)
    assert all(cost.truths + cost.predictions > 0 for cost in costs.kinds.values())
    assert costs.repaired["All"] == 1.0
