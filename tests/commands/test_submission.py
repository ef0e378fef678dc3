"""`unipan predict --submission`: ids, names and archives, before and after the network."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.maps import write_photo
from tests.test_inference import segmenter_of, tiny
from unipan.build import build_network
from unipan.cli import main
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.scenes.generator import SCENE_CATEGORIES
from unipan.inference import Segmenter
from unipan.panoptic.categories import Categories
from unipan.panoptic.png import decode_png
from unipan.prediction.submission import open_writer, plan_submission
from unipan.presets import scenes

STEM = "panoptic_test-dev2017_unipan_results"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of COCO's test set, one of which is not in test-dev."""
    for number in (16, 57, 90):
        write_photo(tmp_path / "test2017" / f"{number:012d}.jpg", 64, 96, number)
    return tmp_path / "test2017"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list as image_info_test-dev2017.json: images without annotations, categories without `isthing`."""
    path = tmp_path / "image_info_test-dev2017.json"
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "height": 64, "width": 96} for n in (16, 57)]
    categories = [{"supercategory": "x", "id": c.id, "name": c.name} for c in SCENE_CATEGORIES.things]
    path.write_text(json.dumps({"info": {}, "images": images, "categories": categories}))
    return path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter_of(tiny(scenes())))
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)


@pytest.fixture
def coco_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """With COCO's classes and ids."""
    config, classes = tiny(scenes()), coco_categories()
    torch.manual_seed(0)
    segmenter = Segmenter(build_network(config, classes).eval(), config, classes, {}, torch.device("cpu"))
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter)
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)


def predict(*arguments: object) -> int:
    return main(["predict", "net.safetensors", *map(str, arguments)])


@pytest.mark.usefixtures("network")
def test_coco_takes_the_listed_images(photos: Path, listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(photos, "--submission", "coco", "--like", listed, "--out", out) == 0
    with zipfile.ZipFile(out / f"{STEM}.zip") as archive:
        content = json.loads(archive.read(f"{STEM}.json"))
        assert sorted(archive.namelist()) == sorted(
            [f"{STEM}.json", f"{STEM}/000000000016.png", f"{STEM}/000000000057.png"]
        )
    assert [row["image_id"] for row in content["annotations"]] == [16, 57]
    for row in content["annotations"]:
        ids = decode_png(out / STEM / row["file_name"])
        assert ids.shape == (64, 96)
        assert {each["id"] for each in row["segments_info"]} == set(np.unique(ids).tolist()) - {0}
        assert {each["category_id"] for each in row["segments_info"]} <= {c.id for c in SCENE_CATEGORIES}


@pytest.mark.usefixtures("coco_network")
def test_coco_without_a_list_and_trimmed(photos: Path, tmp_path: Path) -> None:
    arguments = [photos, "--submission", "coco", "--algorithm", "mine", "--trim-stuff", 64 * 96 + 1]
    assert predict(*arguments, "--out", tmp_path / "out") == 0
    content = json.loads((tmp_path / "out" / "panoptic_test-dev2017_mine_results.json").read_text())
    assert [row["image_id"] for row in content["annotations"]] == [16, 57, 90]
    things = {category.id for category in coco_categories().things}
    kinds = {each["category_id"] for row in content["annotations"] for each in row["segments_info"]}
    assert kinds <= things  # no stuff is larger than the image


@pytest.mark.usefixtures("network")
def test_missing_images_are_counted(
    photos: Path, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "000000000057.jpg").unlink()
    assert predict(photos, "--submission", "coco", "--like", listed, "--out", tmp_path / "out") == 0
    assert "1 of the 2 images" in capsys.readouterr().err
    (photos / "000000000016.jpg").unlink()
    assert predict(photos, "--submission", "coco", "--like", listed, "--out", tmp_path / "two") == 1
    assert "lists none of the images" in capsys.readouterr().err


@pytest.mark.usefixtures("network")
def test_other_ids_are_refused(photos: Path, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(listed.read_text())
    content["categories"][0]["name"] = "giraffe"
    listed.write_text(json.dumps(content))
    assert predict(photos, "--submission", "coco", "--like", listed, "--out", tmp_path / "out") == 1
    assert "is 'giraffe', in the checkpoint it is 'car'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("network")
def test_coco_without_a_list_wants_the_classes_of_coco(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photos, "--submission", "coco", "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err.strip()
    assert "category 1 of the checkpoint is car" in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_the_list_of_coco_has_things_alone_but_stuff_is_checked_too(tmp_path: Path) -> None:
    classes = coco_categories()
    like = tmp_path / "image_info_test-dev2017.json"
    rows = [{"supercategory": "x", "id": thing.id, "name": thing.name} for thing in classes.things]
    like.write_text(json.dumps({"images": [], "categories": rows}))
    assert open_writer("coco", tmp_path, classes, like, "mine") is not None
    with pytest.raises(ValueError, match=r"category 92 .*missing.*banner"):
        open_writer("coco", tmp_path, Categories(classes.things), like, "mine")
    like.write_text(json.dumps({"images": [], "categories": [{"id": [1], "name": "x"}]}))
    with pytest.raises(ValueError, match=r"entry number 0 needs `id`"):
        open_writer("coco", tmp_path, classes, like, "mine")
    like.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match=r"category 1 .*car.*person"):
        open_writer("coco", tmp_path, SCENE_CATEGORIES, like, "mine")
    more = Categories((*classes, replace(classes[-1], id=201, name="lava")))
    with pytest.raises(ValueError, match=r"category 201 .*lava.*missing"):
        open_writer("coco", tmp_path, more, None, "mine")


@pytest.mark.usefixtures("network")
def test_cityscapes_knows_its_images_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "leftImg8bit" / "test"
    for city, frame in (("berlin", 19), ("bonn", 19)):
        write_photo(folder / city / f"{city}_000000_{frame:06d}_leftImg8bit.png", 64, 96)
    assert predict(folder, "--submission", "cityscapes", "--out", tmp_path / "out") == 0  # scenes have its classes
    content = json.loads((tmp_path / "out" / "panoptic" / "cityscapes_panoptic_test.json").read_text())
    assert [row["image_id"] for row in content["annotations"]] == ["berlin_000000_000019", "bonn_000000_000019"]
    labels = {category.id for category in CITYSCAPES}
    assert {each["category_id"] for row in content["annotations"] for each in row["segments_info"]} <= labels
    with zipfile.ZipFile(tmp_path / "out" / "instance.zip") as archive:
        assert {"berlin_000000_000019_pred.txt", "bonn_000000_000019_pred.txt"} <= set(archive.namelist())
    jobs = plan_submission("cityscapes", [folder], None)
    assert [job.image_id for job in jobs] == ["berlin_000000_000019", "bonn_000000_000019"]
    write_photo(folder / "odd.png", 64, 96)
    assert predict(folder, "--submission", "cityscapes", "--out", tmp_path / "out") == 1
    assert "odd.png: " in capsys.readouterr().err


def test_names_that_are_no_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photo(tmp_path / "cat.jpg", 8, 8)
    assert predict(tmp_path / "cat.jpg", "--submission", "coco", "--out", tmp_path / "out") == 1
    assert "give --like image_info_test-dev2017.json" in capsys.readouterr().err
    assert predict(tmp_path / "cat.jpg", "--trim-stuff", 9, "--out", tmp_path / "out") == 1
    assert "`unipan pq --trim-stuff`" in capsys.readouterr().err
