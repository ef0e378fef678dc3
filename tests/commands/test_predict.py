"""`predict` looks at everything that can be known before the network runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.test_inference import segmenter_of, tiny
from unipan.cli import main
from unipan.prediction.images import ImageJob, check_names, jobs_like
from unipan.presets import scenes


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def refused(arguments: list[Path | str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence of `unipan predict`; the checkpoint does not exist, so what is said came before it was opened."""
    assert main(["predict", "nowhere.safetensors", *map(str, arguments)]) == 1
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


GOOD: dict[str, Any] = {
    "categories": [{"id": 1, "name": "road", "isthing": 0}],
    "images": [{"id": 1, "file_name": "a.png"}],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"categories": None}, "`categories` must be a list"),
        ({"images": None}, "`images` must be a list"),
        ({"images": [{"file_name": "a.png"}]}, "needs `id`"),
        ({"images": GOOD["images"] * 2}, "image 1 "),
        ({"categories": [{"id": None, "name": "road", "isthing": 0}]}, "'name': 'road'"),
        ({}, "nowhere.safetensors"),
    ],
)
def test_a_wrong_like_is_named(
    change: dict[str, Any], words: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    like = tmp_path / "gt.json"
    like.write_text(json.dumps({**GOOD, **change}))
    said = refused([photo, "--out", tmp_path / "out", "--like", like], capsys)
    assert words in said
    assert not change or str(like) in said
    like.write_text(json.dumps({"images": []}))
    assert "`categories` must be a list" in refused([photo, "--out", tmp_path / "out", "--like", like], capsys)
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a.png is a file; give another folder" in refused([photo, "--out", photo], capsys)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlays").touch()
    assert "overlays is a file" in refused([photo, "--out", tmp_path / "out"], capsys)


def test_names_that_clash_are_said_first(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo.with_suffix(".jpg").write_bytes(photo.read_bytes())
    said = refused([tmp_path, "--out", tmp_path / "out"], capsys)
    assert all(word in said for word in ("a.jpg and ", "a.png would both be written to a.png"))
    check_names([ImageJob(photo, "x/a.png", 1), ImageJob(photo, "y/a.png", 2)])
    with pytest.raises(ValueError, match="leads out"):
        check_names([ImageJob(photo, "../a.png", 1)])


def test_ids_come_from_the_truth() -> None:
    entries = {"town": {"file_name": "deep/a.png"}, 7: {"file_name": "b.png"}}
    found = jobs_like([(Path("a.png"), "a.png"), (Path("b.png"), "b.png")], entries, Path("gt.json"))
    assert [(job.name, job.image_id) for job in found] == [("deep/a.png", "town"), ("b.png", 7)]


def test_what_cannot_be_written_ends_the_run(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter_of(tiny(scenes())))
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    (tmp_path / "out" / "panoptic" / "a.png").mkdir(parents=True)
    assert "a.png: cannot be written" in refused([photo, "--out", tmp_path / "out"], capsys)
    assert not (tmp_path / "out" / "panoptic.json").exists()


def test_images_of_a_dataset_are_told_how_to_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newcomer's next command is `unipan pq`, which matches ids."""
    monkeypatch.chdir(tmp_path)
    data = Path("my_data")
    assert main(["scenes", "--out", str(data), "--count", "1"]) == 0
    capsys.readouterr()
    for given, told in (([data / "images"], 1), ([data / "images", "--like", data / "panoptic.json"], 0)):
        assert main(["predict", "scenes", *map(str, given), "--out", "out"]) == 0
        assert capsys.readouterr().err.count(f"add --like {data / 'panoptic.json'}") == told
