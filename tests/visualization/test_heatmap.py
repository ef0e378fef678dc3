"""The diverging scale: white is zero, red attracts, blue repels, both sides alike."""

import numpy as np

from unipan.visualization.heatmap import STOPS, affinity_picture, diverging


def test_zero_is_white_and_the_ends_are_dark() -> None:
    colors = diverging(np.array([[-2.0, 0.0, 2.0]]))
    assert colors[0].tolist() == [STOPS[0].tolist(), STOPS[3].tolist(), STOPS[6].tolist()]


def test_the_range_is_symmetric_also_for_one_sided_values() -> None:
    colors = diverging(np.array([[0.0, 1.0, 4.0]]))
    assert colors[0, 0].tolist() == STOPS[3].tolist()
    assert np.array_equal(diverging(np.array([[1.0]]), limit=4.0)[0, 0], colors[0, 1])


def test_values_beyond_the_limit_are_clipped_and_all_zero_is_white() -> None:
    assert diverging(np.array([[9.0]]), limit=1.0)[0, 0].tolist() == STOPS[6].tolist()
    assert (diverging(np.zeros((2, 2))) == STOPS[3]).all()


def test_red_and_blue_sides() -> None:
    blue, red = diverging(np.array([[-0.5, 0.5]]), limit=1.0)[0].astype(int)
    assert blue[2] > blue[0]
    assert red[0] > red[2]


def test_over_an_image_zero_shows_the_grey_image() -> None:
    image = np.full((9, 9, 3), (200, 30, 30), np.uint8)
    affinity = np.zeros((9, 9), np.float32)
    affinity[0, 0] = 1
    picture = affinity_picture(affinity, image=image)
    assert len(set(picture[5, 5].tolist())) == 1
    assert picture[0, 0, 0] > picture[0, 0, 2]
    crossed = affinity_picture(affinity, (4, 4), image)
    assert crossed[4, 4].tolist() == [255, 255, 255]
