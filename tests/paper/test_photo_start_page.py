"""The page on own data has the figures of the trainings from both starts."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_that_of_the_records() -> None:
    command = [sys.executable, str(ROOT / "experiments" / "photo_start.py"), "table"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert len(table.splitlines()) >= 6
    assert table in (ROOT / "docs" / "own_data.md").read_text()
