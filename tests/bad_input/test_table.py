"""What becomes of every bad input now, compared with outcomes.csv.

`python -m tests.bad_input.run --update` writes the table anew (what needs no extra, with `--base`); read what has
changed before it is committed. `--only "door: case" --show` prints what cases say, `--only` is a regular expression.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.bad_input.all_cases import all_cases
from tests.bad_input.case import Case
from tests.bad_input.outcomes import LEAST
from tests.bad_input.processes import run_case
from tests.bad_input.run import table
from unipan.cli import VERBS
from unipan.commands.data import VERBS as DATA_VERBS


def test_the_table_is_large_and_names_every_door() -> None:
    rows = table().values()
    assert len(rows) > 2 * LEAST
    assert {row["outcome"] for row in rows} == {"right", "findings", "partly", "sentence", "refusal"}
    assert {row["status"] for row in rows} == {"0", "1", "2"}
    doors = {row["door"] for row in rows}
    assert doors >= {*VERBS, *(f"data {verb}" for verb in DATA_VERBS)} - {"data"}
    assert doors >= {
        "command line", "fuse", "open_dataset", "evaluate_folders", "Segmenter", "PanopticHead", "Categories.from_coco",
        "panoptic_map", "server", "Scene.edit", "Segmenter.in_tiles", "read_image", "PanopticResult", "PanopticQuality",
    }  # fmt: skip


def test_the_table_has_a_row_for_every_case_and_no_other() -> None:
    assert {case.key for case in all_cases(base=False)} == set(table())


def overwritten(folder: Path) -> None:
    (folder / "a.txt").write_text("b")


def say_too_much(folder: Path) -> None:
    raise ValueError("gt " * 999)


BAD = {
    "a traceback": (lambda _: {}["x"], "KeyError"),
    "a word too few": (lambda _: int("x"), "does not name gt"),
    "killed": (lambda _: os.kill(os.getpid(), signal.SIGKILL), "ended with -9"),
    "a flood": (lambda _: len(bytearray(b"x") * (400 << 20)), "MiB"),
    "an input overwritten": (overwritten, "changed a.txt"),
    "a file left": (lambda folder: ((folder / "b.txt").write_text(""), int("gt")), "left b.txt"),
    "a warning": (lambda _: os.write(2, b"x.py:1: UserWarning: gt"), "a warning of a library"),
    "a blank line": (lambda _: os.write(2, b"gt\n\n"), "a blank line"),
    "a long message": (say_too_much, "a message of"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_may_never_happen_is_noticed(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bad_input.child.MEMORY", 300)
    call, said = BAD[what]
    case = Case("x", what, call=call, change=lambda folder: (folder / "a.txt").write_text("a"), names="gt")
    assert any(said in fault for fault in run_case(case, tmp_path, tmp_path).faults)


def test_a_flood_is_noticed_in_a_process_that_has_had_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = bytearray(b"x") * (500 << 20)
    del held
    test_what_may_never_happen_is_noticed("a flood", tmp_path, monkeypatch)


def test_as_much_memory_as_a_case_may_have_is_no_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bad_input.child.MEMORY", 300)
    case = Case("x", "y", call=lambda _: len(bytearray(b"x") * (200 << 20)), names="")
    assert not any("MiB" in fault for fault in run_case(case, tmp_path, tmp_path).faults)


def test_a_hang_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bad_input.processes.SECONDS", 0.2)
    found = run_case(Case("x", "y", call=lambda _: time.sleep(60)), tmp_path, tmp_path)
    assert (found.outcome, found.status) == ("hang", None)
