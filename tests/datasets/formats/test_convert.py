"""`unipan.convert_dataset` is `unipan data convert` from Python."""

from pathlib import Path

import numpy as np
import pytest

import unipan
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_coco_panoptic(tmp_path / "data", iter(Scenes(range(3), (32, 48))), SCENE_CATEGORIES)
    return tmp_path / "data"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_what_the_command_writes(data: Path, tmp_path: Path) -> None:
    options = unipan.FormatOptions(divisor=256)
    made = unipan.convert_dataset(data, f"png16:{tmp_path / 'one'}", options, limit=2)
    arguments = [str(data), f"png16:{tmp_path / 'other'}", "--divisor", "256", "--limit", "2"]
    assert main(["data", "convert", *arguments]) == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")
    assert made.tally.images == 2
    assert made.path.is_relative_to(tmp_path / "one")


def test_there_and_back(data: Path, tmp_path: Path) -> None:
    """An opened dataset is taken too, and COCO panoptic format is what is written without another name."""
    there = unipan.convert_dataset(unipan.open_dataset(data), f"rle:{tmp_path / 'rle'}")
    images = unipan.FormatOptions(images=data / "images")
    back = unipan.convert_dataset(f"rle:{there.path}", tmp_path / "back", images, images=False)
    assert not back.images
    first, again = unipan.open_dataset(data), unipan.open_dataset(tmp_path / "back", images)
    for one, other in ((first.truth(index), again.truth(index)) for index in range(3)):
        assert np.array_equal(one.ids > 0, other.ids > 0)
        assert [each.category.name for each in one] == [each.category.name for each in other]


@pytest.mark.parametrize(
    ("source", "target", "options", "told"),
    [
        ("data", "nothing:out", {}, "nothing:out"),
        ("data", "out.json", {}, "out.json"),
        ("data", "png16:out", {"divisor": 0}, "divisor 0"),
        ("gone", "out", {}, "gone"),
        ("data", "data", {}, "not empty"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    source: str, target: str, options: dict[str, int], told: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        unipan.convert_dataset(source, target, unipan.FormatOptions(**options))
    assert [path.name for path in data.parent.iterdir()] == ["data"]
