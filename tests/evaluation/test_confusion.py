import numpy as np
import pytest

from tests.evaluation.cases import CAR, CLASSES, PERSON, ROAD, SKY, of, random_pair
from tests.tiny import CATEGORIES
from unipan.evaluation.confusion import SegmentConfusion, thing_stuff_counts, thing_stuff_shares
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.panoptic.categories import Categories, Category

NOTHING = len(CLASSES)


def at(confusion: SegmentConfusion, row: Category | None, column: Category | None) -> int:
    places = [NOTHING if each is None else CLASSES.index_of_id[each.id] for each in (row, column)]
    return int(confusion.matrix[places[0], places[1]])


def test_things_and_stuff_by_hand() -> None:
    iou = SemanticIoU(CLASSES)
    iou.update(of(["cccc", "pppp", "ssrr", "...."]), of(["ccpp", "ps..", "ccrr", "cccc"]))
    shares = thing_stuff_shares(iou.confusion, CLASSES)
    assert shares["things"] == {"things": 5 / 8, "stuff": 1 / 8, "void": 2 / 8}
    assert shares["stuff"] == {"things": 0.5, "stuff": 0.5, "void": 0.0}


def test_counts_by_side_are_the_shares_before_the_division() -> None:
    generator = np.random.default_rng(0)
    matrix = generator.integers(0, 9, (4, 5))
    counts = thing_stuff_counts(matrix, CATEGORIES)
    assert counts.tolist() == [
        [matrix[:2, :2].sum(), matrix[:2, 2:4].sum()],
        [matrix[2:, :2].sum(), matrix[2:, 2:4].sum()],
    ]
    only_stuff = Categories.from_coco([{"id": 1, "name": "sky", "isthing": 0}])
    assert thing_stuff_counts(np.array([[7, 1]]), only_stuff).tolist() == [[0, 0], [0, 7]]
    only_things = Categories.from_coco([{"id": 1, "name": "car", "isthing": 1}])
    assert thing_stuff_counts(np.array([[7, 1]]), only_things).tolist() == [[7, 0], [0, 0]]


def test_a_side_without_truth_is_none() -> None:
    iou = SemanticIoU(CLASSES)
    iou.update(of(["ss"]), of(["sc"]))
    assert thing_stuff_shares(iou.confusion, CLASSES)["things"] == {"things": None, "stuff": None, "void": None}


def test_segments_by_hand() -> None:
    confusion = SegmentConfusion(CLASSES)
    truth = of(["cccc", "CC..", "pppp", "ssrr"])
    confusion.update(truth, of(["pppp", "..kk", "cc..", "ssPP"]))
    assert at(confusion, CAR, PERSON) == 1  # c as p
    assert at(confusion, CAR, None) == 1  # C
    assert at(confusion, PERSON, None) == 1  # p: IoU with c is exactly one half, no partner
    assert at(confusion, SKY, SKY) == 1
    assert at(confusion, ROAD, PERSON) == 1
    assert at(confusion, None, CAR) == 1  # c; k lies on void
    assert confusion.matrix.sum() == 6
    assert thing_stuff_shares(confusion.matrix, CLASSES)["stuff"] == {"things": 0.5, "stuff": 0.5, "void": 0.0}


def test_crowds_are_left_out() -> None:
    confusion = SegmentConfusion(CLASSES)
    confusion.update(of(["cccc"], crowds="c"), of(["cccc"]))
    assert confusion.matrix.sum() == 0


def test_parts_merge_and_every_segment_stands_once() -> None:
    whole, parts = SegmentConfusion(CLASSES), [SegmentConfusion(CLASSES) for _ in range(3)]
    counted = 0
    for seed in range(12):
        truth, prediction = random_pair(seed)
        whole.update(truth, prediction)
        parts[seed % 3].update(truth, prediction)
        counted += sum(not segment.iscrowd for segment in truth)
    assert (whole.matrix[:NOTHING].sum()) == counted
    np.testing.assert_array_equal((parts[2] + parts[0] + parts[1]).matrix, whole.matrix)
    with pytest.raises(ValueError, match="different categories"):
        whole + SegmentConfusion(Categories(CLASSES.things))
