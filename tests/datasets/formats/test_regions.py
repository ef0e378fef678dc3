"""Pixels of polygons, boxes, ellipses and masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as oracle

from unipan.datasets.formats.regions import (
    bits_of_runs,
    region_of_box,
    region_of_ellipse,
    region_of_mask,
    region_of_patch,
    region_of_polygons,
    turned,
)

SIZE = (20, 30)
coordinates = st.floats(-15, 45, allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7), min_size=1, max_size=3))
def test_polygons_in_their_window_are_those_of_pycocotools_in_the_image(
    polygons: list[list[tuple[float, float]]],
) -> None:
    flat = [[value for point in polygon for value in point] for polygon in polygons]
    expected = oracle.decode(oracle.merge(oracle.frPyObjects(flat, *SIZE))).astype(bool)
    assert (region_of_polygons(polygons, SIZE).full(SIZE) == expected).all()


def test_boxes_hold_the_pixels_whose_centre_they_hold() -> None:
    mask = region_of_box(2.4, 3.6, 5.5, 8.0, SIZE).full(SIZE)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    assert (mask == ((x >= 2.4) & (x < 5.5) & (y >= 3.6) & (y < 8))).all()
    assert region_of_box(-5.0, -5.0, 100.0, 100.0, SIZE).area == 600
    assert region_of_box(40.0, 2.0, 50.0, 5.0, SIZE).area == 0
    assert (
        region_of_box(5.0, 8.0, 2.0, 3.0, SIZE).full(SIZE) == region_of_box(2.0, 3.0, 5.0, 8.0, SIZE).full(SIZE)
    ).all()
    with pytest.raises(ValueError, match="not a number"):
        region_of_box(float("nan"), 0.0, 1.0, 1.0, SIZE)


def test_turned_boxes_and_ellipses() -> None:
    upright = region_of_box(4.0, 8.0, 16.0, 12.0, SIZE, 90.0).full(SIZE)
    assert (upright == region_of_box(8.0, 4.0, 12.0, 16.0, SIZE).full(SIZE)).all()
    assert turned(1.0, 0.0, 0.0, 0.0, 90.0) == pytest.approx((0, 1))  # clockwise on the screen
    lying, standing = region_of_ellipse(15.0, 10.0, 8.0, 3.0, SIZE), region_of_ellipse(15.0, 10.0, 3.0, 8.0, SIZE, 90.0)
    assert (lying.full(SIZE) == standing.full(SIZE)).all()
    assert lying.area == pytest.approx(np.pi * 8 * 3, rel=0.05)
    assert lying.full(SIZE)[10, 8]
    assert not lying.full(SIZE)[10, 6]
    assert region_of_ellipse(15.0, 10.0, 0.0, 8.0, SIZE).area == 0


def test_masks_are_cut_and_clipped() -> None:
    patch = np.ones((4, 5), bool)
    for top, left, area in ((18, 27, 6), (-2, -3, 4), (30, 0, 0), (0, -9, 0)):
        assert region_of_patch(patch, top, left, SIZE).full(SIZE).sum() == area
    empty = region_of_mask(np.zeros(SIZE, bool))
    assert empty.area == 0
    assert not empty.full(SIZE).any()


def test_runs_begin_with_zeros_and_fill_the_mask() -> None:
    assert bits_of_runs([1, 2, 3], 2, 3).tolist() == [[False, True, True], [False, False, False]]
    with pytest.raises(ValueError, match="5 pixels, not 2 x 3"):
        bits_of_runs([1, 4], 2, 3)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9, 1e30])
def test_a_polygon_that_reaches_far_out_is_cut_and_takes_no_memory(far: float) -> None:
    everything = region_of_polygons([[(-far, -far), (far, -far), (far, far), (-far, far)]], (48, 64))
    assert everything.area == 48 * 64
    left = region_of_polygons([[(-far, -far), (32.0, -far), (32.0, far), (-far, far)]], (48, 64))
    assert (left.left, left.mask.shape, left.area) == (0, (48, 32), 48 * 32)
    assert region_of_polygons([[(far, far), (far + 9 * far, far), (far, 9 * far)]], (48, 64)).area == 0


def test_clipping_keeps_what_is_near() -> None:
    """A triangle whose corners are within reach and beyond it gives the same pixels."""
    near = [(10.0, 5.0), (60.0, 20.0), (20.0, 45.0)]
    for tip in (900.0, 9_000.0):
        direct = region_of_polygons([[near[0], near[1], (near[1][0] + 50 * tip, near[1][1] + 15 * tip)]], (48, 64))
        assert (
            direct.area == region_of_polygons([[near[0], near[1], (near[1][0] + 50, near[1][1] + 15)]], (48, 64)).area
        )
