"""What becomes of every second bad input, with all extras."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.outcomes import LEAST, run_cases
from tests.bad_input.run import differences, summary


def test_the_first_half_with_all_extras(tmp_path: Path, announce: Callable[[str], None]) -> None:
    found = run_cases(tmp_path / "first.jsonl", "--part", "0", "2")
    assert differences(found) == []
    assert len(found) > LEAST
    announce(summary(found, "all extras, first half"))
