"""Names of another computer are those of the files that are there; of two annotations the one that fits comes first."""

from pathlib import Path
from typing import Any

import pytest

from tests.datasets.doctor.test_diagnose import edit
from tests.datasets.maps import same, small_map, write_dataset
from unipan.datasets.doctor.diagnose import diagnose, write_repaired
from unipan.datasets.doctor.prepare import prepared
from unipan.datasets.formats.coco_panoptic import CocoPanoptic


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("train\\a.jpg", "train/a.jpg"),
        ("..\\label\\b.jpg", "b.jpg"),
        ("C:\\data\\b.jpg", "b.jpg"),
        ("/data/b.jpg", "b.jpg"),
        ("b.jpg", "b.jpg"),
        ("train/a.jpg", "train/a.jpg"),
        ("../a.jpg", "../a.jpg"),  # only in train/
        ("..", ".."),
        ("C:", "C:"),
    ],
)
def test_names_of_another_computer(name: str, local: str, tmp_path: Path) -> None:
    for file in ("train/a.jpg", "b.jpg"):
        (tmp_path / "images" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / file).touch()
    content = {"images": [{"id": 1, "file_name": name}], "annotations": []}
    changed, findings = prepared(content, tmp_path / "x.json", tmp_path / "images", tmp_path / "panoptic")
    assert changed["images"] == [{"id": 1, "file_name": local}]
    assert [each.kind for each in findings] == ["name-foreign"] * (name != local)
    assert content["images"][0]["file_name"] == name


def test_a_file_that_two_rows_mean_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    for names in (["x\\a.jpg", "y\\a.jpg"], ["a.jpg", "y\\a.jpg"]):
        rows = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        changed, findings = prepared({"images": rows, "annotations": []}, tmp_path / "x.json", tmp_path, tmp_path)
        assert (changed["images"], findings) == (rows, [])


def test_broken_rows_are_left_to_the_parser(tmp_path: Path) -> None:
    content: dict[str, Any] = {"images": [None, {"file_name": 3}], "annotations": [[], {"image_id": True}, {}]}
    assert prepared(content, tmp_path / "x.json", tmp_path, tmp_path) == (content, [])
    assert prepared({"images": 3}, tmp_path / "x.json", None, tmp_path) == ({"images": 3}, [])


def test_the_annotation_whose_ids_are_there_is_kept(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")

    def stale(content: dict[str, Any], _: Path) -> None:
        right = content["annotations"][1]
        segments = [{**each, "id": each["id"] + 1000} for each in right["segments_info"]]
        content["annotations"].insert(0, {**right, "segments_info": segments})

    edit(folder, stale)
    found = diagnose(folder)
    assert found.counts == {"annotation-twice": 1}
    write_repaired(found, tmp_path / "out")
    data = CocoPanoptic(tmp_path / "out")
    assert all(same(data.truth(index), small_map(index)) for index in range(3))
