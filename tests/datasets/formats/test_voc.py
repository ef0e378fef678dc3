"""Pascal VOC: numbers by palette and by colour, and boxes that count from 1."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.formats.shapes_by_hand import SIZE, has, photo, square
from tests.datasets.maps import paint
from unipan.datasets.formats.drawing import BOXES
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import suggested_command
from unipan.datasets.formats.voc import VOC_NAMES, voc, voc_colors

CAR, PERSON = 7, 15
KINDS = np.where(square(4, 4, 30, 20), CAR, np.where(square(40, 4, 10, 30), PERSON, 0))
NUMBERS = np.where(square(4, 4, 15, 20), 1, np.where(square(19, 4, 15, 20), 2, np.where(KINDS == PERSON, 3, 0)))
BORDER = square(38, 2, 2, 34)


def picture(path: Path, numbers: np.ndarray, colored: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in voc_colors()], np.uint8)
    if colored:
        Image.fromarray(colors[numbers]).save(path)
        return
    image = Image.fromarray(numbers.astype(np.uint8), "P")
    image.putpalette(colors.reshape(-1).tolist())
    image.save(path)


def write_masks(folder: Path, colored: bool = False) -> Path:
    for part, numbers in (("Class", KINDS), ("Object", NUMBERS)):
        picture(folder / f"Segmentation{part}" / "a.png", np.where(BORDER, 255, numbers), colored)
    photo(folder / "JPEGImages" / "a.jpg")
    return folder


def xml(*objects: str, name: str = "a.jpg") -> str:
    size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{size}{''.join(objects)}</annotation>"


def thing(name: str, *box: int) -> str:
    edges = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{edges}</bndbox></object>"


def test_the_first_colours_are_those_of_the_kit() -> None:
    assert [f"{color:06x}" for color in voc_colors()[:5]] == ["000000", "800000", "008000", "808000", "000080"]
    assert f"{voc_colors()[255]:06x}" == "e0e0c0"


@pytest.mark.parametrize("colored", [False, True])
def test_masks(colored: bool, tmp_path: Path) -> None:
    data = voc(write_masks(tmp_path, colored))
    truth = data.truth(0)
    assert has(truth, "car", square(4, 4, 15, 20))
    assert has(truth, "car", square(19, 4, 15, 20))
    assert has(truth, "person", square(40, 4, 10, 30))
    assert len(truth) == 3
    assert data.categories.index_of_id[CAR] == [c.name for c in data.categories].index("car")
    assert data[0].image.shape == (*SIZE, 3)
    filled = voc(tmp_path, FormatOptions(background="ground")).truth(0)
    assert has(filled, "ground", (KINDS == 0) & ~BORDER)
    assert ((filled.ids == 0) == BORDER).all()


def test_own_classes_in_a_labelmap(tmp_path: Path) -> None:
    write_masks(tmp_path)
    red, green = np.array([255, 0, 0]), np.array([0, 255, 0])
    kinds = np.zeros((*SIZE, 3), np.uint8)
    kinds[KINDS == CAR], kinds[KINDS == PERSON] = red, green
    Image.fromarray(kinds).save(tmp_path / "SegmentationClass" / "a.png")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\npike:255,0,0::\ncarp:0,255,0::\n"
    )
    truth = voc(tmp_path).truth(0)
    assert [s.category.name for s in truth] == ["pike", "pike", "carp"]
    kinds[0, 0] = (9, 9, 9)
    Image.fromarray(kinds).save(tmp_path / "SegmentationClass" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: the colour \(9, 9, 9\) is of no class"):
        voc(tmp_path).truth(0)


def test_splits(tmp_path: Path) -> None:
    write_masks(tmp_path)
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("a\n")
    assert voc(tmp_path, FormatOptions(split="train")).image_ids == ["a"]
    with pytest.raises(FileNotFoundError, match="--split val"):
        voc(tmp_path, FormatOptions(split="val"))


def test_boxes_count_pixels_from_1_and_hold_both_edges(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/a.xml").write_text(xml(thing("car", 5, 5, 34, 24)))
    photo(tmp_path / "JPEGImages" / "a.jpg")
    data = voc(tmp_path)
    assert len(data.truth(0)) == 0
    assert data.left_out.count(BOXES) == 1
    assert has(voc(tmp_path, FormatOptions(boxes="paint")).truth(0), "car", square(4, 4, 30, 20))


def test_boxes_and_class_pictures(tmp_path: Path) -> None:
    """SegmentationClass and the boxes of Annotations, without SegmentationObject: what many detection sets have."""
    write_masks(tmp_path)
    (tmp_path / "Annotations").mkdir()
    boxes = [thing("car", 5, 5, 19, 24), thing("car", 20, 5, 34, 24), thing("person", 41, 5, 50, 34)]
    (tmp_path / "Annotations/a.xml").write_text(xml(*boxes))
    options = FormatOptions(class_maps=tmp_path / "SegmentationClass", background="ground")
    found, masks = voc(tmp_path, options).truth(0), voc(tmp_path, FormatOptions(background="ground")).truth(0)
    assert {(s.category.name, s.area) for s in found} == {(s.category.name, s.area) for s in masks}
    assert has(found, "car", square(4, 4, 15, 20))


def test_polygons_of_roboflow_beside_the_images(tmp_path: Path) -> None:
    corners = "".join(
        f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate([(4, 4), (14, 4), (14, 9), (4, 9)], 1)
    )
    (tmp_path / "a.xml").write_text(xml(f"<object><name>pike</name><polygon>{corners}</polygon></object>"))
    photo(tmp_path / "a.jpg")
    data = voc(tmp_path)
    assert has(data.truth(0), "pike", square(4, 4, 10, 5))
    assert data[0].image.shape == (*SIZE, 3)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither SegmentationObject/ nor XMLs"):
        voc(tmp_path)
    (tmp_path / "a.xml").write_text(xml("<object><name>car</name></object>"))
    with pytest.raises(ValueError, match=r"a\.xml: object 0 has neither a <bndbox> nor a <polygon>"):
        voc(tmp_path).truth(0)
    write_masks(tmp_path / "m")
    paint(tmp_path / "m/SegmentationClass/a.png", np.full(SIZE, 99), np.uint8)
    with pytest.raises(ValueError, match=r"a\.png: class 99 has no name"):
        voc(tmp_path / "m").truth(0)
    paint(tmp_path / "m/SegmentationClass/a.png", np.zeros((4, 4)), np.uint8)
    with pytest.raises(ValueError, match=r"it is \(48, 64\) but .* is \(4, 4\)"):
        voc(tmp_path / "m").truth(0)


def test_it_is_recognised(tmp_path: Path) -> None:
    write_masks(tmp_path)
    assert suggested_command(tmp_path) == f"unipan data convert voc:{tmp_path} OUT --background background"


@pytest.mark.parametrize("colored", [False, True])
def test_a_colour_of_two_classes_is_refused_where_colours_count(colored: bool, tmp_path: Path) -> None:
    write_masks(tmp_path, colored)
    rows = [f"{name}:{c >> 16},{c >> 8 & 255},{c & 255}::" for name, c in zip(VOC_NAMES, voc_colors(), strict=False)]
    rows[CAR + 1] = f"cat:{rows[CAR].partition(':')[2]}"
    (tmp_path / "labelmap.txt").write_text("\n".join(rows))
    data = voc(tmp_path)
    if not colored:
        assert has(data.truth(0), "car", square(4, 4, 15, 20))
        return
    with pytest.raises(ValueError, match=rf"a\.png: the colour .* is that of classes {CAR} and {CAR + 1} of labelmap"):
        data.truth(0)


def test_texts_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    write_masks(tmp_path)
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"val\.txt: not a text file in UTF-8 .*; save it as UTF-8"):
        voc(tmp_path, FormatOptions(split="val"))
    (tmp_path / "labelmap.txt").write_bytes(b"caf\xe9:1,2,3::\n")
    with pytest.raises(ValueError, match=r"labelmap\.txt: not a text file in UTF-8"):
        voc(tmp_path)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("<object><bndbox/></object>", r"a\.xml: object 0 has no <name>"),
        ("<object><name/></object>", r"a\.xml: object 0 has no <name>"),
        ("<object><name>car</name></object>", r"a\.xml: object 0 has neither a <bndbox> nor a <polygon>"),
        (
            "<size><height>tall</height></size><object><name>car</name></object>",
            r"a\.xml: its <height> is 'tall', not a whole number",
        ),
        (
            "<size><height>1</height><width>2.5</width></size><object><name>car</name></object>",
            r"a\.xml: its <width> is '2\.5', not a whole number",
        ),
    ],
)
def test_a_value_that_is_none_is_named_with_its_file(row: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(f"<annotation>{row}</annotation>")
    photo(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=words):
        voc(tmp_path).truth(0)


def test_sizes_may_be_written_as_fractions(tmp_path: Path) -> None:
    size = "<size><height>48.0</height><width> 64 </width></size>"
    (tmp_path / "a.xml").write_text(f"<annotation>{size}{thing('car', 1, 1, 9, 9)}</annotation>")
    assert voc(tmp_path, FormatOptions(boxes="paint")).truth(0).ids.shape == SIZE
