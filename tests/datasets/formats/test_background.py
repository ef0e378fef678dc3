"""A background for formats in which void is void."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.maps import small_map, write_dataset
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import open_dataset


def test_void_becomes_a_class(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")
    data = open_dataset(folder, FormatOptions(background="rest"))
    truth = data.truth(0)
    rest = next(s for s in truth if s.category.name == "rest")
    assert not rest.isthing
    assert rest.area == (small_map().ids == 0).sum()
    assert not (truth.ids == 0).any()
    assert len(truth) == len(small_map()) + 1
    assert data[0].image.shape[:2] == truth.ids.shape
    joined = open_dataset(folder, FormatOptions(background="sky")).truth(0)
    assert len(joined) == len(small_map())
    with pytest.raises(ValueError, match=r"--background door: .* has things of this name"):
        open_dataset(folder, FormatOptions(background="door"))


CAR, SOIL = {"id": 7, "name": "car", "isthing": 1}, {"id": 9, "name": "soil", "isthing": 0}
GROUND = {"id": 0, "name": "ground", "isthing": 0}


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def filled(folder: Path, name: str, *rows: dict[str, object], **more: object) -> list[tuple[str, int]]:
    """Name and area of each segment of the one picture, with `--background rest --void-classes 10`."""
    (folder / "classes.json").write_text(json.dumps(rows))
    options = FormatOptions(**{"background": "rest", "void_classes": (10,), **more})  # type: ignore[arg-type]
    data = open_dataset(f"{name}:{folder}", options)
    assert all(segment.category in list(data.categories) for segment in data.truth(0))
    return sorted((segment.category.name, segment.area) for segment in data.truth(0))


def test_pixels_to_ignore_are_no_background(tmp_path: Path) -> None:
    """In all formats of numbers; the new class is 10, which is a number to ignore here, and takes nothing from it."""
    numbers = np.array([[0, 0, 0, 7], [9, 9, 10, 255]])
    wide = np.where(numbers > 0, numbers * 1000 + (numbers == 7), 0)
    wide = np.where(numbers == 255, 65535, wide).astype(np.uint16)
    for name in ("png16", "two-channel", "bdd100k", "semantic-masks", "city"):
        folder = tmp_path / name
        zero, one = np.zeros((2, 4), int), (numbers == 7).astype(int)
        if name == "semantic-masks":
            write(folder / "semantic" / "a.png", numbers.astype(np.uint8))
            write(folder / "instances" / "a.png", one.astype(np.uint8))
        elif name == "city":
            ids = np.where(numbers == 7, 7000, numbers).astype(np.uint16)
            write(folder / "gtFine" / "val" / "a_gtFine_instanceIds.png", ids)
        else:
            rgb = np.stack([numbers, one, zero], -1).astype(np.uint8)
            rgba = np.stack([numbers, zero, zero, one], -1).astype(np.uint8)
            write(folder / "panoptic" / "a.png", {"png16": wide, "two-channel": rgb, "bdd100k": rgba}[name])
        read = "cityscapes" if name == "city" else name
        assert filled(folder, read, CAR, SOIL) == [("car", 1), ("rest", 3), ("soil", 2)], name
        # Soil is the background: one segment.
        assert filled(folder, read, CAR, SOIL, background="soil") == [("car", 1), ("soil", 5)], name
        with pytest.raises(ValueError, match=r"--background car: .* has things of this name"):
            filled(folder, read, CAR, SOIL, background="car")
        # Where 0 is a class, the other void is what nothing covers.
        assert filled(folder, read, CAR, SOIL, GROUND) == [("car", 1), ("ground", 3), ("rest", 1), ("soil", 2)], name


def test_values_below_the_divisor_that_are_void_stay_void(tmp_path: Path) -> None:
    write(tmp_path / "panoptic" / "a.png", np.array([[0, 0, 9, 7001]], np.uint16))
    found = filled(tmp_path, "png16", CAR, SOIL, below_divisor="void")
    assert found == [("car", 1), ("rest", 2)]


def test_an_array_has_a_background_where_it_has_no_segment(tmp_path: Path) -> None:
    (tmp_path / "panoptic").mkdir()
    np.save(tmp_path / "panoptic" / "a.npy", np.array([[[0, -1], [0, -1], [7, 0], [10, 1]]]))
    assert filled(tmp_path, "two-channel", CAR, SOIL) == [("car", 1), ("rest", 2)]
