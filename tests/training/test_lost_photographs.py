"""A photograph that goes while a network is trained: one sentence, what was done is kept, and the process ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bad_input.of_training import SMALL
from tests.training.killed_processes import ENVIRONMENT
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes

BOUND = 15.0
"""Seconds from the sentence to the end of the process; loader workers that outlast a SIGTERM took 30."""


def train(folder: Path, workers: int, *more: str) -> subprocess.Popen[str]:
    options = [*SMALL.split(), "--train.iterations", "300", "--train.validations", "1", "--save-minutes", "300"]
    arguments = ["finetune", "--data", "gt", "--val", "gt", "--out", "run", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "unipan", "train", *arguments, "--train.num-workers", str(workers), *more],
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def trained_for_three(folder: Path, workers: int, *more: str) -> subprocess.Popen[str]:
    """A training whose log has three rows."""
    training, end = train(folder, workers, *more), time.monotonic() + 240
    log = folder / "run" / "log.csv"
    while not log.is_file() or len(log.read_text().splitlines()) < 4:
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    return training


def assert_goes_on(folder: Path, done: int, workers: int, *more: str) -> None:
    """It begins after the iterations that were done, and a SIGTERM stops it as any other."""
    training = train(folder, workers, *more, "--resume")
    assert training.stdout is not None
    assert any(f"--resume: {done} of 300 iterations are done" in line for line in iter(training.stdout.readline, ""))
    training.send_signal(signal.SIGTERM)
    _, rest = training.communicate(timeout=120)
    assert training.returncode == 128 + signal.SIGTERM, rest
    assert "Traceback" not in rest


@pytest.mark.parametrize("workers", [0, 2])
def test_what_was_done_is_kept_and_the_process_ends(workers: int, tmp_path: Path) -> None:
    write_coco_panoptic(tmp_path / "gt", iter(Scenes(range(1_000_000, 1_000_003), (64, 96))), SCENE_CATEGORIES)
    photograph = sorted((tmp_path / "gt" / "images").iterdir())[1]
    training = trained_for_three(tmp_path, workers)
    photograph.rename(tmp_path / "elsewhere.png")
    assert training.stderr is not None
    said = next(line for line in training.stderr if line.startswith("unipan: "))  # torch may warn of few cores before
    told = time.monotonic()
    out, rest = training.communicate(timeout=120)
    assert time.monotonic() - told < BOUND
    assert training.returncode == 1
    assert photograph.name in said
    assert not rest
    done = int(out.split("saved after ")[1].split()[0])
    assert done >= 3
    (tmp_path / "elsewhere.png").rename(photograph)
    assert_goes_on(tmp_path, done, workers)


def test_of_two_processes_either_may_meet_it(tmp_path: Path) -> None:
    """The first one saves, and each says what it knows."""
    write_coco_panoptic(tmp_path / "gt", iter(Scenes(range(1_000_000, 1_000_003), (64, 96))), SCENE_CATEGORIES)
    photograph = sorted((tmp_path / "gt" / "images").iterdir())[1]
    several = ("--devices", "2", "--accelerator", "cpu", "--train.batch-size", "2")
    training = trained_for_three(tmp_path, 0, *several)
    photograph.rename(tmp_path / "elsewhere.png")
    out, said = training.communicate(timeout=120)
    assert training.returncode == 1
    sentences = [line for line in said.splitlines() if line.startswith("unipan: ")]
    assert [photograph.name in line for line in sentences].count(True) == 1
    assert "Traceback" not in said
    done = int(out.split("saved after ")[1].split()[0])
    assert done >= 3
    (tmp_path / "elsewhere.png").rename(photograph)
    assert_goes_on(tmp_path, done, 0, *several)
