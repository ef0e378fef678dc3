"""One of two processes is killed: the command ends soon, says in one sentence what has happened, and can be resumed."""

import csv
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from tests.training.killed_processes import BOUND, ENVIRONMENT, ROOT, TwoProcesses, parent_of
from unipan.training.other_processes import BEGUN_BY, OtherProcesses

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="looks into /proc")


def sentence_of(said: str) -> str:
    """The only one."""
    assert "Traceback" not in said
    [sentence] = [line for line in said.splitlines() if line.startswith("unipan: ")]
    return sentence


def test_one_of_two_processes_is_killed_and_the_run_goes_on(tmp_path: Path, announce: Callable[[str], None]) -> None:
    """The second one, then the first one, each with a loader worker."""
    out, measured = tmp_path / "run", []
    options = ["--train.iterations", "12", "--train.validations", "6", "--train.num-workers", "1"]
    for rank, status in ((1, 1), (0, -9)):
        run = TwoProcesses(out, *options, *(["--resume"] if rank == 0 else []))
        run.wait_for_row()
        ended, gone = run.kill(rank)
        assert ended < BOUND
        assert gone < BOUND
        assert run.command.returncode == status
        sentence = sentence_of(run.said)
        killed = r"process \d+, one of the 2 of this run, was killed \(SIGKILL\)"
        assert re.search(killed if rank else r"the first process of this run \(\d+\) has ended", sentence)
        assert "memory is the first thing to look at" in sentence
        assert f"the same command with --resume continues from {out / 'resume'}" in sentence
        measured.append(f"process {rank + 1} killed: ended after {ended:.1f} s, nothing left after {gone:.1f} s")
    run = TwoProcesses(out, *options, "--resume")
    assert run.command.wait(300) == 0, run.said
    with (out / "log.csv").open(newline="") as file:
        assert [row["iteration"] for row in csv.DictReader(file)] == [str(2 * number) for number in range(1, 7)]
    assert not list(out.rglob("*.tmp"))
    announce("; ".join(measured))


BUSY = """
import subprocess, sys, time
from pathlib import Path
from types import SimpleNamespace
from unipan.training.other_processes import OtherProcesses
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
procs = [subprocess.Popen([sys.executable, "-c", sys.argv[2]]), other]
strategy = SimpleNamespace(launcher=SimpleNamespace(procs=procs))
print(other.pid, flush=True)
with OtherProcesses(Path(sys.argv[1])) as others:
    others.watch(SimpleNamespace(strategy=strategy), 3)
    time.sleep(1)
    assert procs == []  # Fabric's observer has nothing to look at
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", "was killed (SIGKILL); memory is the first thing to look at"),
        ("raise SystemExit(1)", "has ended with an error, which stands above"),
    ],
)
def test_a_process_that_does_not_notice_is_ended(how: str, told: str, tmp_path: Path) -> None:
    """It computes, or waits for the dead one in NCCL."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(tmp_path), how],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert time.monotonic() - start < 50
    assert done.returncode == 1
    sentence = sentence_of(done.stderr)
    assert f"one of the 3 of this run, {told}; no step was done, so the same command begins anew" in sentence
    assert parent_of(int(done.stdout)) is None


def test_of_several_that_are_left_one_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the first process is dead, before they meet or later: the second one; there would be a sentence each."""
    fabric, lost = Fabric(accelerator="cpu", devices=1), RuntimeError("gloo: Connection closed by peer [127.0.0.1]:243")
    monkeypatch.setenv(BEGUN_BY, str(os.getppid()))
    for rank in (1, 2):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        with monkeypatch.context() as patch, OtherProcesses(tmp_path) as others:
            others.watch(fabric, 1)  # a thread would end this process
            patch.setattr(os, "getppid", lambda: 1)
            others._lost = others._look()
            others._seen.set()
            assert others.explain(ValueError("a fault of ours")) is None
            for act in (lambda: others.explain(lost), lambda: others.watch(fabric, 1)):
                if rank == 1:
                    assert "the first process of this run" in said_by(act)
                else:
                    with pytest.raises(SystemExit, match="1"):
                        act()


def said_by(act: Callable[[], object]) -> str:
    try:
        return str(act())
    except ValueError as error:
        return str(error)
