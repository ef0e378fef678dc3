"""`data check`, `data convert` and `data show` through the command line."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commands.json_page import check_with_page
from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.maps import CLASSES, same, write_dataset, write_photo
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import open_dataset, readable, writable
from unipan.panoptic.categories import Categories, Category


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set")


def edit_first_area(folder: Path, area: int) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    content["annotations"][0]["segments_info"][0]["area"] = area
    (folder / "panoptic.json").write_text(json.dumps(content))


def test_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "convert", "--help"])
    words = set(re.findall(r"[a-z0-9-]+", capsys.readouterr().out))
    assert set(readable()) | set(writable()) <= words


def test_check_tells_by_its_exit_status(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(folder)]) == 0
    assert "3 images, no findings" in capsys.readouterr().out
    edit_first_area(folder, 1)
    report = tmp_path / "report.json"
    assert main(["data", "check", str(folder), "--json", str(report), "--fix", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "area-stale (1): areas that are not those of the PNG" in said
    assert f"{folder / 'panoptic' / '0.png'}: image 100, segment 70000: the JSON says 1 pixels" in said
    assert "--fix: counted" in said
    assert "out/panoptic.json: a repaired copy, 3 of 3 images\n" in said
    check_with_page("data check", content := json.loads(report.read_text()))
    assert content["counts"] == {"area-stale": 1}
    assert content["findings"][0]["segment_id"] == 70_000
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    assert main(["data", "check", str(folder)]) == 1  # the source is as it was
    (folder / "panoptic.json").write_text("{")
    assert main(["data", "check", str(folder)]) == 2
    assert "not readable as JSON" in capsys.readouterr().err


def test_one_image_is_no_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    (folder / "panoptic.json").write_text(
        json.dumps({**content, **{key: content[key][:1] for key in ("images", "annotations")}})
    )
    assert main(["data", "check", str(folder)]) == 0
    assert ": 1 image, no findings" in capsys.readouterr().out


def test_check_prints_the_first_few_of_each_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    for annotation in content["annotations"]:
        for row in annotation["segments_info"]:
            del row["bbox"]
    (folder / "panoptic.json").write_text(json.dumps(content))
    assert main(["data", "check", str(folder)]) == 1
    said = capsys.readouterr().out
    assert said.count("it has no `bbox`") == 3
    assert "and 15 more" in said


def test_the_report_never_takes_the_place_of_the_dataset(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "panoptic.json"
    before = path.read_bytes()
    (tmp_path / "link.json").symlink_to(path)
    monkeypatch.chdir(folder)
    for source, report in (
        (path, path), (folder, path), (folder, "panoptic.json"), (folder, "../link.json"), ("../link.json", path),
    ):  # fmt: skip
        assert main(["data", "check", str(source), "--json", str(report)]) == 1
        said = capsys.readouterr()
        assert said.err.startswith(f"unipan: --json {report}: this file is an input")
        assert not said.out
    assert path.read_bytes() == before


def test_a_set_without_images_or_categories(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = folder / "panoptic.json", tmp_path / "out"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "categories": []}))
    assert main(["data", "check", str(folder), "--fix", str(out)]) == 1
    said = capsys.readouterr()
    assert "no-categories (1): no categories at all" in said.out
    assert "not one category can be kept" in said.err
    path.write_text(json.dumps({**content, "images": [], "annotations": []}))
    assert main(["data", "check", str(folder)]) == 1
    assert "0 images, 1 finding" in capsys.readouterr().out
    assert main(["data", "check", str(folder), "--fix", str(out)]) == 1
    assert "not one image can be kept" in capsys.readouterr().err
    for arguments in (["convert", str(folder), str(out)], ["show", str(folder), "--out", str(out)]):
        assert main(["data", *arguments]) == 1
        assert f"{folder}: it lists no images; " in capsys.readouterr().err
    assert not out.exists()


def test_convert_never_writes_nan(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    content["annotations"][0]["segments_info"][0]["score"] = float("nan")
    (folder / "panoptic.json").write_text(json.dumps(content))
    for name in ("coco", "rle"):
        assert main(["data", "convert", str(folder), f"{name}:{tmp_path / 'out'}"]) == 1
        assert "70000" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_a_conversion_that_fails_names_what_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "set", classes=Categories.of([*CLASSES, Category(200, "rug", False, (0, 0, 0))]))
    monkeypatch.chdir(tmp_path)
    assert main(["data", "convert", "set", "png16:out"]) == 1
    said = capsys.readouterr().err
    assert said.strip().startswith(
        "unipan: out: category id 200 times 1000 does not fit into 16 bits; give a --divisor"
    )
    assert ".tmp" not in said


def test_fix_never_writes_over_anything(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_first_area(folder, 1)
    assert main(["data", "check", str(folder), "--fix", str(folder)]) == 1
    assert "this folder is not empty; give a new one" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["data", "check", str(folder), "--fix", str(tmp_path / "file")]) == 1
    assert "is a file; give another folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["coco", "png16", "two-channel"])
def test_convert_and_back(name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    middle, back = f"{name}:{tmp_path / 'middle'}", str(tmp_path / "back")
    assert main(["data", "convert", str(folder), middle]) == 0
    assert f"3 images as {name}, with their photographs" in capsys.readouterr().out
    assert main(["data", "convert", middle, back]) == 0
    was, now = CocoPanoptic(folder), CocoPanoptic(back)
    assert (now.image_ids, now.file_names, now.categories) == (was.image_ids, was.file_names, was.categories)
    for index in range(len(was)):
        assert same(was.truth(index), now.truth(index))
        assert (was[index].image == now[index].image).all()
    assert main(["data", "check", back]) == 0


def test_convert_cityscapes_to_coco_and_to_its_submissions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(write_cityscapes(tmp_path / "cs"))
    assert main(["data", "convert", root, str(tmp_path / "val"), "--limit", "2"]) == 0
    assert main(["data", "check", str(tmp_path / "val")]) == 0
    assert len(CocoPanoptic(tmp_path / "val")) == 2
    assert (
        main(["data", "convert", root, str(tmp_path / "train"), "--split", "train", "--train-ids", "--no-photos"]) == 0
    )
    assert not (tmp_path / "train" / "images").exists()
    assert {c.id for c in open_dataset(str(tmp_path / "train")).categories} == set(range(19))
    for name, first in (("cityscapes-panoptic", "cityscapes_panoptic_val.json"), ("cityscapes-instance", "lindau")):
        assert main(["data", "convert", root, f"{name}:{tmp_path / name}"]) == 0
        assert any(path.name.startswith(first) for path in (tmp_path / name).iterdir())
    back = open_dataset(str(tmp_path / "cityscapes-panoptic" / "cityscapes_panoptic_val.json"))
    assert same(back.truth(0), open_dataset(root).truth(0))


def test_a_conversion_that_fails_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "panoptic" / "2.png").write_bytes(b"no picture")
    assert main(["data", "convert", str(folder), f"png16:{tmp_path / 'out'}"]) == 1
    assert "2.png: not a readable PNG" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    cv2.imwrite(str(folder / "images" / "0.png"), np.zeros((9, 9, 3), np.uint8))
    assert main(["data", "convert", str(folder), str(tmp_path / "out")]) == 1
    assert "0.png: image 100 is 9 x 9 but its map is 12 x 8" in capsys.readouterr().err
    assert main(["data", "convert", str(folder), str(tmp_path / "out"), "--no-photos", "--limit", "1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "SET", "pascal:OUT"], "there is no format 'pascal' here"),
        (["convert", "pascal:SET", "OUT"], "there is no format 'pascal' here"),
        (["convert", "SET", "png16:OUT", "--divisor", "0"], "--divisor 0"),
        (["convert", "SET", "cityscapes-panoptic:OUT"], "Cityscapes has no class door"),
        (["convert", "SET", "OUT.json"], "every format is written into a folder"),
        (["convert", "SET", "SET"], "this folder is not empty"),
        (["convert", "png16:SET/panoptic", "OUT"], "give --classes FILE"),
        (["show", "SET", "--out", "OUT", "--count", "0"], "--count 0"),
        (["show", "nowhere", "--out", "OUT"], "nowhere: no such file or folder"),
    ],
)
def test_an_error_is_one_sentence(
    arguments: list[str], words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.replace("SET", str(folder)).replace("OUT", str(tmp_path / "out")) for word in arguments]
    assert main(["data", *given]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_show_draws_a_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", str(folder), "--out", str(tmp_path / "page"), "--count", "2"]) == 0
    assert "2 of 3 images" in capsys.readouterr().out
    text = (tmp_path / "page" / "index.html").read_text()
    assert "://" not in text
    assert text.count("<figure>") == 6
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["0.png", "2.png"]
    assert "door" in text
    assert "things 3, crowds 1, stuff segments 2, void 12.5 %" in text
    maps = str(folder / "panoptic.json")  # without photographs there are two pictures an image
    assert main(["data", "show", maps, "--out", str(tmp_path / "maps.html"), "--count", "9"]) == 0
    assert (tmp_path / "maps.html").read_text().count("<figure>") == 6


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("part", "middle", "options"),
    [("coco20", "png16", ["--divisor", "256"]), ("facades/val", "two-channel", []), ("nuclei/val", "rle", [])],
)
def test_photographs_through_the_command_line(
    part: str, middle: str, options: list[str], shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / part
    assert main(["data", "check", str(source)]) == 0
    target = f"{middle}:{tmp_path / 'middle'}"
    assert main(["data", "convert", str(source), target, "--limit", "3", *options]) == 0
    data = open_dataset(target + "/instances.json" * (middle == "rle"), FormatOptions(images=source / "images"))
    was = CocoPanoptic(source)
    assert data.image_ids == was.image_ids[:3]
    assert all(same(data.truth(index), was.truth(index)) for index in range(3))
    assert main(["data", "show", str(source), "--out", str(tmp_path / "page"), "--count", "2"]) == 0
    assert "://" not in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.real_data
def test_a_broken_set_of_photographs_is_mended(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared_data / "coco2", tmp_path / "coco2")
    path = tmp_path / "coco2" / "panoptic.json"
    content = json.loads(path.read_text())
    first, second = (row["segments_info"] for row in content["annotations"])
    first[0]["area"] = 3
    del second[0]
    path.write_text(json.dumps(content))
    assert main(["data", "check", str(tmp_path / "coco2"), "--fix", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "area-stale (1)" in said
    assert "id-undeclared (1)" in said
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    was, now = CocoPanoptic(shared_data / "coco2"), CocoPanoptic(tmp_path / "out")
    assert same(was.truth(0), now.truth(0))
    assert len(now.truth(1)) == len(was.truth(1)) - 1


def write_instances(folder: Path, crowd: int = 0) -> Path:
    """Two touching squares of one class, and a box, beside their photograph."""
    write_photo(folder / "a.jpg", 48, 64)
    rows: list[dict[str, object]] = [
        {
            "id": n,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [[x, 4, x + 10, 4, x + 10, 24, x, 24]],
            "iscrowd": crowd,
        }
        for n, x in enumerate((4, 14))
    ]
    rows.append({"id": 7, "image_id": 1, "category_id": 1, "bbox": [40, 4, 10, 20], "iscrowd": crowd})
    image = {"id": 1, "file_name": "a.jpg", "height": 48, "width": 64}
    content = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "car"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def test_instances_become_trainable_with_the_command_that_is_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each refusal names the command, and the command makes what `train` takes."""
    folder, out = write_instances(tmp_path / "own"), tmp_path / "out"
    command = f"unipan data convert coco-instances:{folder / 'instances.json'} OUT --background background"
    assert main(["data", "check", str(folder)]) == 2
    assert command in capsys.readouterr().err
    for refused in (["data", "convert", str(folder), str(out)], ["train", "finetune", "--data", str(folder)]):
        assert main(refused) == 1
        assert command in capsys.readouterr().err
    words = [word.replace("OUT", str(out)) for word in command.split()[1:]]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "1 image as coco, with their photographs" in said
    assert "made: things 2 (2 car); stuff 1 (1 background); crowds 0; void 6.5 % of all pixels" in said
    assert "left out: boxes without a mask (--boxes paint" in said
    assert main(["data", "check", str(out)]) == 0
    assert {c.name for c in CocoPanoptic(out).categories.stuff} == {"background"}


