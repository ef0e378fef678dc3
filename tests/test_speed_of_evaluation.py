"""`unipan pq` as a user runs it, beside hotcoco: a loose bound, because other work on the machine must not decide."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "evaluation.py"


def test_twenty_pairs_take_little_longer_than_hotcoco(tmp_path: Path, announce: Callable[[str], None]) -> None:
    pytest.importorskip("hotcoco")
    out = tmp_path / "times.json"
    command = [sys.executable, str(BENCHMARK), "--pairs", "20", "--repeats", "3", "--json", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(out.read_text())["20 pairs"]
    ratio = found["unipan pq"]["cpu"] / found["hotcoco"]["cpu"]
    announce(f"unipan pq of 20 pairs: {ratio:.2f} times hotcoco's processor time (aim: below 2)")
    assert ratio < 3
    assert found["unipan pq"]["MB"] < 150
