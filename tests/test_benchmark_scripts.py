"""The scripts that measure a network beside others take each of their steps at tiny size, and list their aims."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unipan.datasets.scenes.generator import Scenes

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *options: str | Path, status: int = 0) -> str:
    command = [sys.executable, SCRIPTS / script, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def aims_of(script: str, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, float]]:
    """What `aims` of a script makes of a report."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = __import__(script)
    return {words: (value, aim) for words, value, aim in module.aims(report)}


def test_the_full_network_beside_others(tmp_path: Path) -> None:
    names = ["Mask R-CNN", "Mask2Former", "deformable"]
    options = ["--tiny", "--sizes", "64x128", "--rounds", "1", "--memory", "64x128", "--steps", "1"]
    options += ["--json", tmp_path / "found.json"]
    said = run("full_size.py", *options, "--networks", *names)
    report = json.loads((tmp_path / "found.json").read_text())
    assert set(report["64x128"]) >= {"Mask R-CNN", "deformable"}
    assert set(report["memory"]) == set(report["64x128"])
    assert [len(report["steps"][form]) for form in ("before", "now")] == [1, 1]
    assert ("Mask2Former is left out: transformers is not installed" in said) == ("Mask2Former" not in report["memory"])
    assert "of Mask R-CNN" in said
    assert "aims:" in said


def test_onnxruntime_beside_torch(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), Scenes(range(1))[0].image)
    options = ["--rounds", "1", "--processes", "1", "--scenes", "1", "--photos", tmp_path / "photos"]
    said = run("runtime.py", *options, "--json", tmp_path / "found.json")
    report = json.loads((tmp_path / "found.json").read_text())
    assert [row["what"] for row in report["agreement"]] == ["scenes", "photographs of photos"]
    listed = said.partition("aims:")[2].strip().splitlines()
    assert len(listed) == 6
    assert all(line.endswith(("met", "missed")) for line in listed)


def test_another_checkout_beside_this_one(tmp_path: Path) -> None:
    counts = ["--rounds", "1", "--processes", "1", "--scenes", "1", "--images", "2"]
    said = run("runtime.py", *counts, "--before", SCRIPTS.parent, "--json", tmp_path / "found.json")
    report = json.loads((tmp_path / "found.json").read_text())
    assert {row["form"] for row in report["batches"]} == {"PyTorch", "onnxruntime", "onnxruntime, --no-labels"}
    assert all(0 < value < 50 for row in report["batches"] for value in row["ratios"].values())
    # The same network in two processes.
    ratios = [row["ratios"] for row in report["times"]]
    assert all(0.2 < ratio["before"] / ratio["torch"] < 5 for ratio in ratios)
    assert "network, 256 x 512, onnxruntime relative to before" in said


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    # The installed unipan would otherwise be measured in its place.
    assert f"--before {tmp_path}" in run("runtime.py", "--before", tmp_path, status=2)
    assert "--images 1" in run("runtime.py", "--images", "1", status=2)


def test_the_aims_of_the_full_network(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {
        "Mask R-CNN": [1.0, 2.0],
        "Mask2Former": [2.0, 4.0],
        "deformable": [0.9, 1.8],
        "deformable, bf16": [0.5, 1.0],
    }
    report = {"512x1024": times, "1024x2048": times, "memory of": "1024x2048"}
    report |= {"memory": {"Mask R-CNN": 2.0, "deformable": 0.5}, "steps": {"before": [4.0], "now": [1.0]}}
    found = aims_of("full_size", report, monkeypatch)
    assert len(found) == 6
    assert found["deformable, 512x1024, time relative to Mask R-CNN"] == (pytest.approx(0.9), 0.95)
    assert found["deformable, bf16, 512x1024, time relative to Mask2Former"] == (pytest.approx(0.25), 0.45)
    assert found["deformable, 1024x2048, memory relative to Mask R-CNN"] == (0.25, 0.5)
    assert found["training step, time relative to before"] == (0.25, 0.35)
    assert aims_of("full_size", {"64x128": times, "memory of": "64x128"}, monkeypatch) == {}


def test_the_aims_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = {"size": (128, 256), "images": 200, "form": "onnxruntime", "ratios": {"images/s": 2.0, "s": 0.6}}
    found = aims_of("runtime", {"batches": [batch]}, monkeypatch)
    assert len(found) == 2
    assert all(value > aim and not math.isnan(value) for value, aim in found.values())
    assert np.isclose(found["predict, 128 x 256, onnxruntime, time per image relative to before"][0], 0.5)
