"""A small training of two processes, as the command begins them, and what is left once one of them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.training.two_processes import SMALL

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
BOUND = 15.0
"""Seconds after which docs/reliability.md promises that the command has ended."""


class TwoProcesses:
    """`unipan train scenes --devices 2`; the state is saved in every iteration.

    Args:
        out: folder of the run; what the command says goes into a file beside it.
        more: options.
    """

    def __init__(self, out: Path, *more: str) -> None:
        self._log, self._said = out / "log.csv", out.with_name(f"{out.name}-said.txt")
        command = [sys.executable, "-m", "unipan", "train", "scenes", "--out", str(out), *SMALL.split()]
        with self._said.open("w") as said:
            self.command = subprocess.Popen(
                [*command, "--save-minutes", "0.001", *more],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    @property
    def rows(self) -> int:
        return len(self._log.read_text().splitlines()) - 1 if self._log.is_file() else 0

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait_for_row(self, seconds: float = 240.0) -> None:
        """Until one more row of log.csv is there than now. Raises AssertionError if there is none."""
        end, before = time.monotonic() + seconds, self.rows
        while self.rows <= before:
            assert self.command.poll() is None, self.said
            assert time.monotonic() < end
            time.sleep(0.02)

    def kill(self, rank: int) -> tuple[float, float]:
        """Kill one of the two; returns the seconds until the command has ended, and until no process of it is left."""
        began = time.monotonic()
        everyone = descendants(self.command.pid)
        second = next(pid for pid in everyone if parent_of(pid) == self.command.pid and b"unipan" in command_of(pid))
        os.kill(second if rank else self.command.pid, signal.SIGKILL)
        self.command.wait(120)
        ended = time.monotonic() - began
        while any(parent_of(pid) is not None for pid in everyone):
            assert time.monotonic() - began < 120, everyone
            time.sleep(0.02)
        return ended, time.monotonic() - began


def parent_of(pid: int) -> int | None:
    """None if the process does not run, or is a zombie, which nobody waits for in a container without init."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    """All processes that one has begun, and those that these have, and so on."""
    parents = {int(each.name): parent_of(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]
