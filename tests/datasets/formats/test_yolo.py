"""YOLO: polygons and boxes in fractions of the image."""

from pathlib import Path

import pytest
from PIL import Image

from tests.datasets.formats.shapes_by_hand import has, photo, square
from unipan.datasets.formats.drawing import BOXES
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import suggested_command
from unipan.datasets.formats.yolo import NO_FILE, yolo

POLYGON = "0 0.125 0.25 0.5 0.25 0.5 0.75 0.125 0.75"  # x 8..32, y 12..36 of 64 x 48
BOX = "1 0.75 0.5 0.25 0.5"  # x 40..56, y 12..36


def write(folder: Path, text: str | None = f"{POLYGON}\n{BOX}\n", yaml: str = "names: [car, sign]\n") -> Path:
    photo(folder / "train/images/a.jpg")
    (folder / "train/labels").mkdir(parents=True, exist_ok=True)
    if text is not None:
        (folder / "train/labels/a.txt").write_text(text)
    (folder / "data.yaml").write_text(f"train: ../train/images\nval: ../valid/images\n{yaml}")
    return folder


def test_polygons_and_boxes(tmp_path: Path) -> None:
    data = yolo(write(tmp_path), FormatOptions(background="ground"))
    truth = data.truth(0)
    assert data.file_names == ["train/a.jpg"]
    assert data[0].image.shape == (48, 64, 3)
    assert has(truth, "car", square(8, 12, 24, 24))
    assert ((truth.ids == 0) == square(40, 12, 16, 24)).all()  # the box: not known, so no background
    assert data.left_out.count(BOXES) == 1
    painted = yolo(tmp_path, FormatOptions(boxes="paint")).truth(0)
    assert has(painted, "sign", square(40, 12, 16, 24))


def test_empty_and_missing_files_are_images_without_objects(tmp_path: Path) -> None:
    assert len(yolo(write(tmp_path, "")).truth(0)) == 0
    (tmp_path / "train/labels/a.txt").unlink()
    data = yolo(tmp_path)
    assert len(data.truth(0)) == 0
    assert data.left_out.count(NO_FILE) == 1
    (tmp_path / "train/labels/a.txt").symlink_to("gone.txt")  # this is not that there are no objects
    with pytest.raises(FileNotFoundError, match=r"a\.txt: a link to gone\.txt, where nothing is"):
        yolo(tmp_path).truth(0)


