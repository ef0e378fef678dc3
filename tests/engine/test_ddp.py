"""Two processes on one CPU (gloo): the same command as one, and no image with or without things stops it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ddp")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [*launcher, "-m", "tests.engine.two_processes", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "last.safetensors").is_file()
    assert len((folder / "log.csv").read_text().splitlines()) == 5  # one process writes, once an iteration
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_images_without_things_train_and_both_end_with_the_same_weights(ranks: list[dict[str, Any]]) -> None:
    assert [rank["world"] for rank in ranks] == [2, 2]
    assert ranks[0]["start"] == ranks[1]["start"]
    changed = [name for name, value in ranks[0]["start"].items() if ranks[0]["weights"][name] != value]
    assert set(changed) == set(ranks[0]["start"])
    for name in ranks[0]["start"]:
        assert ranks[0]["weights"][name] == ranks[1]["weights"][name], name


def test_what_is_validated_is_what_is_saved(ranks: list[dict[str, Any]]) -> None:
    """Batch statistics differ between processes while training; the first process's are saved, so they count."""
    assert ranks[0]["average"] == ranks[1]["average"]


def test_validation_counts_every_image_once(ranks: list[dict[str, Any]]) -> None:
    assert sorted(ranks[0]["validated"] + ranks[1]["validated"]) == [0, 1, 2, 3, 4]
    assert ranks[0]["together"] == ranks[1]["together"]
    for name, value in ranks[0]["together"].items():
        assert value == pytest.approx(ranks[0]["alone"][name], abs=1e-9), name
