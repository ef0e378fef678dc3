"""What a conversion says about what it made."""

import numpy as np

from tests.datasets.maps import CLASSES, DOOR, WALL, WINDOW, small_map
from unipan.datasets.formats.tally import Tally
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import panoptic_map


def test_counts_by_kind() -> None:
    tally = Tally(CLASSES)
    tally.add("a", small_map())
    assert tally.summary() == (
        "made: things 3 (2 door, 1 window); stuff 2 (1 wall, 1 sky); crowds 1 (1 window); void 12.5 % of all pixels"
    )
    assert tally.warnings() == []


def test_warnings() -> None:
    tally = Tally(Categories.of([DOOR, WINDOW]))
    ids = np.zeros((4, 4), np.int32)
    tally.add("empty", panoptic_map(ids, {}))
    ids[0, 0] = 1
    tally.add("void", panoptic_map(ids, {1: DOOR}, crowds={1}))
    said = "\n".join(tally.warnings())
    for words in (
        "every segment of door is a crowd",
        "--crowds things",
        "no thing is left",
        "no stuff class; training needs one: --background NAME",
        "1 of 2 images have no segment: empty",
        "1 of 2 images are mostly void: void",
        "1 of 2 classes have no segment: window",
    ):
        assert words in said
    stuff = Tally(Categories.of([DOOR, WALL]))
    stuff.add("a", panoptic_map(np.ones((2, 2), np.int32), {1: DOOR}))
    assert any("no pixel is stuff" in line for line in stuff.warnings())


def test_instances_that_count_from_0() -> None:
    """Where each class of things has a crowd in each image, instance 0 may be an object (Mapillary Vistas)."""
    tally = Tally(CLASSES)
    tally.add("a", panoptic_map(np.array([[1, 2, 2, 3]], np.int32), {1: DOOR, 2: DOOR, 3: WALL}, crowds={2}))
    (warning,) = (line for line in tally.warnings() if "count from 0" in line)
    assert "a crowd, 2 pixels in all (50.0 %)" in warning
    tally.add("b", panoptic_map(np.array([[1, 2, 2, 3]], np.int32), {1: DOOR, 2: DOOR, 3: WALL}))
    assert not any("count from 0" in line for line in tally.warnings())
