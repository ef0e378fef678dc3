"""Measures of segments, against numbers worked out by hand and against scikit-image."""

import csv
import io
import math

import numpy as np
import pytest
from skimage.measure import regionprops

from unipan.panoptic.categories import Category
from unipan.panoptic.maps import panoptic_map
from unipan.panoptic.segment_table import COLUMNS, class_csv, csv_of, segment_table

CAR = Category(3, "car", True, (1, 2, 3))
ROAD = Category(7, '=road, "wet"', False, (1, 2, 3))


def two() -> np.ndarray:
    ids = np.zeros((20, 30), np.int32)
    ids[2:6, 3:11] = 900_000
    ids[10:, :] = 2
    ids[19, 29] = 0
    return ids


def test_a_rectangle() -> None:
    car, road = segment_table(panoptic_map(two(), {900_000: CAR, 2: ROAD}, {2: 0.5}))
    assert tuple(car) == COLUMNS
    assert [car[key] for key in ("id", "class", "area", "x", "y", "width", "height")] == [
        900_000,
        "car",
        32,
        3,
        2,
        8,
        4,
    ]
    assert (car["centroid_x"], car["centroid_y"]) == (7, 4)
    assert car["equivalent_diameter"] == pytest.approx(math.sqrt(128 / math.pi))
    assert (road["isthing"], road["score"]) == (0, 0.5)


def test_scikit_image_agrees() -> None:
    ids = two()
    rows = {row["id"]: row for row in segment_table(panoptic_map(ids, {900_000: CAR, 2: ROAD}))}
    for label, key in ((1, 2), (2, 900_000)):
        [found] = [each for each in regionprops(np.where(ids == 2, 1, 0) + 2 * (ids == 900_000)) if each.label == label]
        assert rows[key]["perimeter"] == pytest.approx(found.perimeter)
        assert rows[key]["eccentricity"] == pytest.approx(found.eccentricity)
        y, x = found.centroid
        assert (rows[key]["centroid_x"], rows[key]["centroid_y"]) == pytest.approx((x + 0.5, y + 0.5))
        assert rows[key]["equivalent_diameter"] == pytest.approx(found.equivalent_diameter_area)


def test_without_scikit_image_two_cells_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.panoptic.segment_table.find_spec", lambda _: None)
    rows = segment_table(panoptic_map(two(), {900_000: CAR, 2: ROAD}))
    assert {(row["perimeter"], row["eccentricity"]) for row in rows} == {(None, None)}
    assert all(row["area"] > 0 for row in rows)


def test_csv_can_be_read_back_and_runs_no_formula() -> None:
    rows = segment_table(panoptic_map(two(), {900_000: CAR, 2: ROAD}, {2: 0.5}))
    found = list(csv.DictReader(io.StringIO(csv_of([{"file": "a.png", **row} for row in rows], ["file"]))))
    assert [row["file"] for row in found] == ["a.png", "a.png"]
    assert [row["class"] for row in found] == ["car", "'" + ROAD.name]
    assert [float(row["area"]) for row in found] == [32, 299]
    assert found[1]["score"] == "0.5"


def test_nothing_has_no_rows() -> None:
    assert segment_table(panoptic_map(np.zeros((2, 3), np.int32), {})) == []


def test_classes_are_summed_up_image_by_image() -> None:
    """By hand: two cars and a road in one image, a car in another."""
    rows = [
        {"file": "a.png", "class": "car", "category_id": 3, "isthing": 1, "score": 0.9, "area": 10},
        {"file": "a.png", "class": "road", "category_id": 8, "isthing": 0, "score": 1.0, "area": 60},
        {"file": "a.png", "class": "car", "category_id": 3, "isthing": 1, "score": 0.5, "area": 30},
        {"file": "b.png", "class": "=car", "category_id": 3, "isthing": 1, "score": 0.25, "area": 7},
    ]
    assert class_csv(rows).splitlines() == [
        "file,class,category_id,isthing,count,area,share,mean_score,lowest_score",
        "a.png,car,3,1,2,40,0.4,0.7,0.5",
        "a.png,road,8,0,1,60,0.6,1,1",
        "b.png,'=car,3,1,1,7,1,0.25,0.25",
    ]
