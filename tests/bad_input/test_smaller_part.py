"""What becomes, with all extras, of three of every eight bad inputs."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.outcomes import LEAST, run_cases
from tests.bad_input.run import differences, summary


def test_the_smaller_part_with_all_extras(tmp_path: Path, announce: Callable[[str], None]) -> None:
    found = run_cases(tmp_path / "smaller.jsonl", "--part", "5", "8", "8")
    assert differences(found) == []
    assert len(found) > LEAST
    announce(summary(found, "all extras, the smaller part"))
