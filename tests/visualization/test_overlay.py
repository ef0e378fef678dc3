"""What is drawn over photographs, looked at pixel by pixel."""

import numpy as np
import pytest

from tests.tiny import draw
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.visualization.overlay import draw_boxes, mark, overlay, shrink

CAR = Category(3, "car", True, (30, 80, 200))
ROAD = Category(7, "road", False, (130, 70, 130))


def small() -> PanopticMap:
    ids = np.zeros((6, 8), np.int32)
    ids[:, 2:5] = 4
    ids[:, 5:] = 1
    return panoptic_map(ids, {4: CAR, 1: ROAD})


def test_the_overlay_mixes_and_outlines() -> None:
    image = np.full((6, 8, 3), 100, np.uint8)
    picture = overlay(image, small(), alpha=0.5)
    assert picture[0, 3].tolist() == [65, 90, 150]
    assert picture[0, 0].tolist() == [16, 16, 16]
    assert picture[0, 4].min() > 150
    assert (image == 100).all()


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large picture is mixed band by band: outlines cross their borders, and void and stuff may be in one alone."""
    truth = draw(3, things=4).truth
    image = np.random.default_rng(0).integers(0, 256, (*truth.ids.shape, 3)).astype(np.uint8)
    whole = overlay(image, truth, alpha=0.6, stuff_alpha=0.3)
    for rows in (1, 7, 63):
        monkeypatch.setattr("unipan.visualization.overlay.BAND", rows * truth.ids.shape[1])
        assert (overlay(image, truth, alpha=0.6, stuff_alpha=0.3) == whole).all()


def test_the_overlay_refuses_another_images_map() -> None:
    with pytest.raises(ValueError, match=r"\(6, 9\).*\(6, 8\)"):
        overlay(np.zeros((6, 9, 3), np.uint8), small())


def test_sizes() -> None:
    assert shrink(np.zeros((40, 60, 3), np.uint8), 30).shape == (20, 30, 3)
    assert shrink(np.zeros((4, 6, 3), np.uint8), 30).shape == (4, 6, 3)


def test_boxes_and_marks_change_only_copies() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    boxes = np.array([[10, 20, 50, 55]], np.float32)
    picture = draw_boxes(image, boxes, ["car .9"], [(255, 0, 0)])
    assert picture[40, 10].tolist() == [255, 0, 0]
    assert not picture[40, 30].any()
    assert draw_boxes(image, np.zeros((0, 4), np.float32), [], []).tolist() == image.tolist()
    crossed = mark(image, 30, 20)
    assert crossed[20, 30].tolist() == [255, 255, 255]
    assert not image.any()


def test_marks_at_the_border_are_cut() -> None:
    assert mark(np.zeros((10, 10, 3), np.uint8), 0, 9).shape == (10, 10, 3)
