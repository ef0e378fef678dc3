"""The box and the pixel that stand for an object."""

import numpy as np

from unipan.panoptic.categories import Category
from unipan.panoptic.maps import panoptic_map
from unipan.visualization.regions import box_mask, deepest, own_box

CAR, ROAD = Category(1, "car", True, (9, 9, 9)), Category(2, "road", False, (5, 5, 5))


def test_the_own_box_fits_best_and_well_enough() -> None:
    ids = np.full((64, 96), 2, np.int32)
    ids[20:30, 20:60] = 1
    car = panoptic_map(ids, {1: CAR, 2: ROAD}).segments[0]
    boxes = np.array([[20.0, 20, 60, 30], [20, 20, 55, 30], [0, 0, 5, 5]], np.float32)
    assert own_box(car, boxes) == 0
    assert own_box(car, boxes, np.array([False, True, True])) == 1
    assert own_box(car, boxes, np.array([False, False, True])) is None
    assert own_box(car, boxes[:0]) is None


def test_the_mask_of_a_box_is_clipped() -> None:
    mask = box_mask((-3.0, 1.2, 2.4, 9.0), (4, 5))
    assert mask.nonzero()[0].tolist() == [1, 1, 2, 2, 3, 3]
    assert mask.nonzero()[1].tolist() == [0, 1] * 3


def test_the_deepest_pixel_is_in_the_middle() -> None:
    region = np.zeros((64, 96), bool)
    region[10:15, 40:45] = True
    assert deepest(region) == (42, 12)
