"""Pixels that are put right or wrong, against what is painted."""

import numpy as np

from tests.demo.test_run import CAR, ROAD, two_cars
from unipan.demo.changes import REPAIRED, SPOILED, change_picture, error_picture, right_pixels
from unipan.panoptic.maps import panoptic_map
from unipan.visualization.flat import CORRECT, ERROR_COLORS


def test_right_pixels_are_those_of_matches() -> None:
    truth = two_cars()
    ids = truth.ids.copy()
    ids[10:30, 5:8] = 3  # the first car is cut, the second one is gone
    ids[truth.ids == 2] = 3
    prediction = panoptic_map(ids, {1: CAR, 3: ROAD})
    right = right_pixels(truth, prediction)
    assert right.sum() == (truth.ids == 3).sum() + 20 * 22
    assert not right[truth.ids == 2].any()
    errors = error_picture(truth, prediction, truth.ids.shape)
    assert tuple(errors[20, 60]) == ERROR_COLORS["false negative"]
    assert tuple(errors[20, 6]) == ERROR_COLORS["outline error"]
    assert tuple(errors[5, 5]) == CORRECT
    assert error_picture(truth, prediction, (80, 160)).shape == (80, 160, 3)


def test_changes_are_green_where_repaired_and_red_where_spoiled() -> None:
    before, after = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    before[0], after[1], before[2], after[2] = True, True, True, True
    picture = change_picture(np.full((8, 12, 3), 90, np.uint8), before, after)
    assert (picture[:2] == SPOILED).all()
    assert (picture[2:4] == REPAIRED).all()
    assert (picture[4:] == picture[4, 0]).all()
