"""Archives as the servers of COCO and Cityscapes take them."""

import json
import zipfile
from errno import ENOSPC
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.tiny import CATEGORIES, draw
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.submissions import CityscapesSubmissionWriter, CocoSubmissionWriter, write_zip
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.panoptic.png import decode_png

STEM = "panoptic_test-dev2017_mine_results"


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return sorted(archive.namelist())


def test_the_archive_of_coco(tmp_path: Path) -> None:
    writer = CocoSubmissionWriter(tmp_path, CATEGORIES, "test-dev2017", "mine")
    truths = {number: draw(number).truth for number in (7, 12)}
    for number, truth in truths.items():
        writer.add(f"{number:012d}.jpg", number, truth)
    assert not (tmp_path / f"{STEM}.zip").exists()
    assert writer.close() == tmp_path / f"{STEM}.zip"
    assert names(tmp_path / f"{STEM}.zip") == sorted(
        [f"{STEM}.json", f"{STEM}/000000000007.png", f"{STEM}/000000000012.png"]
    )
    with zipfile.ZipFile(tmp_path / f"{STEM}.zip") as archive:
        content = json.loads(archive.read(f"{STEM}.json"))
        (tmp_path / "x.png").write_bytes(archive.read(f"{STEM}/000000000012.png"))
    assert set(content) == {"annotations"}
    rows = {row["image_id"]: row for row in content["annotations"]}
    assert set(rows) == {7, 12}
    assert rows[12]["file_name"] == "000000000012.png"
    assert rows[12]["segments_info"] == [{"id": s.id, "category_id": s.category.id} for s in truths[12]]
    assert np.array_equal(decode_png(tmp_path / "x.png"), truths[12].ids)


def test_what_coco_would_not_take(tmp_path: Path) -> None:
    for odd in ("my model", "a/b", "", "a_b"):
        with pytest.raises(ValueError, match="becomes part of a file name"):
            CocoSubmissionWriter(tmp_path, CATEGORIES, "test-dev2017", odd)
    writer = CocoSubmissionWriter(tmp_path, CATEGORIES, "test-dev2017", "mine")
    writer.add("1.jpg", 1, draw(1).truth)
    with pytest.raises(ValueError, match="written already"):
        writer.add("1.png", 2, draw(1).truth)
    stranger = PanopticMap(
        np.ones((2, 2), np.int32), panoptic_map(np.ones((2, 2), np.int32), {1: CITYSCAPES[0]}).segments
    )
    with pytest.raises(ValueError, match="segment 1 has unknown category id 24"):
        writer.add("3.jpg", 3, stranger)


def test_the_archives_of_cityscapes(tmp_path: Path) -> None:
    """Train ids in the checkpoint, label ids in the files."""
    own = Categories(tuple(Category(i, c.name, c.isthing, c.color) for i, c in enumerate(CITYSCAPES)))
    car, road = own[own.index_of_name["car"]], own[own.index_of_name["road"]]
    ids = np.full((4, 6), 9, np.int32)
    ids[1:3, 1:4] = 300
    ids[0] = 0
    writer = CityscapesSubmissionWriter(tmp_path, own)
    writer.add("berlin_000001_000019_leftImg8bit.png", "berlin_000001_000019", panoptic_map(ids, {9: road, 300: car}))
    assert writer.close() == tmp_path / "panoptic.zip"
    assert names(tmp_path / "panoptic.zip") == [
        "cityscapes_panoptic_test.json",
        "cityscapes_panoptic_test/berlin_000001_000019_panoptic.png",
    ]
    assert names(tmp_path / "instance.zip") == [
        "berlin_000001_000019_pred.txt",
        "berlin_000001_000019_pred/000.png",
    ]
    content = json.loads((tmp_path / "panoptic" / "cityscapes_panoptic_test.json").read_text())
    [row] = content["annotations"]
    assert row["image_id"] == "berlin_000001_000019"
    assert {each["id"]: each["category_id"] for each in row["segments_info"]} == {9: 7, 300: 26}
    text = (tmp_path / "instance" / "berlin_000001_000019_pred.txt").read_text()
    assert text == "berlin_000001_000019_pred/000.png 26 1.000000\n"
    mask = cv2.imread(str(tmp_path / "instance" / "berlin_000001_000019_pred" / "000.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask > 0, ids == 300)
    with pytest.raises(ValueError, match="Cityscapes has no class disc, box"):
        CityscapesSubmissionWriter(tmp_path, CATEGORIES)


def test_what_an_earlier_run_left_is_not_shipped_and_stays(tmp_path: Path) -> None:
    """Another image, and a thing more in the same image."""
    road, car = CITYSCAPES[CITYSCAPES.index_of_name["road"]], CITYSCAPES[CITYSCAPES.index_of_name["car"]]
    ids = np.repeat(np.array([[9], [1], [2]], np.int32), 4, axis=1)
    two = panoptic_map(ids, {9: road, 1: car, 2: car})
    one = panoptic_map(np.where(ids == 2, 9, ids).astype(np.int32), {9: road, 1: car})
    runs = [{"berlin": two, "bonn": two}, {"berlin": one}]
    for run in runs:
        writer = CityscapesSubmissionWriter(tmp_path, CITYSCAPES)
        for city, found in run.items():
            writer.add(f"{city}_000001_000019_leftImg8bit.png", f"{city}_000001_000019", found)
        writer.close()
    assert names(tmp_path / "panoptic.zip") == [
        "cityscapes_panoptic_test.json",
        "cityscapes_panoptic_test/berlin_000001_000019_panoptic.png",
    ]
    assert names(tmp_path / "instance.zip") == [
        "berlin_000001_000019_pred.txt",
        "berlin_000001_000019_pred/000.png",
    ]
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*bonn*")}
    assert "panoptic/cityscapes_panoptic_test/bonn_000001_000019_panoptic.png" in left
    assert "instance/bonn_000001_000019_pred.txt" in left
    assert (tmp_path / "instance" / "berlin_000001_000019_pred" / "001.png").is_file()


def test_a_failing_archive_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a")
    path = write_zip(tmp_path / "out.zip", tmp_path, [tmp_path / "a.txt"])
    old = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(OSError, match=r"out\.zip: .*No space left on device"):
        write_zip(path, tmp_path, [tmp_path / "a.txt"])
    assert path.read_bytes() == old
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt", "out.zip"]
