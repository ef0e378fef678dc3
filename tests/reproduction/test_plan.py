"""The lengths of the trainings, which are kept for later calls."""

import json
import os
from pathlib import Path

import pytest

from unipan.reproduction.plan import kept_plan


def test_a_plan_that_is_kept_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan-9min.json"
    path.write_text(json.dumps({"iterations": 120, "seconds": {"A": 0.5, "B": 0.75}}))
    assert kept_plan(path) == {"iterations": 120, "seconds": {"A": 0.5, "B": 0.75}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 200_000,
        "[]",
        "{}",
        '{"iterations": -3, "seconds": {}}',
        '{"iterations": 10, "seconds": [1]}',
        '{"iterations": 10, "seconds": {"A": 0.0}}',
        '{"iterations": 10, "seconds": {"A": NaN}}',
    ],
)
def test_what_is_no_plan_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan-9min.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"--runs: .*plan-9min.json is no plan of trainings .*; remove it"):
        kept_plan(path)
    assert path.read_text() == text


def test_a_pipe_is_no_plan(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan-9min.json")
    with pytest.raises((OSError, ValueError), match=r"plan-9min.json"):
        kept_plan(tmp_path / "plan-9min.json")
