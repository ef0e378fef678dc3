import numpy as np

from tests.evaluation.cases import CLASSES, of
from tests.tiny import CATEGORIES
from unipan.evaluation.confusion import ThingStuffConfusion, thing_stuff_counts, thing_stuff_shares
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.panoptic.categories import Categories


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


def test_as_an_extra_metric() -> None:
    found = ThingStuffConfusion(CLASSES)
    found.update(of(["cccc", "ssss"]), of(["ccss", "ssss"]))
    assert found.to_json()["things"] == {"things": 0.5, "stuff": 0.5, "void": 0.0}
    assert found.lines()[0] == "pixels of things: 50.0 as things, 50.0 as stuff, 0.0 as void"
    assert isinstance(found + ThingStuffConfusion(CLASSES), ThingStuffConfusion)
