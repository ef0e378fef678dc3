"""CVAT for images 1.1: polygons, masks, ellipses, boxes, order and groups."""

from pathlib import Path

import pytest

from tests.datasets.formats.shapes_by_hand import has, photo, square
from unipan.datasets.formats.cvat import cvat
from unipan.datasets.formats.drawing import BOXES, POINTS
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.regions import region_of_ellipse
from unipan.datasets.formats.registry import suggested_command

HEAD = "<meta><task><labels><label><name>car</name></label><label><name>road</name></label></labels></task></meta>"


def polygon(label: str, x: int, y: int, w: int, h: int, more: str = "") -> str:
    points = f"{x}.00,{y}.00;{x + w}.00,{y}.00;{x + w}.00,{y + h}.00;{x}.00,{y + h}.00"
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" {more}></polygon>'


def write(folder: Path, *shapes: str, name: str = "a.jpg", more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    image = f'<image id="0" name="{name}" width="64" height="48" {more}>{"".join(shapes)}</image>'
    (folder / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{HEAD}{image}</annotations>'
    )
    return folder


def test_every_kind_of_shape(tmp_path: Path) -> None:
    write(
        tmp_path,
        polygon("car", 10, 10, 20, 20, 'z_order="1"'),
        polygon("car", 20, 20, 20, 20, 'z_order="0"'),  # behind the first, wherever it is listed
        polygon("bus", 0, 0, 4, 4, 'group_id="3" z_order="0"'),
        polygon("bus", 6, 0, 4, 4, 'group_id="3" z_order="0"'),
        '<mask label="hole" rle="1, 2, 1, 2" left="50" top="40" width="3" height="2" z_order="0"></mask>',
        '<ellipse label="ball" cx="52.0" cy="12.0" rx="6.0" ry="3.0" rotation="30.0" z_order="0"></ellipse>',
        '<box label="sign" xtl="2.0" ytl="40.0" xbr="8.0" ybr="46.0" z_order="0"></box>',
        '<polyline label="road" points="1,1;2,2" z_order="0"></polyline><tag label="road"></tag>',
    )
    photo(tmp_path / "images" / "a.jpg")
    data = cvat(tmp_path, FormatOptions(background="ground"))
    truth = data.truth(0)
    assert has(truth, "car", square(10, 10, 20, 20))
    assert has(truth, "car", square(20, 20, 20, 20) & ~square(10, 10, 20, 20))
    assert has(truth, "bus", square(0, 0, 4, 4) | square(6, 0, 4, 4))
    assert has(truth, "hole", square(51, 40, 2, 1) | square(51, 41, 2, 1))
    assert has(truth, "ball", region_of_ellipse(52.0, 12.0, 6.0, 3.0, truth.ids.shape, 30.0).full(truth.ids.shape))
    assert ((truth.ids == 0) == square(2, 40, 6, 6)).all()
    assert (data.left_out.count(BOXES), data.left_out.count(POINTS)) == (1, 1)
    assert data[0].image.shape == (48, 64, 3)
    assert [c.name for c in data.categories][:2] == ["car", "road"]


def test_equals_that_overlap_are_refused(tmp_path: Path) -> None:
    write(tmp_path, polygon("car", 10, 10, 20, 20), polygon("car", 20, 20, 20, 20))
    with pytest.raises(ValueError, match=r"\(a\.jpg\): polygon 1 \(car\) shares 100 pixels with a car"):
        cvat(tmp_path).truth(0)


def test_turned_boxes(tmp_path: Path) -> None:
    box = '<box label="car" xtl="10" ytl="20" xbr="30" ybr="30" rotation="90.0" z_order="0"></box>'
    truth = cvat(write(tmp_path, box), FormatOptions(boxes="paint")).truth(0)
    assert has(truth, "car", square(15, 15, 10, 20))


def test_images_of_a_project_lie_in_folders_of_their_subsets(tmp_path: Path) -> None:
    write(tmp_path, polygon("car", 1, 1, 3, 3), name="day/a.jpg", more='subset="train"')
    photo(tmp_path / "images/train/day/a.jpg")
    data = cvat(tmp_path)
    assert data.file_names == ["day/a.jpg"]
    assert data.image_path(0) == tmp_path / "images/train/day/a.jpg"


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (
            '<mask label="car" rle="1, 2" left="0" top="0" width="3" height="2"/>',
            "`rle` cannot be decoded: its runs have 3",
        ),
        ('<polygon label="car" points="1,1;2"/>', "polygon 0: its `points` are no pairs"),
        ('<box label="car" xtl="a" ytl="1" xbr="2" ybr="2"/>', "box 0: its `xtl` is 'a', not a number"),
        ('<star label="car"/>', "star 0: a shape of this kind is not known"),
    ],
)
def test_broken_shapes_are_named(shape: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        cvat(write(tmp_path, shape)).truth(0)


def test_video_and_damage_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "annotations.xml"
    path.write_text("<annotations><track id='0' label='car'/></annotations>")
    with pytest.raises(ValueError, match=r"annotations\.xml: tracks.*CVAT for images 1\.1"):
        cvat(tmp_path)
    path.write_text("<annotations>")
    with pytest.raises(ValueError, match=r"annotations\.xml: not readable as XML"):
        cvat(path)


def test_it_is_recognised(tmp_path: Path) -> None:
    write(tmp_path, polygon("car", 1, 1, 3, 3))
    assert suggested_command(tmp_path) == f"unipan data convert cvat:{tmp_path} OUT --background background"


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", "2.5"])
@pytest.mark.parametrize("key", ["left", "top", "width", "height"])
def test_values_of_masks_are_whole_numbers(key: str, value: str, tmp_path: Path) -> None:
    given = {"left": "50", "top": "40", "width": "3", "height": "2", key: value}
    text = " ".join(f'{name}="{each}"' for name, each in given.items())
    with pytest.raises(ValueError, match=rf"a\.jpg\): mask 0: its `{key}` is '{value}', not a whole number"):
        cvat(write(tmp_path, f'<mask label="car" rle="1, 5" {text}></mask>')).truth(0)
