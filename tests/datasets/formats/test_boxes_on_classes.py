"""Boxes and a picture of classes: a thing pixel in exactly one box of its class is that box's."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.formats.shapes_by_hand import SIZE, has, square
from tests.datasets.maps import CLASSES, DOOR, SKY, WALL, WINDOW, paint, random_map
from unipan.datasets.formats.boxes_on_classes import BARE, SHARED, map_of_boxes
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.regions import region_of_box, region_of_mask
from unipan.datasets.formats.shapes import Layer, Shape
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import class_map


def box(category: Category, x: int, y: int, w: int, h: int, label: str = "box", layer: Layer = Layer.THING) -> Shape:
    return Shape(category, region_of_box(float(x), float(y), float(x + w), float(y + h), SIZE), label, layer)


def test_the_rule(tmp_path: Path) -> None:
    kinds = np.full(SIZE, WALL.id)
    kinds[4:24, 4:44], kinds[30:40, 4:14], kinds[44:] = DOOR.id, WINDOW.id, 0
    kinds[0] = 255
    paint(tmp_path / "a.png", kinds, np.uint8)
    out = LeftOut()
    boxes = [
        box(DOOR, 2, 2, 20, 30, "left"),
        box(DOOR, 18, 2, 20, 30, "right"),  # 4 columns in both, 6 columns of door in neither
        box(WINDOW, 0, 28, 30, 14, "pane"),  # whole
        box(WINDOW, 0, 0, 3, 3, "nothing"),
        box(SKY, 0, 0, 9, 9, "of stuff"),
    ]
    found = map_of_boxes(tmp_path / "a.png", boxes, SIZE, CLASSES, "img", out)
    assert has(found, "door", square(4, 4, 14, 20))
    assert has(found, "door", square(22, 4, 16, 20))
    assert has(found, "window", square(4, 30, 10, 10))
    assert has(found, "wall", kinds == WALL.id)
    void = square(18, 4, 4, 20) | square(38, 4, 6, 20) | square(0, 44, 64, 4) | square(0, 0, 64, 1)
    assert ((found.ids == 0) == void).all()
    assert list(out.found[SHARED]) == ["nothing of img"]
    assert out.count(BARE) == 1
    filled = map_of_boxes(tmp_path / "a.png", boxes, SIZE, CLASSES, "img", out, background=SKY)
    assert has(filled, "sky", square(0, 44, 64, 4))  # class 0; 255 stays void


def test_boxes_that_do_not_touch_give_the_masks_themselves(tmp_path: Path) -> None:
    """Random maps: where the boxes of a class are disjoint, its things come back pixel by pixel."""
    compared = 0
    for seed in range(300):
        truth = random_map(seed)
        kinds = class_map(truth, CLASSES)
        ids = np.array([*(category.id for category in CLASSES), 0])[kinds]
        paint(tmp_path / "a.png", ids, np.uint8)
        size = truth.ids.shape
        shapes = [
            Shape(s.category, region_of_mask(truth.ids == s.id), str(s.id), Layer.CROWD if s.iscrowd else Layer.THING)
            for s in truth
            if s.isthing
        ]
        found = map_of_boxes(tmp_path / "a.png", shapes, size, CLASSES, "img", LeftOut())
        count = np.zeros((len(CLASSES), *size), int)
        for each in shapes:
            assert each.category is not None
            count[CLASSES.index_of_id[each.category.id]][each.region.window] += 1
        for s in truth:
            if s.isthing:
                mine = (truth.ids == s.id) & (count[CLASSES.index_of_id[s.category.id]] == 1)
                if mine.any():
                    assert len(np.unique(found.ids[mine])) == 1
                    assert found.ids[mine][0] > 0
                    compared += 1
    assert compared > 300


def test_pictures_of_another_size_or_class_are_named(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", np.full(SIZE, 77), np.uint8)
    with pytest.raises(ValueError, match=r"a\.png: class 77 is none of the categories"):
        map_of_boxes(tmp_path / "a.png", [], SIZE, CLASSES, "img", LeftOut())
    paint(tmp_path / "a.png", np.zeros((4, 5)), np.uint8)
    with pytest.raises(ValueError, match=r"a\.png: it is \(4, 5\) but img is \(48, 64\)"):
        map_of_boxes(tmp_path / "a.png", [], SIZE, CLASSES, "img", LeftOut())
