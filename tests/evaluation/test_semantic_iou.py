import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CAR, CLASSES, PERSON, ROAD, SKY, of, random_pair
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID, class_map


def test_by_hand() -> None:
    iou = SemanticIoU(CLASSES)
    iou.update(of(["cccc", "ss..", "rrrr"]), of(["ccss", "sscc", "rrr."]))
    scores = iou.compute()
    assert scores.per_class == {CAR.id: 0.5, PERSON.id: None, SKY.id: 0.5, ROAD.id: 0.75, 200: None}
    assert scores.things == 0.5
    assert scores.stuff == pytest.approx(0.625)
    assert scores.mean == pytest.approx((0.5 + 0.5 + 0.75) / 3)
    assert scores.to_json()["per_class"] == {"3": 0.5, "1": None, "7": 0.5, "90": 0.75, "200": None}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_counting_pixels_per_class(seed: int) -> None:
    truth, prediction = random_pair(seed)
    iou = SemanticIoU(CLASSES)
    iou.update(truth, prediction)
    wanted, given_ = class_map(truth, CLASSES), class_map(prediction, CLASSES)
    for index, category in enumerate(CLASSES):
        mine, theirs = wanted == index, (given_ == index) & (wanted != VOID)
        union = (mine | theirs).sum()
        expected = (mine & theirs).sum() / union if union else None
        assert iou.compute().per_class[category.id] == (pytest.approx(expected) if union else None)


def test_class_maps_and_panoptic_maps_agree_and_parts_merge() -> None:
    whole, parts = SemanticIoU(CLASSES), [SemanticIoU(CLASSES) for _ in range(3)]
    for seed in range(9):
        truth, prediction = random_pair(seed)
        whole.update(truth, prediction)
        parts[seed % 3].update(class_map(truth, CLASSES), class_map(prediction, CLASSES))
    assert (parts[2] + parts[0] + parts[1]).compute() == whole.compute()


def test_images_counted_at_once_count_as_one_by_one() -> None:
    single, at_once = SemanticIoU(CLASSES), SemanticIoU(CLASSES)
    pairs = [ImagePair.of(*random_pair(seed), CLASSES, str(seed)) for seed in range(9)]
    for pair in pairs:
        single.add(pair)
    batch = Batch.of([(pair.overlaps, pair.truth_segments, pair.prediction_segments) for pair in pairs])
    at_once.add_batch(batch, [pair.name for pair in pairs])
    assert single.confusion.any()
    assert np.array_equal(single.confusion, at_once.confusion)


def test_nothing_counted_is_none() -> None:
    assert SemanticIoU(CLASSES).compute().mean is None


def test_refusals() -> None:
    iou = SemanticIoU(CLASSES)
    with pytest.raises(ValueError, match=r"a.jpg: the prediction is"):
        iou.update(of(["cc"]), of(["c"]), "a.jpg")
    with pytest.raises(ValueError, match=r"a.jpg, prediction: class indices run from -1"):
        iou.update(of(["c"]), np.array([[5]]), "a.jpg")
    with pytest.raises(ValueError, match="different categories"):
        iou + SemanticIoU(Categories(CLASSES.things))
