"""Names on overlays: where they have room, in the colours of the things, and a legend that says the rest."""

import numpy as np
import pytest
from PIL import ImageDraw

from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.visualization.margin_picture import margin_picture
from unipan.visualization.named_overlay import STUFF_ALPHA, drawable, font_size, named_overlay

CAR = Category(3, "car", True, (30, 80, 200))
ROAD = Category(7, "road", False, (130, 70, 130))


def street(scale: int = 1) -> PanopticMap:
    ids = np.full((120 * scale, 200 * scale), 1, np.int32)
    ids[20 * scale : 80 * scale, 20 * scale : 120 * scale] = 2
    ids[100 * scale : 103 * scale, 150 * scale : 153 * scale] = 3
    return panoptic_map(ids, {1: ROAD, 2: CAR, 3: CAR}, {2: 0.93, 3: 0.5})


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written."""
    found: list[str] = []
    write = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *rest: object, **more: object) -> None:
        found.append(text)
        write(self, xy, text, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return found


@pytest.mark.parametrize("scale", [1, 4, 20])
def test_large_things_have_names_and_small_ones_have_none(scale: int, words: list[str]) -> None:
    image = np.full((120 * scale, 200 * scale, 3), 100, np.uint8)
    picture = named_overlay(image, street(scale))
    assert words == ["car 93 %", "2 car", "road"]
    assert picture.shape[1] >= 640
    assert picture.shape[1] % image.shape[1] == 0
    assert (image == 100).all()


def test_stuff_is_quiet() -> None:
    picture = named_overlay(np.full((480, 800, 3), 100, np.uint8), street(4))
    mixed = np.array([100 * (1 - STUFF_ALPHA) + STUFF_ALPHA * channel for channel in ROAD.color])
    np.testing.assert_allclose(picture[4, 4], mixed, atol=1)
    assert np.abs(picture[100, 100].astype(float) - 100).max() > np.abs(mixed - 100).max()


def test_a_map_of_nothing(words: list[str]) -> None:
    named_overlay(np.zeros((30, 20, 3), np.uint8), panoptic_map(np.zeros((30, 20), np.int32), {}))
    assert words == ["nothing was found"]


def test_names_that_the_font_lacks() -> None:
    names = {"Gebäude": "Gebaude", "car": "car", "汽车": "class 5", "Straße": "class 5"}
    assert {name: drawable(Category(5, name, True, (0, 0, 0))) for name in names} == names


def test_words_grow_with_the_picture() -> None:
    assert [font_size(*size) for size in ((192, 96), (640, 480), (6000, 4000))] == [13, 13, 65]


def test_the_margin_has_a_scale_of_numbers(words: list[str]) -> None:
    margin = np.linspace(0, 1, 60 * 80, dtype=np.float32).reshape(60, 80)
    picture = margin_picture(margin)
    assert words == ["0: unsure", "0.45", "0.9 and more"]
    assert picture.shape[1] == 480
    assert picture[0, 0].sum() < picture[200, 0].sum() < picture[-200, 470].sum()
    margin_picture(np.full((3, 4), np.inf, np.float32))
    margin_picture(np.zeros((3, 4), np.float32))
