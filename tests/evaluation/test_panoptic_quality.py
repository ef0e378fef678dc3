import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CAR, CLASSES, PERSON, ROAD, SKY, naive_counts, of, random_pair, stale
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, PanopticWriter
from unipan.evaluation.matching import match_segments
from unipan.evaluation.panoptic_quality import SIZES, PanopticQuality
from unipan.evaluation.pq_scores import GROUPS, PanopticScores
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap, Segment, panoptic_map


def score(*pairs: tuple[PanopticMap, PanopticMap]) -> PanopticScores:
    quality = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    return quality.compute()


def tp_fp_fn(scores: PanopticScores, category_id: int) -> tuple[int, int, int]:
    found = scores.per_class[category_id]
    return found.tp, found.fp, found.fn


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_counts_equal_the_definition_written_slowly(seed: int, stale_areas: bool) -> None:
    truth, prediction = random_pair(seed)
    if stale_areas:
        rng = np.random.default_rng(seed)
        truth = stale(truth, {s.id: float(s.area + rng.integers(0, 9)) for s in truth})
    quality = PanopticQuality(CLASSES)
    quality.update(truth, prediction, "x")
    expected = [naive_counts(truth, prediction)[category.id] for category in CLASSES]
    np.testing.assert_allclose(quality.per_image[0], expected, atol=1e-12)
    other = PanopticQuality(CLASSES, {"x": quality.official_counts.get("x", quality.counts["x"])})
    expected = [naive_counts(truth, prediction, official=True)[category.id] for category in CLASSES]
    np.testing.assert_allclose(other.per_image[0], expected, atol=1e-12)


def test_sizes_add_up_and_follow_the_truths_segment_or_the_false_positive() -> None:
    assert PanopticQuality(CLASSES).by_size()["small"]["All"] is None
    ids = np.zeros((100, 200), np.int32)
    ids[:32, :32], ids[40:63, :44], ids[:96, 60:156] = 1, 2, 3  # 1024, 1012 and 9216 pixels
    guess = np.where(ids == 2, 0, ids)
    guess[98:, :3] = 9
    guess[np.where(ids == 3)] = np.repeat([3, 8], [9000, 216])  # the large truth's match is a medium prediction
    counted = PanopticQuality(CLASSES)
    counted.update(
        panoptic_map(np.where(ids == 0, 7, ids), {1: CAR, 2: CAR, 3: CAR, 7: SKY}),
        panoptic_map(guess, dict.fromkeys((1, 3, 8, 9), CAR)),
        "x",
    )
    sizes = counted.by_size()
    found = {size: (each.tp, each.fp, each.fn) for size, each in ((s, sizes[s].per_class[CAR.id]) for s in SIZES)}
    assert found == {"small": (0, 2, 1), "medium": (1, 0, 0), "large": (1, 0, 0)}
    whole = counted.compute().per_class[CAR.id]
    assert (whole.tp, whole.fp, whole.fn) == (2, 2, 1)
    assert sizes["large"].per_class[CAR.id].sq == 9000 / 9216


def write(folder: Path, maps: list[PanopticMap], scores: bool) -> Path:
    with PanopticWriter(folder, CLASSES, scores=scores) as writer:
        for number, panoptic in enumerate(maps):
            writer.add(f"{number}.jpg", number, panoptic)
    return folder


def assert_equal(mine: PanopticScores | None, theirs: dict[str, tuple[float, float, float, int]]) -> None:
    assert mine is not None
    for group, expected in theirs.items():
        found = mine[group]
        assert found is not None
        assert (found.pq, found.sq, found.rq, found.n) == pytest.approx(expected, abs=1e-9)


def by_hotcoco(*places: Path) -> dict[str, tuple[float, float, float, int]]:
    found = pytest.importorskip("hotcoco").panoptic.pq_compute(*map(str, places))
    return {group: tuple(found[group][key] for key in ("pq", "sq", "rq", "n")) for group in GROUPS}  # type: ignore[misc]


def by_vernier(
    pairs: list[tuple[PanopticMap, PanopticMap]], categories: Categories
) -> dict[str, tuple[float, float, float, int]]:
    vernier = pytest.importorskip("vernier.panoptic")
    sides = []
    for side in zip(*pairs, strict=True):
        rows = {
            number: [
                {"id": s.id, "category_id": s.category.id, "area": s.area, "bbox": s.bbox, "iscrowd": int(s.iscrowd)}
                for s in panoptic
            ]
            for number, panoptic in enumerate(side)
        }
        pixels = {number: panoptic.ids.astype(np.uint32) for number, panoptic in enumerate(side)}
        sides.append((pixels, json.dumps(rows).encode()))
    listed = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in categories]
    truth = vernier.Dataset.from_arrays(*sides[0], json.dumps(listed).encode())
    found = vernier.Evaluator(parity_mode="strict").evaluate(truth, vernier.Predictions.from_arrays(*sides[1]))
    return {
        group: tuple(getattr(found, key + end) for key in ("pq", "sq", "rq", "n"))
        for group, end in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff"))
    }


def has_two_crowds(truth: PanopticMap) -> bool:
    crowds = [s.category.id for s in truth if s.iscrowd]
    return len(set(crowds)) < len(crowds)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_the_official_figure_equals_vernier_on_random_datasets(seed: int) -> None:
    # Of two crowds of a class its strict mode takes the one with the higher id, the others the last-listed one.
    pairs = [pair for pair in (random_pair(1000 * seed + n, size=16) for n in range(8)) if not has_two_crowds(pair[0])]
    quality = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    assume(quality.official() is not None)
    assert_equal(quality.official(), by_vernier(pairs, CLASSES))


