"""Many images matched at once count as one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, naive_counts, of, random_pair
from unipan.evaluation.image_pair import class_indices
from unipan.evaluation.matching import Batch, Overlaps, SegmentTable, count_overlaps, match_official, match_strict
from unipan.evaluation.panoptic_quality import PanopticQuality

Image = tuple[Overlaps, SegmentTable, SegmentTable]


def tables(seed: int) -> Image:
    """A random image with faults that files can have: stale and missing areas, undeclared ids, no pixels."""
    truth, prediction = random_pair(seed)
    rng = np.random.default_rng(seed)
    known, given = (SegmentTable.of(side, class_indices(side, CLASSES, "x")) for side in (truth, prediction))
    overlaps = count_overlaps(truth, prediction)
    pixels = overlaps.pixels
    kind = rng.integers(8)
    if kind == 0:
        known.declared[rng.random(len(known)) < 0.5] += 3
    if kind == 1:
        known.declared[rng.random(len(known)) < 0.3] = np.nan
    if kind == 2:  # of the truth some pixels are undeclared
        overlaps = Overlaps(overlaps.truth + (overlaps.truth == len(known)), overlaps.prediction, pixels)
    if kind == 3:  # of the prediction
        overlaps = Overlaps(overlaps.truth, overlaps.prediction + (overlaps.prediction == len(given)), pixels)
    if kind == 4 and len(overlaps):  # segments without pixels
        kept = (overlaps.truth != 0) & (overlaps.prediction != 0)
        overlaps = Overlaps(overlaps.truth[kept], overlaps.prediction[kept], pixels[kept])
    if kind == 5:
        known.crowd[:] = True
    return overlaps, known, given


def same(one: PanopticQuality, other: PanopticQuality) -> bool:
    """Bit by bit."""
    for mine, theirs in ((one.counts, other.counts), (one.official_counts, other.official_counts)):
        assert mine.keys() == theirs.keys()
        for name, each in mine.items():
            assert each.classes.tolist() == theirs[name].classes.tolist()
            np.testing.assert_array_equal(each.values, theirs[name].values)  # NaN equals NaN
            assert each.values.dtype == theirs[name].values.dtype
    return one.refusals == other.refusals


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12), st.integers(0, 2**12 - 1))
def test_images_counted_at_once_count_as_one_by_one(seeds: list[int], refused: int) -> None:
    images = [tables(seed) for seed in seeds]
    names = [f"{number}.png" for number in range(len(images))]
    refusals = {n: "it has no `iscrowd`" for n in range(len(images)) if refused >> n & refused >> (n // 2) & 1}
    whole, single = PanopticQuality(CLASSES), PanopticQuality(CLASSES)
    found = whole.put(Batch.of(images), names, refusals)
    alone = [
        single.put(Batch.of([image]), [name], {0: refusals[n]} if n in refusals else {})
        for n, (name, image) in enumerate(zip(names, images, strict=True))
    ]
    assert same(whole, single)
    assert whole.to_json() == single.to_json()
    assert found.iou.tolist() == [iou for each in alone for iou in each.iou.tolist()]
    starts = np.cumsum([0, *(len(image[1]) for image in images)])
    expected = [
        row + start for each, start in zip(alone, starts, strict=False) for row in each.false_negatives.tolist()
    ]
    assert found.false_negatives.tolist() == expected


def test_the_drawn_faults_reach_every_reading() -> None:
    """Else the test above would hold by chance."""
    quality = PanopticQuality(CLASSES)
    quality.put(Batch.of([tables(seed) for seed in range(200)]), [str(seed) for seed in range(200)])
    assert len(quality.official_counts) > 10
    assert any("has ids that its JSON does not declare" in text for text in quality.refusals.values())
    assert any("has no pixel" in text for text in quality.refusals.values())
    assert any("has no `area`" in text for text in quality.refusals.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6))
def test_a_batch_equals_the_definition_written_slowly(seeds: list[int]) -> None:
    pairs = [random_pair(seed) for seed in seeds]
    images = [
        (count_overlaps(*pair), *(SegmentTable.of(side, class_indices(side, CLASSES, "x")) for side in pair))
        for pair in pairs
    ]
    quality = PanopticQuality(CLASSES)
    quality.put(Batch.of(images), [str(number) for number in range(len(pairs))])
    for row, (truth, prediction) in enumerate(pairs):
        expected = [naive_counts(truth, prediction)[category.id] for category in CLASSES]
        np.testing.assert_allclose(quality.per_image[row], expected, atol=1e-12)


def test_void_and_crowds_of_one_image_do_not_reach_into_another() -> None:
    """Alike maps side by side: what lies on void or on a crowd in one is a false positive in the other."""
    prediction = of(["ccss"])
    truths = [of(["..ss"]), of(["rrss"]), of(["CCss"], crowds="C"), of(["CCss"])]
    images = [
        (count_overlaps(truth, prediction), SegmentTable.of(truth), SegmentTable.of(prediction)) for truth in truths
    ]
    batch = Batch.of(images)
    assert batch.truth_area.tolist() == [2, 2, 2, 2, 2, 2, 2]
    strict, official = match_strict(batch), match_official(batch)
    assert batch.prediction_image[strict.false_positives].tolist() == [1]
    assert batch.truth_image[strict.false_negatives].tolist() == [1]
    assert official.false_positives.tolist() == strict.false_positives.tolist()
    assert sorted(batch.truth_image[strict.truth].tolist()) == [0, 1, 2, 3, 3]


def test_the_last_crowd_of_a_class_is_that_of_its_image() -> None:
    truth, prediction = of(["CCcc", "rrpp"], crowds="cC"), of(["kk..", "rrpp"])
    images = [(count_overlaps(truth, prediction), SegmentTable.of(truth), SegmentTable.of(prediction))] * 2
    batch = Batch.of(images)
    assert match_strict(batch).false_positives.tolist() == []
    assert batch.prediction_image[match_official(batch).false_positives].tolist() == [0, 1]


def test_a_repeated_name_is_refused_before_anything_is_counted() -> None:
    quality = PanopticQuality(CLASSES)
    with pytest.raises(ValueError, match=r"a\.png: this image was counted already"):
        quality.put(Batch.of([tables(1), tables(2)]), ["a.png", "a.png"])
    assert len(quality) == 0
