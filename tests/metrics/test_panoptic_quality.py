import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.cases import CAR, CLASSES, PERSON, ROAD, SKY, naive_counts, of, random_pair
from unipan.categories import Categories
from unipan.data.coco import CocoPanoptic
from unipan.data.coco_writer import PanopticWriter
from unipan.metrics.panoptic_quality import PanopticQuality, PanopticScores, match_segments
from unipan.ops.encoding import panoptic_map
from unipan.structures import PanopticMap, Segment


def score(*pairs: tuple[PanopticMap, PanopticMap]) -> PanopticScores:
    quality = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    return quality.compute()


def tp_fp_fn(scores: PanopticScores, category_id: int) -> tuple[int, int, int]:
    found = scores.per_class[category_id]
    return found.tp, found.fp, found.fn


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_counts_equal_the_definition_written_slowly(seed: int) -> None:
    truth, prediction = random_pair(seed)
    quality = PanopticQuality(CLASSES)
    quality.update(truth, prediction, "x")
    expected = [naive_counts(truth, prediction)[category.id] for category in CLASSES]
    np.testing.assert_allclose(quality.per_image[0], expected, atol=1e-12)


def write(folder: Path, maps: list[PanopticMap], scores: bool) -> Path:
    with PanopticWriter(folder, CLASSES, scores=scores) as writer:
        for number, panoptic in enumerate(maps):
            writer.add(f"{number}.jpg", number, panoptic)
    return folder


@pytest.mark.parametrize("seed", range(6))
def test_equals_hotcoco_on_random_datasets(tmp_path: Path, seed: int) -> None:
    panoptic = pytest.importorskip("hotcoco").panoptic
    pairs = [random_pair(1000 * seed + number, size=16) for number in range(15)]
    ours = score(*pairs)
    truth = write(tmp_path / "truth", [t for t, _ in pairs], scores=False)
    guess = write(tmp_path / "prediction", [p for _, p in pairs], scores=True)
    theirs = panoptic.pq_compute(
        str(truth / "panoptic.json"), str(guess / "panoptic.json"), str(truth / "panoptic"), str(guess / "panoptic")
    )
    for group in ("All", "Things", "Stuff"):
        mine = ours[group]
        assert mine is not None
        assert mine.n == theirs[group]["n"]
        for figure in ("pq", "sq", "rq"):
            assert getattr(mine, figure) == pytest.approx(theirs[group][figure], abs=1e-9)


@pytest.mark.real_data
def test_equals_hotcoco_on_a_disturbed_copy_of_photographs_truth(tmp_path: Path, shared_data: Path) -> None:
    panoptic = pytest.importorskip("hotcoco").panoptic
    source = shared_data / "coco20"
    dataset = CocoPanoptic(source)
    quality = PanopticQuality(dataset.categories)
    with PanopticWriter(tmp_path, dataset.categories, scores=True) as writer:
        for index, name in enumerate(dataset.names):
            truth = dataset.truth(index)
            moved = panoptic_map(np.roll(truth.ids, (2, 5), (0, 1)), {s.id: s.category for s in truth})
            quality.update(truth, moved, name)
            writer.add(name, dataset.image_ids[index], moved)
    theirs = panoptic.pq_compute(
        str(source / "panoptic.json"),
        str(tmp_path / "panoptic.json"),
        str(source / "panoptic"),
        str(tmp_path / "panoptic"),
    )
    ours = quality.compute()
    for group in ("All", "Things", "Stuff"):
        mine = ours[group]
        assert mine is not None
        assert (mine.pq, mine.sq, mine.rq, mine.n) == pytest.approx(
            tuple(theirs[group][figure] for figure in ("pq", "sq", "rq", "n")), abs=1e-9
        )


def test_iou_of_exactly_half_is_no_match() -> None:
    scores = score((of(["ccs", "sss"]), of(["css", "sss"])))
    assert tp_fp_fn(scores, CAR.id) == (0, 1, 1)
    assert tp_fp_fn(scores, SKY.id) == (1, 0, 0)
    assert scores.per_class[SKY.id].sq == pytest.approx(4 / 5)


def test_void_of_the_truth_leaves_the_union() -> None:
    scores = score((of(["cc....", "ssssss"]), of(["cccccc", "ssssss"])))
    assert tp_fp_fn(scores, CAR.id) == (1, 0, 0)
    assert scores.per_class[CAR.id].sq == pytest.approx(1.0)


def test_a_prediction_on_void_is_ignored_only_above_half() -> None:
    assert tp_fp_fn(score((of(["...s"]), of(["ppps"]))), PERSON.id) == (0, 0, 0)
    assert tp_fp_fn(score((of(["..ss"]), of(["pppp"]))), PERSON.id) == (0, 1, 0)  # exactly half on void


def test_crowds_absorb_predictions_of_their_class_and_are_never_missed() -> None:
    truth = of(["cccc", "rrrr"], crowds="c")
    assert tp_fp_fn(score((truth, of(["cC..", "rrrr"]))), CAR.id) == (0, 0, 0)
    assert tp_fp_fn(score((truth, of(["pp..", "rrrr"]))), PERSON.id) == (0, 1, 0)
    assert tp_fp_fn(score((truth, of(["....", "rrrr"]))), CAR.id) == (0, 0, 0)


