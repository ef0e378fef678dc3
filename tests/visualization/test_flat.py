"""Flat pictures of panoptic maps, looked at pixel by pixel."""

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, Segment, panoptic_map
from unipan.visualization.flat import (
    ERROR_COLORS,
    color_map,
    error_map,
    flat_picture,
    outlines,
    resize_map,
    segment_index,
)

CAR = Category(3, "car", True, (30, 80, 200))
ROAD = Category(7, "road", False, (130, 70, 130))


def street(road: int = 1) -> PanopticMap:
    ids = np.zeros((6, 8), np.int32)
    ids[:, 2:5] = 4
    ids[:, 5:] = road
    return panoptic_map(ids, {4: CAR, road: ROAD})


@pytest.mark.parametrize("road", [1, 256**3 - 1])
def test_the_color_map_is_flat_and_void_is_black(road: int) -> None:
    picture = color_map(street(road))
    assert (picture[:, :2] == 0).all()
    assert (picture[:, 2:5] == CAR.color).all()
    assert (picture[:, 5:] == ROAD.color).all()


def test_ids_without_a_color_are_black() -> None:
    picture = color_map(street(), {1: (9, 9, 9), 0: (7, 7, 7)})
    assert not picture[:, :5].any()
    assert (picture[:, 5:] == 9).all()


def test_more_segments_than_a_byte_holds() -> None:
    ids = np.arange(1, 601, dtype=np.int32).reshape(20, 30)
    colors = {int(key): (int(key) % 256, int(key) // 256, 7) for key in ids.ravel()}
    picture = color_map(PanopticMap(ids, ()), colors)
    assert np.array_equal(picture[..., 0] + 256 * picture[..., 1].astype(int), ids)


def test_outlines_lie_between_segments() -> None:
    assert np.flatnonzero(outlines(street().ids)[0]).tolist() == [1, 4]


def test_resizing_picks_the_middle_and_keeps_segments() -> None:
    larger = resize_map(street(), (18, 24))
    assert np.array_equal(larger.ids[1::3, 1::3], street().ids)
    assert np.array_equal(resize_map(larger, (6, 8)).ids, street().ids)
    assert larger.segments == street().segments


def panoptic(rows: list[list[int]], crowd: int = 0) -> PanopticMap:
    ids = np.repeat(np.repeat(np.array(rows, np.int32), 3, axis=0), 3, axis=1)
    segments = tuple(
        Segment(int(i), CATEGORIES[0], 1.0, int((ids == i).sum()), (0, 0, 1, 1), bool(i == crowd))
        for i in np.unique(ids[ids > 0])
    )
    return PanopticMap(ids, segments)


def named(picture: np.ndarray, truth: PanopticMap) -> np.ndarray:
    """What each 3 x 3 block says, read where no outline lies: negative, positive, outline, ignored."""
    assert not outlines(truth.ids)[::3, ::3].all()
    letters = dict(zip(ERROR_COLORS.values(), "npoi", strict=True))
    return np.array([[letters.get(tuple(pixel), ".") for pixel in row] for row in picture[::3, ::3].tolist()])


def errors(
    truth: PanopticMap, prediction: PanopticMap, matches: dict[int, int], false_positives: set[int]
) -> np.ndarray:
    """`error_map` of whole maps; matches and false positives by their ids."""
    keys, guesses = ([segment.id for segment in side] for side in (truth, prediction))
    return error_map(
        segment_index(truth.ids, keys),
        segment_index(prediction.ids, guesses),
        np.array([guesses.index(matches[key]) if key in matches else -1 for key in keys], np.int64),
        np.array([not segment.iscrowd for segment in truth], bool),
        np.array([key in false_positives for key in guesses], bool),
    ).rgb()


def test_the_index_is_by_position_and_void_for_unknown_ids() -> None:
    ids = np.array([[0, 9, 4], [2**24 - 1, 9, 5]], np.int32)
    assert segment_index(ids, [9, 2**24 - 1, 4]).tolist() == [[0, 1, 3], [2, 1, 0]]
    assert segment_index(ids, []).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert flat_picture(segment_index(ids, [9, 4]), [(1, 1, 1), (2, 2, 2)]).rgb()[0].tolist() == [
        [0] * 3,
        [1] * 3,
        [2] * 3,
    ]


def test_every_kind_of_pixel() -> None:
    truth = panoptic([[1, 1, 2, 2, 0, 4]], crowd=4)
    prediction = panoptic([[7, 8, 8, 0, 8, 9]])
    picture = errors(truth, prediction, {1: 7}, {8})
    # correct, outside its match and a false positive at once, two false negatives, void, crowd
    assert named(picture, truth).tolist() == [[".", "p", "n", "n", "i", "i"]]
    picture = errors(truth, prediction, {1: 7, 2: 8}, set())
    assert named(picture, truth).tolist() == [[".", "o", ".", "o", "i", "i"]]


def test_outlines_of_the_truth_are_darker() -> None:
    truth = panoptic([[1, 1, 2]])
    picture = errors(truth, truth, {1: 1, 2: 2}, set())
    dark = picture.sum(2) < picture.sum(2).max()
    assert np.array_equal(dark, outlines(truth.ids))


def test_nothing_at_all() -> None:
    void = panoptic([[0, 0]])
    assert (errors(void, void, {}, set())[:, 0] == ERROR_COLORS["not counted"]).all()
    none = PanopticMap(np.zeros((0, 4), np.int32), ())
    assert errors(none, none, {}, set()).shape == (0, 4, 3)
