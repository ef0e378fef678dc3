"""A real `unipan predict` is killed (SIGKILL) while it writes, and the same command makes what is missing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.prediction.test_interrupted import contents
from tests.test_inference import segmenter_of, tiny
from unipan.checkpoint import save_checkpoint
from unipan.datasets.scenes.generator import Scenes
from unipan.prediction.journal import JOURNAL
from unipan.presets import scenes

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
COUNT, KILLS = 150, 3  # the last kill leaves so many that a busy machine is not too late for it


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """All but the output folder."""
    (tmp_path / "photos").mkdir()
    for number, sample in enumerate(Scenes(range(7, 7 + COUNT), (64, 96))):
        Image.fromarray(sample.image).save(tmp_path / "photos" / f"{number:02d}.png")
    made = segmenter_of(tiny(scenes()))
    save_checkpoint(tmp_path / "net.safetensors", made.network.state_dict(), made.config, made.categories, {})
    inputs = [str(tmp_path / "net.safetensors"), str(tmp_path / "photos")]
    return [sys.executable, "-m", "unipan", "predict", *inputs, "--csv", "--margin", "--at-once", "2", "--out"]


def begin(command: list[str], out: Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, str(out)], cwd=ROOT, env=ENVIRONMENT, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def finished(out: Path) -> dict[str, list[str]]:
    """The images that the journal lists as done, with their files."""
    try:
        lines = (out / JOURNAL).read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    return {line["done"]: list(line["files"]) for line in whole if "files" in line}


def versions(out: Path, names: list[str]) -> dict[str, tuple[int, int]]:
    """What changes if a file is made again; the PNGs of kept maps are written again, and cannot tell."""
    made = [name for name in names if not name.startswith("panoptic/")]
    assert not names or {Path(name).parts[0] for name in made} >= {"margin", "overlays"}
    return {name: ((out / name).stat().st_ino, (out / name).stat().st_mtime_ns) for name in made}


def test_a_killed_command_goes_on(command: list[str], tmp_path: Path) -> None:
    """Three times, some images apart, at a moment that a seed draws."""
    moments, out = random.Random(0), tmp_path / "out"
    kept: dict[str, tuple[int, int]] = {}
    for kill in range(1, KILLS + 1):
        running = begin(command, out)
        least = kill * COUNT // 8 + moments.randrange(4)
        while len(finished(out)) < least:
            assert running.poll() is None, (kill, least, running.returncode, running.communicate())
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.05))
        running.send_signal(signal.SIGKILL)
        _, said = running.communicate()
        assert running.returncode == -signal.SIGKILL, said
        done = finished(out)
        assert least <= len(done) < COUNT
        assert kept == versions(out, list(kept))
        kept = versions(out, [name for names in done.values() for name in names])
    running = begin(command, out)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert "was killed here, and left its lock behind" in said
    assert kept == versions(out, list(kept))
    whole = begin(command, tmp_path / "whole")
    assert whole.communicate(timeout=300)[1] is not None
    assert whole.returncode == 0
    assert contents(out) == contents(tmp_path / "whole")
