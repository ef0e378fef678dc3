import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from tests.evaluation.cases import CAR, CLASSES, PERSON, SKY, random_pair
from unipan.evaluation.boundary import BoundaryQuality, boundary_band, boundary_iou, boundary_width
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import match_segments
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.panoptic.maps import PanopticMap, panoptic_map


def eroded_away(mask: np.ndarray, d: int) -> np.ndarray:
    """The boundary of one mask as the authors make it: the mask without its d-fold 3x3 erosion."""
    return mask & ~binary_erosion(mask, np.ones((3, 3), bool), iterations=d)


def test_the_width_is_2_percent_of_the_diagonal() -> None:
    assert boundary_width(480, 640) == 16
    assert boundary_width(1024, 2048) == 46
    assert boundary_width(10, 10) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_the_band_is_what_erosion_takes_from_each_segment(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 3, (rng.integers(1, 5), rng.integers(1, 5))).astype(np.int32) * 70_000
    ids = np.kron(small, np.ones((rng.integers(1, 9), rng.integers(1, 9)), np.int32))
    expected = np.zeros(ids.shape, bool)
    for key in np.unique(ids):
        expected |= eroded_away(ids == key, d)
    assert (boundary_band(ids, d) == expected).all()


def naive_boundary_iou(truth: PanopticMap, prediction: PanopticMap, t: int, p: int) -> float:
    d = boundary_width(*truth.ids.shape)
    mine = eroded_away(truth.ids == truth.segments[t].id, d)
    theirs = eroded_away(prediction.ids == prediction.segments[p].id, d)
    counted = theirs & (truth.ids != 0)
    return float((mine & theirs).sum() / (mine | counted).sum())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_boundary_iou_equals_masks_one_by_one(seed: int) -> None:
    truth, prediction = random_pair(seed, size=20)
    found = match_segments(truth, prediction)
    expected = [naive_boundary_iou(truth, prediction, t, p) for t, p in zip(found.truth, found.prediction, strict=True)]
    assert boundary_iou(ImagePair.of(truth, prediction, CLASSES)) == pytest.approx(expected)


def square(side: int, shift: int) -> PanopticMap:
    """A car of side x side pixels on 100 x 100 pixels of sky: d = round(.02 * 141.4) = 3."""
    ids = np.full((100, 100), 1, np.int32)
    ids[20 : 20 + side, 20 + shift : 20 + shift + side] = 2
    return panoptic_map(ids, {1: SKY, 2: CAR})


def test_a_shifted_square_by_hand() -> None:
    quality = BoundaryQuality(CLASSES)
    quality.update(square(50, 0), square(50, 1), "a")
    # Mask IoU 49/51. Rings of width 3 (564 pixels), one column apart, share 2 columns of height 50 at either side
    # and, at top and bottom, 3 rows of the other 49 - 2 * 2 columns.
    shared = 2 * 2 * 50 + 2 * 3 * 45
    assert quality.compute().per_class[CAR.id].sq == pytest.approx(shared / (2 * 564 - shared))
    assert quality.compute().per_class[CAR.id].tp == 1
    far = BoundaryQuality(CLASSES)
    far.update(square(50, 0), square(50, 4), "a")  # mask IoU 46/54 = .85; rings share 2 * 3 * 46 of 564: .32
    car = far.compute().per_class[CAR.id]
    assert (car.tp, car.fp, car.fn) == (0, 1, 1)
    assert far.compute()["Stuff"] is not None
    plain = PanopticQuality(CLASSES)
    plain.update(square(50, 0), square(50, 4), "a")
    assert plain.compute().per_class[CAR.id].sq == pytest.approx(46 / 54)


