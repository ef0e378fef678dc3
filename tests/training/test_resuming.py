"""What `unipan train --resume` may be asked, and what a finished run is given back."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.bad_input.of_training import RESUME, TRAIN
from unipan.checkpoint import load_checkpoint
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.training.options import RESUME_STATE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `gt`, and with `run`, a finished training of one step."""
    place = tmp_path_factory.mktemp("resuming")
    scenes = Scenes(range(1_000_000, 1_000_003), (64, 96))
    write_coco_panoptic(place / "gt", iter(scenes), SCENE_CATEGORIES)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(place)
        assert main(list(TRAIN)) == 0
    return place


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), None),
        (TRAIN[8:], None),  # the same command, as every sentence about interrupted runs advises
        (("--train.iterations", "4"), "--train.iterations 1, not 4"),
        (("--train.lr", "0.5"), "not 0.5"),
        (("--seed", "3"), "--train.seed 0, not 3"),
        (("--minutes", "3"), "--minutes None, not 3"),
        (("--decoder.no-deformable",), None),  # the preset's own value
    ],
)
def test_an_option_that_the_run_did_not_have_is_refused(
    more: tuple[str, ...],
    told: str | None,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run)
    before = (run / "run" / RESUME_STATE).read_bytes()
    assert main([*RESUME, *more]) == (told is not None)
    said = capsys.readouterr()
    assert "nothing left to do" in said.out if told is None else told in said.err
    assert (run / "run" / RESUME_STATE).read_bytes() == before


def test_a_finished_run_whose_checkpoints_are_gone(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)
    last, best = run / "run" / "last.safetensors", run / "run" / "best.safetensors"
    before = load_checkpoint(last).network.state_dict()
    last.unlink()
    best.unlink()
    assert main(list(RESUME)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "last.safetensors was missing and is written again" in said
    assert "best.safetensors is missing" in said
    after = load_checkpoint(last).network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_data_that_have_changed_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "moved"  # where the folders lie does not matter
    shutil.copytree(run, place)
    monkeypatch.chdir(place)
    assert main(list(RESUME)) == 0
    state = (place / "run" / RESUME_STATE).read_bytes()
    shutil.rmtree(place / "gt")
    for count, told in ((3, "as many images, but not the same"), (4, "4 images, not 3")):
        others = Scenes(range(1_000_010, 1_000_010 + count), (64, 96))
        shutil.rmtree(place / "gt", ignore_errors=True)
        write_coco_panoptic(place / "gt", iter(others), SCENE_CATEGORIES)
        assert main(list(RESUME)) == 1
        said = capsys.readouterr().err
        assert "--resume: gt has changed since the run in run began" in said
        assert told in said
        assert (place / "run" / RESUME_STATE).read_bytes() == state


def test_a_run_of_an_older_version_goes_on_with_a_note(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    state = torch.load(f"run/{RESUME_STATE}", weights_only=True)
    assert state["origin"].pop("seen")["data"]["images"] == 3
    torch.save(state, f"run/{RESUME_STATE}")
    assert main(list(RESUME)) == 0
    assert "was begun by an older unipan" in capsys.readouterr().out
