"""Each pixel of the picture of errors says what went wrong there."""

import numpy as np

from tests.tiny import CATEGORIES
from unipan.panoptic.maps import PanopticMap, Segment
from unipan.visualization.error_map import KEYS, error_map
from unipan.visualization.overlay import outlines


def panoptic(rows: list[list[int]], crowd: int = 0) -> PanopticMap:
    ids = np.repeat(np.repeat(np.array(rows, np.int32), 3, axis=0), 3, axis=1)
    segments = tuple(
        Segment(int(i), CATEGORIES[0], 1.0, int((ids == i).sum()), (0, 0, 1, 1), bool(i == crowd))
        for i in np.unique(ids[ids > 0])
    )
    return PanopticMap(ids, segments)


def named(picture: np.ndarray, truth: PanopticMap) -> np.ndarray:
    """The first letter of what each 3 x 3 block says, read where no outline lies."""
    assert not outlines(truth.ids)[::3, ::3].all()
    letters = {color: name[0] for name, color in KEYS.items()}
    return np.array([[letters.get(tuple(pixel), ".") for pixel in row] for row in picture[::3, ::3].tolist()])


def test_every_kind_of_pixel() -> None:
    truth = panoptic([[1, 1, 2, 2, 0, 4]], crowd=4)
    prediction = panoptic([[7, 8, 8, 0, 8, 9]])
    picture = error_map(truth, prediction, {1: 7}, {8})
    # right, beyond the outline of 1 and spurious at once, missed twice, void, crowd
    assert named(picture, truth).tolist() == [[".", "s", "m", "m", "n", "n"]]
    picture = error_map(truth, prediction, {1: 7, 2: 8}, set())
    assert named(picture, truth).tolist() == [[".", "b", ".", "b", "n", "n"]]


def test_nothing_at_all() -> None:
    empty = panoptic([[0, 0]])
    assert (error_map(empty, empty, {}, set())[:, 0] == KEYS["not counted"]).all()
    assert (
        error_map(
            PanopticMap(np.zeros((0, 4), np.int32), ()), PanopticMap(np.zeros((0, 4), np.int32), ()), {}, set()
        ).size
        == 0
    )
