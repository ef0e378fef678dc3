"""What becomes of every bad input where nothing but the base is installed."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.outcomes import LEAST, run_cases
from tests.bad_input.run import differences, summary


def test_without_the_extras(tmp_path: Path, announce: Callable[[str], None]) -> None:
    found = run_cases(tmp_path / "base.jsonl", "--base")
    assert differences(found) == []
    assert len(found) > 2 * LEAST
    announce(summary(found, "base install"))