def test_fractions_are_of_the_upright_image(tmp_path: Path) -> None:
    write(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(tmp_path / "train/images/a.jpg") as image:
        image.save(tmp_path / "train/images/a.jpg", exif=exif)
    truth = yolo(tmp_path).truth(0)
    assert truth.ids.shape == (64, 48)
    assert has(truth, "car", square(6, 16, 18, 32, (64, 48)))


def test_layouts(tmp_path: Path) -> None:
    darknet = tmp_path / "darknet"
    photo(darknet / "obj_train_data/a.png")
    (darknet / "obj_train_data/a.txt").write_text(POLYGON)
    (darknet / "obj.names").write_text("car\nsign\n")
    studio = tmp_path / "studio"
    photo(studio / "images/a.png")
    (studio / "labels").mkdir()
    (studio / "labels/a.txt").write_text(POLYGON)
    (studio / "classes.txt").write_text("car\r\nsign\r\n")
    listed = write(tmp_path / "listed")
    (listed / "val.txt").write_text("./train/images/a.jpg\n")
    (listed / "data.yaml").write_text("path: /datasets/far/away\nval: val.txt\nnames:\n  0: car\n  1: sign\n")
    for folder in (darknet, studio, listed, listed / "data.yaml"):
        assert has(yolo(folder).truth(0), "car", square(8, 12, 24, 24))
    assert len(yolo(listed, FormatOptions(split="val"))) == 1
    with pytest.raises(ValueError, match=r"--split test: .* lists val"):
        yolo(listed, FormatOptions(split="test"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2 0.1 0.1 0.2 0.2\n", r"a\.txt: line 1: class 2 is not one of the 2 names"),
        (f"{POLYGON}\n0 10 10 60 10 60 40\n", r"a\.txt: line 2: 10 is no fraction"),
        ("0 0.1 0.1 0.2\n", "line 1: 3 numbers behind the class"),
        ("car 0.1 0.1 0.2 0.2\n", "line 1: .* is not a class number and fractions"),
        ("0 nan 0.1 0.2 0.2\n", "line 1: nan is no fraction"),
        (f"{POLYGON}\n{POLYGON}\n", r"line 2 \(car\) shares 576 pixels with a car; .*--overlap"),
    ],
)
def test_broken_lines_are_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        yolo(write(tmp_path, text)).truth(0)


def test_names_are_needed_and_poses_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.yaml: no names of classes"):
        yolo(write(tmp_path, yaml=""))
    with pytest.raises(ValueError, match="class 'a' is listed twice"):
        yolo(write(tmp_path, yaml="names: [a, a]\n"))
    with pytest.raises(ValueError, match="poses"):
        yolo(write(tmp_path, yaml="kpt_shape: [17, 3]\nnames: [a]\n"))
    with pytest.raises(ValueError, match=r"--class-maps: .*give --classes FILE"):
        yolo(write(tmp_path), FormatOptions(class_maps=tmp_path))


def test_a_confidence_is_a_score(tmp_path: Path) -> None:
    [segment] = yolo(write(tmp_path, f"{POLYGON} 0.5\n")).truth(0)
    assert segment.score == 0.5


def test_it_is_recognised(tmp_path: Path) -> None:
    assert suggested_command(write(tmp_path)) == f"unipan data convert yolo:{tmp_path} OUT --background background"
    write(tmp_path, BOX)
    assert "--boxes paint --overlap small --background" in str(suggested_command(tmp_path))


@pytest.mark.parametrize("stray", [False, True])
def test_texts_of_images_elsewhere_are_found_by_their_path(stray: bool, tmp_path: Path) -> None:
    """The stem alone would give both images one text, or none."""
    for part, text in (("x", POLYGON), ("y", BOX)):
        photo(tmp_path / "photos" / part / "a.png")
        (tmp_path / "labels" / part).mkdir(parents=True)
        (tmp_path / "labels" / part / "a.txt").write_text(text)
    (tmp_path / "classes.txt").write_text("car\nsign\n")
    if stray:
        (tmp_path / "labels" / "a.txt").write_text(f"{POLYGON}\n")
    data = yolo(tmp_path, FormatOptions(images=tmp_path / "photos", boxes="paint"))
    assert data.file_names == ["x/a.png", "y/a.png"]
    assert has(data.truth(0), "car", square(8, 12, 24, 24))
    assert has(data.truth(1), "sign", square(40, 12, 16, 24))
    (tmp_path / "labels" / "y" / "a.txt").unlink()
    assert len(data.truth(1)) == 0  # the stray one is nobody's


def test_the_stem_finds_the_text_of_the_one_image_that_has_it(tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "deep" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(POLYGON)
    (tmp_path / "classes.txt").write_text("car\nsign\n")
    data = yolo(tmp_path, FormatOptions(images=tmp_path / "photos"))
    assert has(data.truth(0), "car", square(8, 12, 24, 24))


def test_what_two_splits_share_is_there_once(tmp_path: Path) -> None:
    """Small examples train and validate on the same images."""
    write(tmp_path)
    (tmp_path / "data.yaml").write_text("train: train/images\nval: train/images\nnames: [car, sign]\n")
    assert yolo(tmp_path).file_names == ["train/a.jpg"]
    assert yolo(tmp_path, FormatOptions(split="val")).file_names == ["train/a.jpg"]
    (tmp_path / "train.txt").write_text("train/images/a.jpg\n./train/images/a.jpg\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [car, sign]\n")
    with pytest.raises(ValueError, match=r"'train/a\.jpg' appears twice"):
        yolo(tmp_path)


@pytest.mark.parametrize("line", ["/home/me/data/images/a.png", "C:\\data\\a.png", "gone.png", "a\0b.png"])
def test_an_image_that_a_list_names_and_is_not_there(line: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train.txt").write_text(f"{line}\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [car, sign]\n")
    with pytest.raises(FileNotFoundError, match=r"no such image, but .*train\.txt lists it; write paths"):
        yolo(tmp_path)
    assert len(yolo(tmp_path, FormatOptions(images=tmp_path / "train/images"))) == 1


def test_texts_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.png")
    (tmp_path / "classes.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"classes\.txt: not a text file in UTF-8 .*; save it as UTF-8"):
        yolo(tmp_path)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "train.txt").write_bytes("images/caf\xe9.png\n".encode("latin-1"))
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [car]\n")
    with pytest.raises(ValueError, match=r"train\.txt: not a text file in UTF-8"):
        yolo(tmp_path)