def test_convert_warns_of_what_cannot_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"coco-instances:{write_instances(tmp_path / 'own', crowd=1)}"
    assert main(["data", "convert", source, str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    for words in (
        "every segment of car is a crowd",
        "no thing is left",
        "there is no stuff class",
        "mostly void: a.jpg",
    ):
        assert f"warning: {words}" in said or words in said
    assert main(["data", "convert", source, str(tmp_path / "b"), "--crowds", "things", "--boxes", "paint"]) == 0
    assert "things 3 (3 car)" in capsys.readouterr().out


def test_boxes_alone_are_refused_with_both_ways_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_instances(tmp_path / "own")
    content = json.loads((folder / "instances.json").read_text())
    content["annotations"] = content["annotations"][-1:]
    (folder / "instances.json").write_text(json.dumps(content))
    assert main(["data", "convert", f"coco-instances:{folder}", str(tmp_path / "out"), "--background", "rest"]) == 1
    said = capsys.readouterr().err
    assert "1 boxes and not one mask; --boxes paint" in said
    assert "--class-maps DIR" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("SET", ["--overlap", "small"]),
        ("SET", ["--divisor", "9"]),
        ("SET", ["--classes", "x.json"]),
        ("SET", ["--split", "train"]),
        ("SET", ["--as-stuff", "door"]),
        ("SET", ["--boxes", "paint"]),
        ("png16:SET", ["--strays", "leave-out"]),
        ("png16:SET", ["--as-things", "door"]),
        ("SET", ["--below-divisor", "class"]),
        ("coco-instances:SET", ["--contiguous"]),
    ],
)
def test_an_option_without_a_meaning_is_refused(
    source: str, option: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = source.replace("SET", str(folder))
    assert main(["data", "convert", given, str(tmp_path / "out"), *option]) == 1
    assert f"unipan: {option[0]}: the format" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_writer_may_use_an_option_that_the_reader_does_not(folder: Path, tmp_path: Path) -> None:
    assert main(["data", "convert", str(folder), f"png16:{tmp_path / 'out'}", "--divisor", "256"]) == 0
    assert json.loads((tmp_path / "out" / "classes.json").read_text())["divisor"] == 256
