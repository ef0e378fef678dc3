"""What is in front of what, and what a background covers."""

from typing import Any

import numpy as np
import pytest

from tests.datasets.formats.shapes_by_hand import SIZE, has, square
from tests.datasets.maps import DOOR, SKY, WALL, WINDOW
from unipan.datasets.formats.regions import region_of_mask
from unipan.datasets.formats.shapes import Layer, Shape, layer_of, paint_shapes
from unipan.panoptic.categories import Category

A, B = square(4, 4, 20, 20), square(14, 14, 20, 20)


def shape(category: Category | None, mask: np.ndarray, label: str = "x", **more: Any) -> Shape:
    layer = Layer.IGNORE if category is None else layer_of(category)
    return Shape(category, region_of_mask(mask), label, **{"layer": layer, **more})


def test_layers_and_the_background() -> None:
    shapes = [
        shape(DOOR, A),
        shape(WINDOW, square(0, 0, 8, 8), layer=Layer.CROWD),
        shape(SKY, square(0, 0, 64, 10)),
        shape(None, square(20, 20, 30, 10)),
        shape(None, square(40, 0, 20, 48), layer=Layer.NOT_BACKGROUND),
    ]
    found = paint_shapes(SIZE, shapes, "x", background=WALL)
    assert has(found, "door", A & ~square(20, 20, 30, 10))  # a region to ignore is in front of everything
    assert has(found, "window", square(0, 0, 8, 8) & ~A, crowd=True)
    assert has(found, "sky", square(0, 0, 64, 10) & ~A & ~square(0, 0, 8, 8))
    void = (square(20, 20, 30, 10) | square(40, 10, 20, 38)) & ~square(0, 0, 64, 10)
    assert ((found.ids == 0) == void).all()  # nothing is known there: no background, but stuff that is annotated
    assert has(found, "wall", ~(void | A | square(0, 0, 64, 10)))


def test_a_background_joins_annotated_stuff_of_its_class() -> None:
    found = paint_shapes(SIZE, [shape(WALL, A), shape(WALL, B)], "x", background=WALL)
    assert [(s.category, s.area) for s in found] == [(WALL, 48 * 64)]
    apart = paint_shapes(SIZE, [shape(WALL, A), shape(WALL, square(40, 40, 2, 2))], "x", merge_stuff=False)
    assert len(apart) == 2


def test_order_decides_first_and_the_rule_among_equals() -> None:
    back, front = shape(DOOR, B, "back", order=0.0), shape(DOOR, A, "front", order=1.0)
    for rule in ("refuse", "last", "small"):
        found = paint_shapes(SIZE, [front, back], "x", rule)  # type: ignore[arg-type]
        assert has(found, "door", A)
        assert has(found, "door", B & ~A)
    with pytest.raises(ValueError, match=r"img: .*door.*100 pixels.*--overlap small"):
        paint_shapes(SIZE, [shape(DOOR, A, "first"), shape(DOOR, B, "second")], "img")
    paint_shapes(SIZE, [shape(WALL, A), shape(WALL, B)], "same stuff is no conflict")
    with pytest.raises(ValueError, match="shares 100 pixels with a wall"):
        paint_shapes(SIZE, [shape(WALL, A), shape(SKY, B)], "x")


def test_what_is_hidden_is_left_out() -> None:
    found = paint_shapes(SIZE, [shape(DOOR, square(6, 6, 2, 2)), shape(WINDOW, A)], "x", "last")
    assert [s.category for s in found] == [WINDOW]
