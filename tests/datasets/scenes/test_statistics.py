"""The scenes are hard on purpose: measured (200 scenes: 6.1 things, 52 % hidden, 58 % touching), kept as bounds."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.datasets.scenes.statistics import components_pq, scene_statistics, touching_things
from unipan.datasets.scenes.generator import SCENE_CATEGORIES
from unipan.panoptic.maps import PanopticMap, Segment


def _truth(rows: list[list[int]], classes: dict[int, str], repeat: int = 10) -> PanopticMap:
    ids = np.kron(np.array(rows), np.ones((repeat, repeat))).astype(np.int32)
    segments = []
    for number, name in classes.items():
        y, x = np.nonzero(ids == number)
        box = (int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1)
        category = SCENE_CATEGORIES[SCENE_CATEGORIES.index_of_name[name]]
        segments.append(Segment(number, category, 1.0, len(y), box))
    return PanopticMap(ids, tuple(segments))


def test_touching() -> None:
    truth = _truth([[1, 2, 3, 0, 4], [5, 5, 5, 5, 5]], {1: "car", 2: "car", 3: "person", 4: "person", 5: "road"}, 1)
    assert touching_things(truth) == {1, 2}


def test_components_of_separate_things_are_perfect() -> None:
    assert components_pq([_truth([[1, 0, 2], [3, 3, 3]], {1: "car", 2: "car", 3: "road"})]) == 1.0


def test_components_merge_and_split() -> None:
    classes = {1: "car", 2: "car"}
    # one component of 3 cells covers a car of 2: IoU 2/3; TP 1, FN 1 -> PQ = (2/3) / 1.5
    assert components_pq([_truth([[1, 1, 2]], classes)]) == pytest.approx(2 / 3 / 1.5)
    # two halves of one car: no match, 1 missed, 2 wrong
    assert components_pq([_truth([[1, 0, 1]], {1: "car"})]) == 0.0


def test_scenes_are_hard(announce: Callable[[str], None]) -> None:
    measured = scene_statistics(120)
    for line in str(measured).splitlines():
        announce(line)
    assert measured.things >= 5
    assert measured.hidden >= 0.25
    assert measured.median_area >= 600
    assert measured.touching >= 0.25
    assert measured.color_iou < 0.53
    assert measured.color_thing_iou < 0.29
    assert measured.components_pq < 0.73
    assert "things an image" in str(measured)


def test_held_out_scenes_are_as_hard() -> None:
    measured = scene_statistics(30, seed0=1_000_000)
    assert measured.things >= 5
    assert measured.hidden >= 0.25
    assert measured.color_thing_iou < 0.29


def test_too_few_scenes() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        scene_statistics(4)
