import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, SKY, of, random_pair
from unipan.evaluation.dagger import DaggerQuality
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.panoptic.maps import PanopticMap, panoptic_map


def score(*pairs: tuple[PanopticMap, PanopticMap]) -> dict[str, float | None]:
    quality = DaggerQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    return quality.compute()


def test_by_hand() -> None:
    # Sky and road: 1 of 7 pixels of the union each; the car 4 of 4. No gate for stuff.
    found = score((of(["ccss", "ccss", "rrrr"]), of(["ccrr", "ccrs", "rsss"])))
    assert found["Things"] == 1.0
    assert found["Stuff"] == pytest.approx((1 / 7 + 1 / 7) / 2)
    assert found["All"] == pytest.approx((1 + 1 / 7 + 1 / 7) / 3)


def test_stuff_that_the_truth_lacks_costs_only_what_it_covers() -> None:
    assert score((of(["ssss"]), of(["sssr"])))["Stuff"] == pytest.approx(0.75)  # PQ would average in a road of 0
    assert score((of(["cccc"]), of(["rrrr"]))) == {"All": 0.0, "Things": 0.0, "Stuff": None}


def test_void_leaves_the_union_and_images_are_averaged() -> None:
    assert score((of(["ss.."]), of(["ssss"])))["Stuff"] == 1.0
    assert score((of(["ssrr"]), of(["ssrr"])), (of(["ssrr"]), of(["sssr"])))["Stuff"] == pytest.approx(
        ((1 + 2 / 3) / 2 + (1 + 1 / 2) / 2) / 2
    )


def test_two_segments_of_one_stuff_class_count_as_one() -> None:
    ids = np.array([[1, 1, 2, 2]], np.int32)
    assert score((of(["ssss"]), panoptic_map(ids, {1: SKY, 2: SKY})))["Stuff"] == 1.0


def test_things_are_those_of_pq() -> None:
    pairs = [random_pair(seed) for seed in range(20)]
    quality = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    things = quality.compute()["Things"]
    assert things is not None
    assert score(*pairs)["Things"] == pytest.approx(things.pq, abs=1e-12)


def void_free(seed: int) -> PanopticMap:
    """Every pixel labelled: things on two or three regions of stuff."""
    rng = np.random.default_rng(seed)
    ids = np.ones((12, 12), np.int32)
    ids[rng.integers(2, 11) :] = 2
    for key in range(3, 3 + int(rng.integers(0, 4))):
        y, x = rng.integers(0, 9, 2)
        ids[y : y + rng.integers(2, 6), x : x + rng.integers(2, 6)] = key
    classes = {1: CLASSES[2], 2: CLASSES[3]} | {key: CLASSES[int(rng.integers(2))] for key in range(3, 7)}
    return panoptic_map(ids, {key: classes[key] for key in np.unique(ids).tolist()})


def as_pairs(panoptic: PanopticMap) -> torch.Tensor:
    """(category id, instance id) of each pixel, as torchmetrics wants it; stuff without instances."""
    table = {s.id: (s.category.id, s.id if s.isthing else 0) for s in panoptic}
    flat = [table[key] for key in panoptic.ids.ravel().tolist()]
    return torch.tensor(flat).reshape(1, *panoptic.ids.shape, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_torchmetrics_on_void_free_maps(seed: int) -> None:
    detection = pytest.importorskip("torchmetrics.detection")
    pairs = []
    for number in range(3):
        truth = void_free(seed + number)
        moved = np.roll(truth.ids, number, axis=1)
        pairs.append((truth, panoptic_map(moved, {s.id: s.category for s in truth})))
    pairs.append((void_free(seed + 7), void_free(seed + 8)))
    theirs = detection.ModifiedPanopticQuality(
        things={c.id for c in CLASSES.things}, stuffs={c.id for c in CLASSES.stuff}
    )
    for truth, prediction in pairs:
        theirs.update(as_pairs(prediction), as_pairs(truth))
    assert score(*pairs)["All"] == pytest.approx(float(theirs.compute()), abs=1e-7)  # it divides in 32 bit


def test_parts_merge() -> None:
    pairs = [random_pair(seed) for seed in range(6)]
    parts = [DaggerQuality(CLASSES) for _ in range(2)]
    for number, (truth, prediction) in enumerate(pairs):
        parts[number % 2].update(truth, prediction, str(number))
    assert (parts[1] + parts[0]).compute() == score(*pairs)
    assert score() == {"All": None, "Things": None, "Stuff": None}
