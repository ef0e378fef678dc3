"""`png16`, and what all formats of label pictures have in common: classes, void, images."""

import json
import re
from pathlib import Path

import pytest

from tests.datasets.maps import declare, paint, parts, said, write_photo
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.png16 import png16


def test_16_bits(tmp_path: Path) -> None:
    paint(
        declare(tmp_path) / "panoptic" / "a" / "x.png", [[4001, 4002, 4000, 65535], [9000, 12000, 0, 255_000 % 65536]]
    )
    data = png16(tmp_path)
    assert (data.image_ids, data.file_names) == (["a/x"], ["a/x.png"])
    wanted = {("door", False, (0,)), ("door", False, (1,)), ("door", True, (2,)), ("wall", False, (4,))}
    with pytest.raises(ValueError, match=r"x\.png: class 58 .*classes\.json"):
        data.truth(0)
    paint(tmp_path / "panoptic" / "a" / "x.png", [[4001, 4002, 4000, 65535], [9000, 12000, 0, 0]])
    assert said(data.truth(0)) == {*wanted, ("sky", False, (5,))}


def test_the_divisor_of_the_file_and_that_of_the_caller(tmp_path: Path) -> None:
    paint(declare(tmp_path, divisor=256) / "x.png", [[4 * 256 + 1, 9 * 256]])  # PNGs next to classes.json will do
    assert said(png16(tmp_path).truth(0)) == {("door", False, (0,)), ("wall", False, (1,))}
    with pytest.raises(ValueError, match="class 1 is not in"):
        png16(tmp_path, FormatOptions(divisor=1000)).truth(0)
    declare(tmp_path, divisor="many")
    with pytest.raises(ValueError, match="its `divisor` is 'many'"):
        png16(tmp_path)


def test_class_0_is_void_unless_declared(tmp_path: Path) -> None:
    paint(tmp_path / "x.png", [[0, 1000]])
    (tmp_path / "classes.json").write_text(
        json.dumps([{"id": 0, "name": "road", "isthing": 0}, {"id": 1, "name": "sky", "isthing": 0}])
    )
    assert said(png16(tmp_path).truth(0)) == {("road", False, (0,)), ("sky", False, (1,))}


def test_photographs_and_listed_images(tmp_path: Path) -> None:
    folder = declare(tmp_path, images=[{"id": 31, "file_name": "b.jpg"}, {"id": 30, "file_name": "a.png"}])
    for name in ("a", "b", "c"):
        paint(folder / "panoptic" / f"{name}.png", [[4001, 9000]])
        write_photo(folder / "images" / f"{name}.png", 1, 2)
    data = png16(folder)
    # Listed images come first, in the list's order; the rest is called after its file.
    assert data.image_ids == [31, 30, "c"]
    assert [data.image_path(index).name for index in range(3)] == ["b.png", "a.png", "c.png"]
    assert parts(data[1].truth) == parts(data.truth(1))
    write_photo(folder / "images" / "c.png", 2, 2)
    with pytest.raises(ValueError, match=r"c\.png: image 'c' is 2 x 2 but its map is 2 x 1"):
        data[2]
    (folder / "images" / "c.png").unlink()
    with pytest.raises(FileNotFoundError, match=re.escape("c.*: no such image")):
        png16(folder)


def test_classes_that_are_missing_or_climb_out(tmp_path: Path) -> None:
    paint(tmp_path / "x.png", [[4001]])
    with pytest.raises(FileNotFoundError, match=r"classes\.json: no such file"):
        png16(tmp_path)
    declare(tmp_path, images=[{"id": 1, "file_name": "../x.png"}])
    with pytest.raises(ValueError, match=r"'\.\./x\.png' leads out of"):
        png16(tmp_path)
    (tmp_path / "classes.json").write_text('{"classes": []}')
    with pytest.raises(ValueError, match=r"classes\.json: .*`categories`"):
        png16(tmp_path)
    (tmp_path / "x.png").unlink()
    declare(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no \*\.png here"):
        png16(tmp_path)


def test_instances_from_0(tmp_path: Path) -> None:
    """Mapillary Vistas counts classes and instances from 0."""
    paint(declare(tmp_path, divisor=256) / "panoptic" / "x.png", [[4 * 256, 4 * 256 + 1, 9 * 256]])
    assert ("door", True, (0,)) in said(png16(tmp_path).truth(0))
    wanted = {("door", False, (0,)), ("door", False, (1,)), ("wall", False, (2,))}
    assert said(png16(tmp_path, FormatOptions(crowds="things")).truth(0)) == wanted


def test_void_classes(tmp_path: Path) -> None:
    """MOTS ignores 10000."""
    paint(declare(tmp_path) / "panoptic" / "x.png", [[4001, 10000, 9000]])
    with pytest.raises(ValueError, match=r"x\.png: class 10 is not in .*--void-classes 10"):
        png16(tmp_path).truth(0)
    wanted = {("door", False, (0,)), ("wall", False, (2,))}
    assert said(png16(tmp_path, FormatOptions(void_classes=(10,))).truth(0)) == wanted


def test_classes_below_the_divisor(tmp_path: Path) -> None:
    """VIPSeg, and own data in the way of Cityscapes: neither is a class lost, nor a class invented."""
    folder = declare(tmp_path, divisor=100)
    paint(folder / "panoptic" / "x.png", [[9, 401, 402, 4, 0, 255]])
    with pytest.raises(ValueError, match=r"x\.png: 4 is below the divisor 100, .* 'door' without an instance"):
        png16(folder).truth(0)
    found = said(png16(folder, FormatOptions(below_divisor="class", void_classes=(2,))).truth(0))
    assert found == {("wall", False, (0,)), ("door", False, (1,)), ("door", False, (2,)), ("door", True, (3,))}
    void = said(png16(folder, FormatOptions(below_divisor="void", void_classes=(2,))).truth(0))
    assert void == {("door", False, (1,)), ("door", False, (2,))}


def test_classes_above_a_small_divisor(tmp_path: Path) -> None:
    """VIPSeg's stuff goes up to 124 with a divisor of 100; stuff has no instances, so that 117 is a class."""
    rows = [(1, "wall", 0), (117, "cloth", 0), (2, "cat", 1), (217, "box", 0)]
    (tmp_path / "classes.json").write_text(
        json.dumps([dict(zip(("id", "name", "isthing"), r, strict=True)) for r in rows])
    )
    paint(tmp_path / "panoptic" / "x.png", [[117, 1, 201]])
    options = FormatOptions(divisor=100, below_divisor="class")
    assert said(png16(tmp_path, options).truth(0)) == {
        ("cloth", False, (0,)),
        ("wall", False, (1,)),
        ("cat", False, (2,)),
    }
    paint(tmp_path / "panoptic" / "x.png", [[217, 1]])
    with pytest.raises(ValueError, match=r"x\.png: 217 is a class, and instance 17 of class 2"):
        png16(tmp_path, options).truth(0)