def test_only_the_last_listed_crowd_of_a_class_absorbs() -> None:
    truth = of(["CCcc", "rrrr"], crowds="cC")  # listed: C, c
    assert tp_fp_fn(score((truth, of(["kk..", "rrrr"]))), CAR.id) == (0, 1, 0)
    assert tp_fp_fn(score((truth, of(["..kk", "rrrr"]))), CAR.id) == (0, 0, 0)
    turned = PanopticMap(truth.ids, truth.segments[::-1])
    assert tp_fp_fn(score((turned, of(["..kk", "rrrr"]))), CAR.id) == (0, 1, 0)


def test_a_class_predicted_but_never_true_lowers_the_average() -> None:
    scores = score((of(["ccrr"]), of(["ccpr"])))
    assert scores.per_class[PERSON.id].pq == 0
    assert scores["All"] is not None
    assert scores["All"].n == 3


def test_empty_prediction_and_void_truth() -> None:
    nothing = panoptic_map(np.zeros((1, 4), np.int32), {})
    missed = score((of(["ccss"]), nothing))
    assert missed["All"] is not None
    assert (missed["All"].pq, missed["All"].sq, missed["All"].n) == (0, 0, 2)
    void = score((nothing, of(["ccss"])))
    assert [void[group] for group in ("All", "Things", "Stuff")] == [None, None, None]
    assert score()["All"] is None


def test_a_group_without_classes_is_none_and_null() -> None:
    scores = score((of(["ssrr"]), of(["ssrr"])))
    assert scores["Things"] is None
    report = scores.to_json()
    assert report["Things"] is None
    assert report["Stuff"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 2}
    assert report["per_class"][str(ROAD.id)] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "tp": 1, "fp": 0, "fn": 0}
    things_only = Categories(CLASSES.things)
    quality = PanopticQuality(things_only)
    quality.update(of(["cp"]), of(["cp"]), "x")
    found = quality.compute()
    assert found["Stuff"] is None
    assert found["All"] == found["Things"]


def test_stale_areas_of_the_segments_do_not_matter() -> None:
    truth = of(["ccss"])
    stale = PanopticMap(truth.ids, tuple(Segment(s.id, s.category, 1.0, 1, s.bbox) for s in truth))
    assert score((stale, truth)) == score((truth, truth))


def test_seven_uneven_parts_in_any_order_give_the_same_bits() -> None:
    pairs = [random_pair(seed) for seed in range(40)]
    whole = PanopticQuality(CLASSES)
    parts = [PanopticQuality(CLASSES) for _ in range(7)]
    part_of = np.random.default_rng(0).choice(7, 40, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])
    for number, (truth, prediction) in enumerate(pairs):
        whole.update(truth, prediction, f"{number:03d}")
        parts[part_of[number]].update(truth, prediction, f"{number:03d}")
    merged = PanopticQuality(CLASSES)
    for part in parts[::-1]:
        merged = merged + part
    assert merged.compute() == whole.compute()
    assert merged.names == whole.names
    assert (merged.per_image == whole.per_image).all()


def test_an_image_counts_once() -> None:
    quality = PanopticQuality(CLASSES)
    quality.update(of(["cs"]), of(["cs"]), "street.jpg")
    with pytest.raises(ValueError, match=r"street.jpg: this image was counted already"):
        quality.update(of(["cs"]), of(["cs"]), "street.jpg")
    with pytest.raises(ValueError, match=r"street.jpg: this image was counted in both parts"):
        quality + quality
    with pytest.raises(ValueError, match="different categories"):
        quality + PanopticQuality(Categories(CLASSES.things))


def test_what_does_not_fit_together_is_named() -> None:
    with pytest.raises(ValueError, match=r"a.jpg: the prediction is 3 x 1 but the truth is 2 x 1"):
        match_segments(of(["cs"]), of(["css"]), "a.jpg")
    stray = PanopticMap(np.array([[5]], np.int32), ())
    with pytest.raises(ValueError, match=r"a.jpg, prediction: id 5 has pixels but no segment"):
        match_segments(of(["c"]), stray, "a.jpg")
    absent = PanopticMap(np.zeros((1, 1), np.int32), of(["c"]).segments)
    with pytest.raises(ValueError, match=r"a.jpg, truth: segment id 99000 is declared but has no pixel"):
        match_segments(absent, of(["c"]), "a.jpg")
    with pytest.raises(ValueError, match="segment 115000 has category id 7, which is not one of the 2 classes"):
        PanopticQuality(Categories(CLASSES.things)).update(of(["cs"]), of(["cs"]), "a.jpg")


def test_many_noisy_segments_take_the_sorted_path() -> None:
    ids = np.arange(1, 2501, dtype=np.int32).reshape(50, 50)
    one = panoptic_map(ids, dict.fromkeys(range(1, 2501), CAR))
    found = match_segments(one, one)
    assert len(found.iou) == 2500
    assert found.iou.min() == 1


def test_one_update_takes_milliseconds() -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(1, 40, (12, 16)).astype(np.int32) * 400_000
    truth = panoptic_map(np.kron(cells, np.ones((40, 40), np.int32)), dict.fromkeys(np.unique(cells).tolist(), CAR))
    prediction = panoptic_map(np.roll(truth.ids, 7, 1), {s.id: s.category for s in truth})
    times = []
    for number in range(7):
        start = time.perf_counter()
        PanopticQuality(CLASSES).update(truth, prediction, str(number))
        times.append(1000 * (time.perf_counter() - start))
    print(f"one 640x480 PQ update: {min(times):.2f} ms")
    assert min(times) < 50
