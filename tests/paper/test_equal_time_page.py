"""The page of Table 1 has the figures of the trainings of equal time."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_is_that_of_the_records() -> None:
    command = [sys.executable, str(ROOT / "experiments" / "equal_time.py"), "--table"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()
    page = [line.strip() for line in (ROOT / "docs" / "results" / "table1.md").read_text().splitlines()]
    assert len(table) >= 18
    start = page.index(table[0])
    assert page[start : start + len(table)] == table