def test_what_falls_below_one_half_is_no_false_positive_where_it_lies_on_void() -> None:
    truth = np.zeros((100, 100), np.int32)
    truth[40:60, 20:40] = 5
    guess = np.zeros((100, 100), np.int32)
    guess[43:60, 20:100] = 5
    quality = BoundaryQuality(CLASSES)
    # Mask IoU .85 with void left out. Rings: 204 and, off void, 153 pixels, of which 111 shared: IoU .45.
    quality.update(panoptic_map(truth, {5: PERSON}), panoptic_map(guess, {5: PERSON}), "a")
    person = quality.compute().per_class[PERSON.id]
    assert (person.tp, person.fp, person.fn) == (0, 0, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_boundaries_never_raise_pq_and_a_perfect_map_keeps_100(seed: int) -> None:
    truth, prediction = random_pair(seed, size=20)
    plain, boundary, perfect = PanopticQuality(CLASSES), BoundaryQuality(CLASSES), BoundaryQuality(CLASSES)
    plain.update(truth, prediction, "a")
    boundary.update(truth, prediction, "a")
    perfect.update(truth, without_crowds(truth), "a")
    ours, theirs, best = boundary.compute(), plain.compute(), perfect.compute()["All"]
    assert best is None or best.pq == 1.0
    for category in CLASSES:
        a, b = ours.per_class[category.id], theirs.per_class[category.id]
        assert a.pq <= b.pq + 1e-12
        assert a.tp + a.fn == b.tp + b.fn


def naive_counts(truth: PanopticMap, prediction: PanopticMap) -> np.ndarray:
    """IoU sum, TP, FP, FN per class: the definition in loops over boolean masks, with every crowd of a class."""
    counts = np.zeros((len(CLASSES), 4))
    index = CLASSES.index_of_id
    hit_truth, hit_prediction = set(), set()
    for t, mine in enumerate(truth):
        for p, theirs in enumerate(prediction):
            if mine.category.id != theirs.category.id or mine.iscrowd:
                continue
            a, b = truth.ids == mine.id, prediction.ids == theirs.id
            iou = min((a & b).sum() / (a | (b & (truth.ids != 0))).sum(), naive_boundary_iou(truth, prediction, t, p))
            if iou > 0.5:
                counts[index[mine.category.id]] += [iou, 1, 0, 0]
                hit_truth.add(t)
                hit_prediction.add(p)
    for t, mine in enumerate(truth):
        counts[index[mine.category.id], 3] += t not in hit_truth and not mine.iscrowd
    for p, theirs in enumerate(prediction):
        crowds = [s.id for s in truth if s.iscrowd and s.category.id == theirs.category.id]
        ignored = np.isin(truth.ids[prediction.ids == theirs.id], [0, *crowds]).mean() > 0.5
        counts[index[theirs.category.id], 2] += p not in hit_prediction and not ignored
    return counts


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_counts_equal_the_definition_written_slowly(seed: int) -> None:
    truth, prediction = random_pair(seed, size=20)
    crowds = [s.category.id for s in truth if s.iscrowd]
    assume(len(set(crowds)) == len(crowds))  # two crowds of one class: the official figure knows the last one only
    quality = BoundaryQuality(CLASSES)
    quality.update(truth, prediction, "a")
    np.testing.assert_allclose(quality.images["a"], naive_counts(truth, prediction), atol=1e-12)


def without_crowds(truth: PanopticMap) -> PanopticMap:
    crowds = [s.id for s in truth if s.iscrowd]
    return PanopticMap(np.where(np.isin(truth.ids, crowds), 0, truth.ids), tuple(s for s in truth if not s.iscrowd))


def test_parts_merge() -> None:
    pairs = [random_pair(seed) for seed in range(9)]
    whole, parts = BoundaryQuality(CLASSES), [BoundaryQuality(CLASSES) for _ in range(3)]
    for number, (truth, prediction) in enumerate(pairs):
        whole.update(truth, prediction, str(number))
        parts[number % 3].update(truth, prediction, str(number))
    assert (parts[2] + parts[0] + parts[1]).compute() == whole.compute()
    assert BoundaryQuality(CLASSES).compute()["All"] is None
