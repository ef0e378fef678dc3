"""`predict --tiles` writes what `Segmenter.in_tiles` finds, and says what it cannot do before it begins."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_inference import segmenter_of, tiny
from unipan.checkpoint import save_checkpoint
from unipan.cli import main
from unipan.inference import Segmenter
from unipan.panoptic.png import decode_png
from unipan.presets import scenes


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmenter_of(tiny(scenes()))


@pytest.fixture
def command(segmenter: Segmenter, tmp_path: Path) -> list[str]:
    """With a checkpoint that resizes pictures, and one picture."""
    save_checkpoint(
        tmp_path / "c.safetensors", segmenter.network.state_dict(), segmenter.config, segmenter.categories, {}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((330, 200)).save(tmp_path / "a.png")
    return ["predict", str(tmp_path / "c.safetensors"), str(tmp_path / "a.png"), "--device", "cpu", "--out"]


def test_tiles_are_written_with_all_that_belongs_to_a_result(
    segmenter: Segmenter, command: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main([*command, str(out), "--tiles", "--scale", "0.7", "--tile-side", "64", "--margin", "--csv"]) == 0
    expected = segmenter.in_tiles(tmp_path / "a.png", scale=0.7, side=64)
    assert (decode_png(out / "panoptic" / "a.png") != expected.ids).mean() < 0.002  # the command folds batch norm
    assert np.allclose(np.load(out / "margin" / "a.npy"), expected.margin, atol=1e-5)
    [annotation] = json.loads((out / "panoptic.json").read_text())["annotations"]
    assert len(annotation["segments_info"]) == len(expected)
    assert "in tiles" in (out / "index.html").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scale", "0.5"], "--tiles"),
        (["--reach", "9"], "--tiles"),
        (["--tiles", "--reach", "-1"], "--reach"),
        (["--tiles", "--tile-side", "100"], "64"),
        (["--tiles", "--scale", "0"], "scale"),
        (["--tiles", "--fusion", "heuristic"], "--fusion"),
        (["--tiles", "--precision", "bf16"], "--precision"),
        (["--tiles", "--pages", "2"], "--pages"),
    ],
)
def test_what_tiles_cannot_do_is_said_before_anything_is_written(
    options: list[str], words: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_picture_that_is_too_large_is_told_of_tiles(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unipan.datasets.pictures.available_memory", lambda: 1000)
    assert main([*command, str(tmp_path / "out")]) == 1
    assert "--tiles" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "out"), "--tiles"]) == 1
    assert "--tile-side" in capsys.readouterr().err


def test_everywhere_is_the_rule_of_the_paper(segmenter: Segmenter, command: list[str], tmp_path: Path) -> None:
    assert main([*command, str(tmp_path / "out"), "--tiles", "--reach", "everywhere"]) == 0
    expected = segmenter.in_tiles(tmp_path / "a.png", reach=None)
    assert (decode_png(tmp_path / "out" / "panoptic" / "a.png") != expected.ids).mean() < 0.002


def test_a_full_disk_of_temporary_files_leaves_out_the_picture_alone(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system's own limit on the size of files stands for the full disk; the smaller picture keeps within it."""
    resource = pytest.importorskip("resource")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    Image.fromarray(np.zeros((640, 640, 3), np.uint8)).save(tmp_path / "large.png")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        more = [str(tmp_path / "large.png"), *command[3:], str(tmp_path / "out"), "--tiles", "--tile-side", "64"]
        assert main([*command[:3], *more]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr()
    assert f"{tmp_path / 'large.png'} is left out: {tmp_path / 'tmp'}: no place for" in said.err
    assert "1 image, 1 left out" in said.out
    assert not list((tmp_path / "tmp").iterdir())