@pytest.mark.parametrize("seed", range(4))
def test_the_official_figure_equals_hotcoco_on_random_datasets(tmp_path: Path, seed: int) -> None:
    pairs = [random_pair(1000 * seed + number, size=16) for number in range(15)]
    quality = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        quality.update(truth, prediction, str(number))
    truth_at = write(tmp_path / "truth", [t for t, _ in pairs], scores=False)
    guess_at = write(tmp_path / "prediction", [p for _, p in pairs], scores=True)
    files = [truth_at / "panoptic.json", guess_at / "panoptic.json", truth_at / "panoptic", guess_at / "panoptic"]
    assert_equal(quality.official(), by_hotcoco(*files))


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["coco20", "coco2"])
def test_equals_the_oracles_on_a_disturbed_copy_of_photographs_truth(
    tmp_path: Path, shared_data: Path, folder: str
) -> None:
    source = shared_data / folder
    dataset = CocoPanoptic(source)
    quality, pairs = PanopticQuality(dataset.categories), []
    with PanopticWriter(tmp_path, dataset.categories, scores=True) as writer:
        for index, name in enumerate(dataset.names):
            truth = dataset.truth(index)
            moved = panoptic_map(np.roll(truth.ids, (2, 5), (0, 1)), {s.id: s.category for s in truth})
            quality.update(truth, moved, name)
            pairs.append((truth, moved))
            writer.add(name, dataset.image_ids[index], moved)
    places = (source / "panoptic.json", tmp_path / "panoptic.json", source / "panoptic", tmp_path / "panoptic")
    assert_equal(quality.official(), by_hotcoco(*places))
    assert_equal(quality.official(), by_vernier(pairs, dataset.categories))


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


def counted(truth: PanopticMap, prediction: PanopticMap) -> PanopticQuality:
    quality = PanopticQuality(CLASSES)
    quality.update(truth, prediction, "x")
    return quality


def both(truth: PanopticMap, prediction: PanopticMap) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """TP, FP, FN of cars: strict and official."""
    quality = counted(truth, prediction)
    official = quality.official()
    assert official is not None
    return tp_fp_fn(quality.compute(), CAR.id), tp_fp_fn(official, CAR.id)


def test_every_crowd_absorbs_where_the_official_tool_knows_the_last_listed_one() -> None:
    truth = of(["CCcc", "rrpp"], crowds="cC")  # listed: C, c
    assert both(truth, of(["kk..", "rrpp"])) == ((0, 0, 0), (0, 1, 0))
    assert both(truth, of(["..kk", "rrpp"])) == ((0, 0, 0), (0, 0, 0))
    assert both(truth, of([".kk.", "rrpp"])) == ((0, 0, 0), (0, 1, 0))
    turned = PanopticMap(truth.ids, truth.segments[::-1])
    assert both(turned, of(["..kk", "rrpp"])) == ((0, 0, 0), (0, 1, 0))


def test_stale_areas_mislead_the_official_tool_alone() -> None:
    truth = of(["ccss", "rrrr"])
    key = next(s.id for s in truth if s.category == CAR)
    assert both(stale(truth, {key: 9.0}), truth) == ((1, 0, 0), (0, 1, 1))
    small = counted(stale(truth, {key: 0.5}), truth)
    official = small.official()
    assert official is not None
    assert official.per_class[CAR.id].sq == 4.0  # the "62 000 %" of the field
    assert small.compute().per_class[CAR.id].sq == 1.0
    nothing = counted(stale(truth, {key: 0.0}), truth)  # a union of no pixels
    assert nothing.official() is None
    assert "union of no pixels" in str(nothing.official_reason)
    assert set(nothing.to_json()) == {"official", "strict", "official_reason"}
    assert nothing.to_json()["official"] is None


def test_without_a_class_of_a_group_the_official_tool_divides_by_zero() -> None:
    quality = counted(of(["cp"]), of(["cp"]))
    assert quality.official() is None
    assert quality.official_reason == "no class of Stuff occurs, and the official tool divides by zero"
    assert counted(of(["cs"]), of(["cs"])).to_json().keys() == {"official", "strict"}


def test_one_pixel_and_ids_above_16_bits() -> None:
    ids = np.array([[16_777_215, 65_537]], np.int32)
    truth = panoptic_map(ids, {65_537: SKY, 16_777_215: CAR})
    assert both(truth, truth) == ((1, 0, 0), (1, 0, 0))
    assert tp_fp_fn(score((of(["c"]), of(["c"]))), CAR.id) == (1, 0, 0)


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


def test_areas_of_the_segments_themselves_do_not_matter() -> None:
    truth = of(["ccss"])
    wrong = PanopticMap(truth.ids, tuple(Segment(s.id, s.category, 1.0, 1, s.bbox) for s in truth))
    assert score((wrong, truth)) == score((truth, truth))


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
    assert merged.official() == whole.official()
    assert merged.by_size() == whole.by_size()
    assert merged.to_json() == whole.to_json()
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
        start = time.process_time()  # the machine may be busy
        PanopticQuality(CLASSES).update(truth, prediction, str(number))
        times.append(1000 * (time.process_time() - start))
    print(f"one 640x480 PQ update: {min(times):.2f} ms")
    assert min(times) < 50
