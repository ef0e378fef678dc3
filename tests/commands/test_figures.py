"""`unipan figures`: files, words and refusals."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.commands.json_page import check_with_page
from tests.test_inference import segmenter_of, tiny
from unipan.checkpoint import load_checkpoint, save_checkpoint
from unipan.cli import main
from unipan.datasets.scenes.generator import SCENE_CATEGORIES
from unipan.folder_lock import folder_lock
from unipan.panoptic.categories import Categories
from unipan.presets import scenes, upsnet
from unipan.reproduction.figures import page
from unipan.reproduction.figures.page import FigureFolder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    segmenter = segmenter_of(tiny(scenes()))
    path = tmp_path_factory.mktemp("figures") / "net.safetensors"
    save_checkpoint(path, segmenter.network.state_dict(), segmenter.config, SCENE_CATEGORIES, {})
    return str(path)


@pytest.fixture(scope="module")
def rival(tmp_path_factory: pytest.TempPathFactory) -> str:
    segmenter = segmenter_of(tiny(upsnet(scenes())))
    path = tmp_path_factory.mktemp("figures") / "upsnet.safetensors"
    save_checkpoint(path, segmenter.network.state_dict(), segmenter.config, SCENE_CATEGORIES, {})
    return str(path)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["figures", *arguments]) == 1
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


@pytest.mark.parametrize("jpeg", [False, True])
def test_pictures_and_page_are_written(
    checkpoint: str, jpeg: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "figures"
    arguments = ["figures", checkpoint, "scenes:5-8", "--out", str(out), "--images", "2", "--rows", "1"]
    assert main([*arguments, *(["--jpeg"] * jpeg), "--json", str(tmp_path / "found.json")]) == 0
    check_with_page("figures", content := json.loads((tmp_path / "found.json").read_text()))
    assert {Path(figure["picture"]).name for figure in content["figures"]} <= {path.name for path in out.iterdir()}
    printed, page = capsys.readouterr().out, (out / "index.html").read_text()
    files = sorted(path.name for path in out.iterdir() if path.name != "index.html")
    assert files == sorted(re.findall(r'<img src="([^"]*)"', page))
    assert {"figure-7", "figure-K"} <= {Path(name).stem for name in files}
    assert {Path(name).suffix for name in files} == {".jpg" if jpeg else ".png"}
    for name in files:
        picture = Image.open(io.BytesIO((out / name).read_bytes()))
        width, height = picture.size
        assert f'src="{name}" width="{width}" height="{height}"' in page
        assert np.asarray(picture.convert("RGB"))[:10].min() > 250  # a white margin
        assert str(out / name) in printed
    assert "pixels void" in printed
    assert "2 of the 4 scenes, seeds 5..8, SEEN in training, drawn with seed 0" in page
    assert "://" not in page


def test_the_page_says_which_of_the_two_stands_in_figure_k(
    checkpoint: str, rival: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["figures", checkpoint, "scenes:5-6", "--rows", "1", "--out"]
    assert main([*arguments, str(tmp_path / "one")]) == 0
    assert main([*arguments, str(tmp_path / "two"), "--upsnet", rival]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"PQ of this image is [0-9.]+ by P and [0-9.]+ by Psi\n", printed)
    assert re.search(r"PQ of this image is [0-9.]+ by P and [0-9.]+ by UPSNet\n", printed)
    one, two = ((tmp_path / name / "index.html").read_text() for name in ("one", "two"))
    assert "With and without parameters: gains and losses" in one
    assert "Ours and UPSNet: gains and losses" not in one
    assert "Ours and UPSNet: gains and losses" in two
    assert f"in Figure K with UPSNet, the checkpoint {rival}, on 2 scenes" in two


def test_another_network_than_upsnet_is_refused(
    checkpoint: str, rival: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    said = refused([checkpoint, "scenes:5-5", *out, "--upsnet", checkpoint], capsys)
    assert f"--upsnet {checkpoint}: fusion upsnet: scenes has no void channel" in said
    other = load_checkpoint(rival)
    classes = Categories(tuple(replace(each, name=each.name.upper()) for each in SCENE_CATEGORIES))
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, other.network.state_dict(), other.config, classes, {})
    said = refused([checkpoint, "scenes:5-5", *out, "--upsnet", str(path)], capsys)
    assert f"--upsnet {path}: classes: the checkpoint knows the things CAR" in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_work_is_one_sentence(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    said = refused(["nowhere.safetensors", "--out", str(tmp_path / "file")], capsys)
    assert "file is a file; give another folder" in said  # before the checkpoint is opened
    out = ["--out", str(tmp_path / "out")]
    assert "--images: 0 is not a whole number from 1" in refused(["nowhere.safetensors", *out, "--images", "0"], capsys)
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(photos / "a.png")
    assert "panoptic.json: no such file" in refused([checkpoint, str(photos), *out], capsys)
    categories = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SCENE_CATEGORIES]
    content = {"categories": categories, "images": [], "annotations": []}
    (photos / "panoptic.json").write_text(json.dumps(content))
    assert "DATA has no images" in refused([checkpoint, str(photos), *out], capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_another_command_draws_in_is_refused(
    checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with folder_lock(out, "--out"):
        assert f"--out {out}: " in (said := refused([checkpoint, "--out", str(out)], capsys))
        assert "works there" in said
    assert not out.exists()


def test_no_picture_is_replaced_before_all_are_made(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk or a signal meets the old figures or the new ones, except while they are written, which is quick."""
    made, written = [], []
    picture, write = FigureFolder._picture, page.write_atomically
    monkeypatch.setattr(FigureFolder, "_picture", lambda *given: made.append(len(written)) or picture(*given))
    monkeypatch.setattr(page, "write_atomically", lambda *given: written.append(given[0]) or write(*given))
    assert main(["figures", checkpoint, "--out", str(tmp_path / "out"), "--images", "2", "--rows", "1"]) == 0
    assert len(made) == len(written) > 1
    assert set(made) == {0}
