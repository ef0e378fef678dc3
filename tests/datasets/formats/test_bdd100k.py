"""Bitmasks of BDD100K: four channels that are no colours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.formats.shapes_by_hand import SIZE, has, square
from tests.datasets.maps import DOOR, WALL, declare
from unipan.datasets.formats.bdd100k import bdd100k
from unipan.datasets.formats.two_channel import two_channel


def write(folder: Path) -> Path:
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[..., 0] = WALL.id
    pixels[:4, :, 3] = 9  # stuff with a number is stuff all the same
    pixels[10:20, 4:24] = (DOOR.id, 0, 0, 1)
    pixels[10:20, 24:44] = (DOOR.id, 0, 0, 2)
    pixels[30:40, 4:24] = (DOOR.id, 8, 1, 1)  # 257, truncated
    pixels[30:40, 30:40] = (DOOR.id, 2, 0, 7)  # a crowd
    pixels[30:40, 50:60] = (DOOR.id, 1, 0, 8)  # to ignore
    declare(folder)
    (folder / "panoptic").mkdir(exist_ok=True)
    Image.fromarray(pixels, "RGBA").save(folder / "panoptic" / "a.png")
    return folder


def test_touching_objects_stay_apart(tmp_path: Path) -> None:
    truth = bdd100k(write(tmp_path)).truth(0)
    for mask in (square(4, 10, 20, 10), square(24, 10, 20, 10), square(4, 30, 20, 10)):
        assert has(truth, "door", mask)
    assert has(truth, "door", square(30, 30, 10, 10), crowd=True)
    assert ((truth.ids == 0) == square(50, 30, 10, 10)).all()
    assert sum(s.category == WALL for s in truth) == 1


def test_alpha_that_is_a_number_is_not_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.png: four channels.*bdd100k:"):
        two_channel(write(tmp_path)).truth(0)
