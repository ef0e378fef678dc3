"""One drawn case per kind, and the law: every error has exactly one kind."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CAR, CLASSES, PERSON, of, random_pair
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.evaluation.errors import KINDS, MEANINGS, RIGHT, ImageErrors, explain, explain_batch
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, match_segments
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap, Segment, panoptic_map

Named = dict[str, str]


def kinds(truth: PanopticMap, prediction: PanopticMap, tiny: float = 0.0) -> tuple[Named, Named]:
    """The kind of each erroneous segment by its letter: of the truth, of the prediction."""
    found = explain(ImagePair.of(truth, prediction, CLASSES), tiny)

    def named(panoptic: PanopticMap, kind: np.ndarray) -> Named:
        return {chr(s.id // 1000): KINDS[k] for s, k in zip(panoptic, kind, strict=True) if k != RIGHT}

    return named(truth, found.truth_kind), named(prediction, found.prediction_kind)


def test_a_perfect_map_has_no_errors() -> None:
    truth = of(["ccss", "pprr"])
    assert kinds(truth, truth) == ({}, {})
    assert explain(ImagePair.of(truth, truth, CLASSES)).classes == []


def test_missed() -> None:
    assert kinds(of(["cc..", "ssss"]), of(["....", "ssss"])) == ({"c": "missed"}, {})


def test_spurious() -> None:
    assert kinds(of(["ssss", "ssss"]), of(["ssss", "sssc"])) == ({"s": "poor boundary"}, {"c": "spurious"})


def test_wrong_class_keeps_the_shape() -> None:
    truth, guess = of(["cccc", "ssss"]), of(["ppp.", "ssss"])
    assert kinds(truth, guess) == ({"c": "wrong class"}, {"p": "wrong class"})
    found = explain(ImagePair.of(truth, guess, CLASSES))
    assert found.repaired.tolist() == [0.75, 1.0]
    assert found.iou.tolist() == [0.0, 1.0]
    assert found.classes == sorted(CLASSES.index_of_id[c.id] for c in (CAR, PERSON))
    assert kinds(of(["ssss"]), of(["rrrr"])) == ({"s": "wrong class"}, {"r": "wrong class"})


def test_wrong_class_without_a_single_counterpart() -> None:
    # Half of c is person p and a quarter is person P: no IoU above one half, but most of c is under another name.
    assert kinds(of(["cccc"]), of(["ppPs"])) == (
        {"c": "wrong class"},
        {"p": "wrong class", "P": "wrong class", "s": "spurious"},
    )


def test_things_lost_to_stuff_and_the_reverse() -> None:
    assert kinds(of(["cccc"]), of(["ssss"])) == ({"c": "thing lost to stuff"}, {"s": "thing lost to stuff"})
    assert kinds(of(["ssss"]), of(["cccc"])) == ({"s": "stuff lost to things"}, {"c": "stuff lost to things"})
    # A small thing under a large, matched stuff segment: the stuff is no false positive.
    assert kinds(of(["cc", "ss", "ss"]), of(["ss", "ss", "ss"])) == (
        {"c": "thing lost to stuff", "s": "poor boundary"},
        {},
    )


def test_merged() -> None:
    # The neighbour that matched keeps its match.
    assert kinds(of(["ccccCC"]), of(["kkkkkk"])) == ({"C": "merged", "c": "poor boundary"}, {})
    # Nobody matches: both are merged, and so is the false positive.
    assert kinds(of(["cccCCC"]), of(["kkkkkk"])) == ({"c": "merged", "C": "merged"}, {"k": "merged"})


def test_split() -> None:
    assert kinds(of(["cccccc"]), of(["kkkkCC"])) == ({"c": "poor boundary"}, {"C": "split"})
    assert kinds(of(["cccccc"]), of(["kkkCCC"])) == ({"c": "split"}, {"k": "split", "C": "split"})


def test_poor_boundary() -> None:
    assert kinds(of(["cccc."]), of([".cccc"])) == ({"c": "poor boundary"}, {})
    # An IoU of 1/5 is too poor for a match, but the same object.
    assert kinds(of(["cccsss", "ssssss"]), of(["sscccs", "ssssss"])) == (
        {"c": "poor boundary", "s": "poor boundary"},
        {"c": "poor boundary"},
    )


def test_a_segment_under_a_prediction_that_wears_a_neighbours_shape_is_not_missed() -> None:
    # The sky covers the car, of which it has the shape, and the sky, whose outline it misses.
    assert kinds(of(["ccccss", "ccccss"]), of(["ssssss", "ssssss"])) == (
        {"c": "thing lost to stuff", "s": "poor boundary"},
        {"s": "thing lost to stuff"},
    )


def test_below_an_iou_of_a_tenth_it_is_a_miss_and_a_false_positive() -> None:
    truth = of(["c" * 10 + "r" * 10, "r" * 20])
    tenth = of(["." * 9 + "c" + "r" * 10, "r" * 20])
    assert kinds(truth, tenth) == ({"c": "poor boundary"}, {"c": "poor boundary"})
    eleventh = of(["." * 9 + "cc" + "r" * 9, "r" * 20])
    assert kinds(truth, eleventh) == ({"c": "missed", "r": "poor boundary"}, {"c": "spurious"})


def test_tiny_stuff() -> None:
    truth, guess = of(["ssssssr", "sssssss"]), of(["sssssss", "rssssss"])
    assert kinds(truth, guess, tiny=0.1)[0]["r"] == "tiny stuff"
    assert kinds(truth, guess, tiny=0.1)[1]["r"] == "tiny stuff"
    assert kinds(truth, guess, tiny=0.05) == ({"r": "wrong class", "s": "poor boundary"}, {"r": "spurious"})
    assert kinds(of(["ssssssc"]), of(["sssssss"]), tiny=0.5)[0]["c"] == "thing lost to stuff"  # things are never tiny


def test_crowds_are_neighbours_and_never_errors() -> None:
    truth = of(["CCCCcc", "......"], crowds="C")
    assert kinds(truth, of(["kkkkkk", "......"])) == ({"c": "merged"}, {})  # k is absorbed by the crowd
    assert kinds(truth, of(["......", "......"])) == ({"c": "missed"}, {})
    assert explain(ImagePair.of(truth, truth, CLASSES)).truth_class.tolist() == [-1, CLASSES.index_of_id[CAR.id]]
    assert kinds(of(["..."]), of(["ccc"])) == ({}, {})


def check_law(truth: PanopticMap, prediction: PanopticMap, found: ImageErrors) -> None:
    matches = match_segments(truth, prediction)
    imperfect = matches.truth[matches.iou < 1]
    assert set(np.flatnonzero(found.truth_kind != RIGHT)) == {*matches.false_negatives, *imperfect}
    assert set(np.flatnonzero(found.prediction_kind != RIGHT)) == set(matches.false_positives)
    boundary = KINDS.index("poor boundary")
    assert (found.truth_kind[imperfect] == boundary).all()
    assert (found.iou[matches.false_negatives] == 0).all()
    assert found.match[matches.truth].tolist() == matches.prediction.tolist()
    assert np.count_nonzero(found.match >= 0) == len(matches.truth)
    assert ((found.repaired > 0.5) & (found.repaired <= 1)).all()
    for side, one_sided in ((found.truth_kind, "spurious"), (found.prediction_kind, "missed")):
        assert KINDS.index(one_sided) not in side


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.05, 0.5]))
def test_every_error_has_one_kind_and_nothing_else_has(seed: int, tiny: float) -> None:
    truth, prediction = random_pair(seed)
    check_law(truth, prediction, explain(ImagePair.of(truth, prediction, CLASSES), tiny))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(10, 14)), min_size=1, max_size=9),
    st.sampled_from([0.0, 0.05]),
)
def test_images_explained_at_once_are_explained_as_one_by_one(drawn: list[tuple[int, int]], tiny: float) -> None:
    pairs = [ImagePair.of(*random_pair(seed, size), CLASSES) for seed, size in drawn]
    batch = Batch.of([(pair.overlaps, pair.truth_segments, pair.prediction_segments) for pair in pairs])
    at_once = explain_batch(batch, len(pairs), len(CLASSES.things), tiny)
    for found, pair in zip(at_once, pairs, strict=True):
        for name, values in vars(explain(pair, tiny)).items():
            assert getattr(found, name).tolist() == values.tolist(), name


def test_every_kind_is_explained_in_words() -> None:
    assert list(MEANINGS) == list(KINDS)
    assert len(KINDS) == 9


def test_unknown_classes_are_named() -> None:
    with pytest.raises(ValueError, match="which is not one of the 2 classes"):
        explain(ImagePair.of(of(["cs"]), of(["cs"]), Categories(CLASSES.things)))


def largest(truth: PanopticMap, isthing: bool) -> list[Segment]:
    """Segments of one side by area, largest first, crowds left out."""
    return sorted((s for s in truth if s.isthing == isthing and not s.iscrowd), key=lambda segment: -segment.area)


def inject(kind: str, truth: PanopticMap, categories: Categories) -> PanopticMap | None:
    """The truth with a mistake of one kind; None where the image has nothing to make it of."""
    ids, classes = truth.ids.copy(), {s.id: s.category for s in truth}
    things, stuff = largest(truth, isthing=True), largest(truth, isthing=False)
    new, used = 9_000_000, {s.category.id for s in truth}
    absent = {side: next(c for c in categories if c.isthing == side and c.id not in used) for side in (True, False)}
    if not things or not stuff:
        return None
    mine = ids == things[0].id
    columns = np.nonzero(mine)[1]
    if kind == "missed":
        ids[mine] = 0
    elif kind in ("spurious", "tiny stuff"):
        y, x = (int(places[len(places) // 2]) for places in np.nonzero(ids == stuff[0].id))
        square = np.zeros_like(mine)
        square[y : y + 12, x : x + 12] = True
        ids[square & (ids == stuff[0].id)] = new
        classes[new] = absent[kind == "spurious"]
    elif kind == "merged":
        twins = [s for s in things[1:] if s.category == things[0].category]
        if not twins:
            return None
        ids[ids == twins[0].id] = things[0].id
    elif kind == "split":
        ids[mine & (np.arange(ids.shape[1]) > np.median(columns))] = new
        classes[new] = things[0].category
    elif kind == "poor boundary":
        shifted = np.roll(mine, max(1, (columns.max() - columns.min()) // 4), axis=1) & mine
        ids[mine] = 0
        ids[shifted] = things[0].id
    elif kind == "thing lost to stuff":
        ids[ids == things[-1].id] = stuff[0].id
    else:  # renamed
        renamed = things[0] if kind == "wrong class" else stuff[0]
        classes[renamed.id] = absent[True]
    present = np.unique(ids).tolist()
    return panoptic_map(ids, {key: classes[key] for key in present if key})


@pytest.mark.real_data
@pytest.mark.parametrize("kind", KINDS)
def test_a_mistake_made_on_photographs_is_called_by_its_name(kind: str, shared_data: Path) -> None:
    dataset = CocoPanoptic(shared_data / "coco20")
    named = 0
    for index in range(len(dataset)):
        truth = dataset.truth(index)
        prediction = inject(kind, truth, dataset.categories)
        if prediction is None:
            continue
        found = explain(ImagePair.of(truth, prediction, dataset.categories), tiny=0.002)
        missed = found.truth_kind[(found.truth_kind != RIGHT) & (found.iou == 0)]
        said = {KINDS[k] for k in (*missed, *found.prediction_kind[found.prediction_kind != RIGHT])}
        assert said <= {kind}, dataset.names[index]
        named += said == {kind} or (kind == "poor boundary" and KINDS.index(kind) in found.truth_kind)
    assert named >= 5
