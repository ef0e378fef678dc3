"""What becomes, with all extras, of five of every eight bad inputs: about half the work."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.outcomes import LEAST, run_cases
from tests.bad_input.run import differences, summary


def test_the_larger_part_with_all_extras(tmp_path: Path, announce: Callable[[str], None]) -> None:
    found = run_cases(tmp_path / "larger.jsonl", "--part", "0", "5", "8")
    assert differences(found) == []
    assert len(found) > LEAST
    announce(summary(found, "all extras, the larger part"))
