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


@pytest.mark.parametrize("workers", [0, 2])
def test_what_was_done_is_kept_and_the_process_ends(workers: int, tmp_path: Path) -> None:
    write_coco_panoptic(tmp_path / "gt", iter(Scenes(range(1_000_000, 1_000_003), (64, 96))), SCENE_CATEGORIES)
    photograph = sorted((tmp_path / "gt" / "images").iterdir())[1]
    training, end = train(tmp_path, workers), time.monotonic() + 240
    log = tmp_path / "run" / "log.csv"
    while not log.is_file() or len(log.read_text().splitlines()) < 4:
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    photograph.rename(tmp_path / "elsewhere.png")
    assert training.stderr is not None
    said = training.stderr.readline()
    told = time.monotonic()
    out, rest = training.communicate(timeout=120)
    assert time.monotonic() - told < BOUND
    assert training.returncode == 1
    assert photograph.name in said
    assert not rest
    done = int(out.split("saved after ")[1].split()[0])
    assert done >= 3
    (tmp_path / "elsewhere.png").rename(photograph)
    going_on = train(tmp_path, workers, "--resume")
    assert going_on.stdout is not None
    assert any(f"--resume: {done} of 300 iterations are done" in line for line in iter(going_on.stdout.readline, ""))
    going_on.send_signal(signal.SIGTERM)
    out, rest = going_on.communicate(timeout=120)
    assert going_on.returncode == 128 + signal.SIGTERM, rest
    assert "Traceback" not in rest
