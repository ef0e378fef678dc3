"""Cases that share a process come out as they do alone."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.bad_input.case import Case, Outcome
from tests.bad_input.processes import outcomes_of


def _pid(_: Path) -> int:
    return os.getpid()


def _kill(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _leave(folder: Path) -> None:
    (folder / "left").write_text("")
    os.environ["LEFT"] = "x"
    os.chdir("/")


def _traces(folder: Path) -> str:
    return f"{(folder / 'left').exists()} {'LEFT' in os.environ} {Path.cwd() == folder}"


def _outcomes(tmp_path: Path, *cases: Case, together: int = 50, expected: bool = True) -> list[Outcome]:
    return [*outcomes_of(cases, tmp_path, tmp_path, lambda case, outcome: expected, together)]


def test_as_many_share_a_process_as_may(tmp_path: Path) -> None:
    cases = [Case("x", str(number), call=_pid) for number in range(5)]
    pids = [outcome.result for outcome in _outcomes(tmp_path, *cases, together=2)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    assert len({outcome.result for outcome in _outcomes(tmp_path, *cases, together=1)}) == 5


def test_what_was_not_expected_is_asked_of_a_process_of_its_own(tmp_path: Path) -> None:
    cases = [Case("x", str(number), call=_pid) for number in range(3)]
    assert len({outcome.result for outcome in _outcomes(tmp_path, *cases, expected=False)}) == 3


def test_what_may_never_happen_counts_also_if_it_does_not_happen_again(tmp_path: Path) -> None:
    def once(_: Path) -> int:
        seen = tmp_path / "seen"
        if not seen.exists():
            seen.write_text("")
            raise KeyError("once")
        return 0

    cases = [Case("x", "a", call=once), Case("x", "b", call=_pid)]
    first, second = outcomes_of(cases, tmp_path, tmp_path, lambda case, outcome: not outcome.faults)
    assert (first.outcome, first.faults, first.again) == ("right", ("beside other cases: KeyError: 'once'",), True)
    assert (second.faults, second.again) == ((), False)


def test_a_death_is_that_of_one_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bad_input.processes.SECONDS", 0.5)
    calls = (_pid, _kill, _pid, lambda _: time.sleep(60), _pid)
    found = _outcomes(tmp_path, *(Case("x", str(number), call=call) for number, call in enumerate(calls)))
    assert [(outcome.outcome, outcome.status) for outcome in found] == [
        ("right", 0), ("killed", -signal.SIGKILL), ("right", 0), ("hang", None), ("right", 0),
    ]  # fmt: skip


def test_nothing_of_a_case_reaches_the_next(tmp_path: Path) -> None:
    cases = (Case("x", "a", call=_leave, makes=("left",)), Case("x", "b", call=_traces))
    assert [outcome.result for outcome in _outcomes(tmp_path, *cases)] == ["None", "False False True"]


def test_a_folder_that_was_left_as_it_was_serves_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")

    def inode(folder: Path) -> int:
        return (folder / "a.txt").stat().st_ino

    def overwrite(folder: Path) -> int:
        (folder / "a.txt").unlink()
        (folder / "a.txt").write_text("b")
        return 0

    calls = (inode, inode, overwrite, lambda folder: (folder / "a.txt").read_text())
    cases = [Case("x", str(number), call=call, uses=("a.txt",)) for number, call in enumerate(calls)]
    first, second, third, fourth = _outcomes(tmp_path, *cases)
    assert first.result == second.result
    assert third.faults == ("changed a.txt",)
    assert fourth.result == "a"
