"""The script for a GPU takes each of its steps, on a CPU and at tiny size, so that it is ready when there is one."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"


def test_it_measures_all_that_it_promises(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--device", "cpu", "--tiny", "--no-compile", "--height", "64", "--width", "128"]
    command += ["--rounds", "1", "--json", tmp_path / "gpu.json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert set(report["images"]) >= {"ours, fp32", "ours, bf16", "Panoptic FPN, fp32", "UPSNet, bf16"}
    assert set(report["training"]) == {"A", "B", "C", "D"}
    for row in (*report["images"].values(), *report["training"].values()):
        assert len(row) == 1
        assert row[0] > 0
    assert "B/A" in done.stdout
    assert "D/C" in done.stdout


def test_its_first_words_say_that_it_has_not_run() -> None:
    assert SCRIPT.read_text().startswith('"""NOT RUN YET on a GPU')
