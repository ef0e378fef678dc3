import csv
import io

import pytest

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.per_image import image_scores, to_csv


def test_each_row_is_the_dataset_of_that_image() -> None:
    whole = PanopticQuality(CLASSES)
    alone = {}
    for seed in range(20):
        truth, prediction = random_pair(seed)
        whole.update(truth, prediction, f"{seed:02d}")
        one = PanopticQuality(CLASSES)
        one.update(truth, prediction, f"{seed:02d}")
        alone[f"{seed:02d}"] = one.compute()
    rows = image_scores(whole)
    assert sorted(row.image for row in rows) == sorted(alone)
    for row in rows:
        scores = alone[row.image]
        every, things = scores["All"], scores["Things"]
        assert (row.pq, row.classes) == ((None, 0) if every is None else (pytest.approx(every.pq), every.n))
        assert row.pq_things == (None if things is None else pytest.approx(things.pq))
        assert row.fn == sum(found.fn for found in scores.per_class.values())


def test_worst_first_then_names_then_images_without_classes() -> None:
    quality = PanopticQuality(CLASSES)
    quality.update(of(["ccss"]), of(["ccss"]), "good")
    quality.update(of([".."]), of([".."]), "void")
    quality.update(of(["ccss"]), of(["ppss"]), "b")
    quality.update(of(["ccss"]), of(["ppss"]), "a")
    rows = image_scores(quality)
    assert [row.image for row in rows] == ["a", "b", "good", "void"]
    assert (rows[0].tp, rows[0].fp, rows[0].fn, rows[0].worst_class) == (1, 1, 1, "car")
    assert rows[0].pq == pytest.approx(1 / 3)
    assert (rows[3].pq, rows[3].worst_class) == (None, "")


def test_csv() -> None:
    quality = PanopticQuality(CLASSES)
    quality.update(of(["ss"]), of(["ss"]), 'a, "b".jpg')
    quality.update(of([".."]), of([".."]), "void.jpg")
    rows = list(csv.DictReader(io.StringIO(to_csv(image_scores(quality)))))
    assert [row["image"] for row in rows] == ['a, "b".jpg', "void.jpg"]
    assert (rows[0]["pq"], rows[0]["pq_things"], rows[0]["tp"]) == ("1.000000", "", "1")
    assert rows[1]["pq"] == ""
    assert len(image_scores(PanopticQuality(CLASSES))) == 0
