"""The processes of a run that one command has begun on a machine: when one of them dies, the command says so and ends.

Lightning Fabric begins them. Its own observer looks every 5 seconds and then kills them all, the first one too, so
that nobody says what has happened or how to go on; this takes its place. Processes that torchrun or srun have started
are left to those.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

from lightning_fabric import Fabric

from unipan.terminal import tell
from unipan.training.failures import how_to_continue, is_lost_process

BEGUN_BY = "UNIPAN_BEGUN_BY"
"""The environment variable that tells a process which one has begun it."""
LOOK = 0.2
"""Seconds between two looks at the others."""
NEWS = 2.0
"""A dead process closes its connections before the system tells that it is dead: so many seconds at most."""
GRACE = 8.0
"""Seconds in which a process may notice by itself that another one has died: with gloo at once, or when the loader
workers of the dead one, which hold its connections, have ended as well. One that computes, or waits in NCCL for
minutes, is ended then."""
CLOSING = 5.0
"""Seconds in which it may close what is open, after it has said why it ends."""


class OtherProcesses:
    """Inside `with`, a dead process of the run ends this one too, from `watch` on.

    Args:
        out: folder of the run, for what is said.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._count, self._tells = 1, True
        self._parent: int | None = None
        self._launched: list[subprocess.Popen[bytes]] = []
        self._begun: list[subprocess.Popen[bytes]] = []
        self._lost: str | None = None
        self._seen, self._over = threading.Event(), threading.Event()
        self._failed = False

    def __enter__(self) -> "OtherProcesses":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._failed = kind is not None
        self._over.set()

    def watch(self, fabric: Fabric, count: int) -> None:
        """Look after the `count` processes of a run that `fabric.launch()` is about to begin or to join.

        Raises:
            ValueError: the process that has begun this one has ended.
            SystemExit: so it has, and another process says it.
        """
        begun_by, rank = os.environ.get(BEGUN_BY), os.environ.get("LOCAL_RANK", "0")
        self._count = count
        if rank != "0" and begun_by is not None:
            self._parent = int(begun_by)
            self._tells = rank == "1"  # one sentence, however many are left
            self._lost = self._look()
            if self._lost is not None:
                raise ValueError(self._sentence()) if self._tells else SystemExit(1)
        if count > 1:
            if rank == "0":
                os.environ[BEGUN_BY] = str(os.getpid())
                self._launched = getattr(fabric.strategy.launcher, "procs", [])
            threading.Thread(target=self._watch, name="other processes", daemon=True).start()

    def explain(self, error: Exception) -> str | None:
        """The sentence for an error that a dead process has caused; None for any other, or where none is known.

        Raises:
            SystemExit: another process says it.
        """
        if not is_lost_process(error) or not (self._begun or self._parent):
            return None
        # The first process hears of it at once; the others wait for it to end them, or to be the dead one.
        if not self._seen.wait(NEWS if self._begun else GRACE):
            return None
        if not self._tells:
            raise SystemExit(1)
        return self._sentence()

    def _watch(self) -> None:
        while (lost := self._look()) is None:
            if self._over.wait(LOOK):
                return
        self._lost = lost
        self._seen.set()
        if not self._over.wait(GRACE):
            if self._tells:
                tell(f"unipan: {self._sentence()}", error=True)
        elif self._failed:
            time.sleep(CLOSING)
        else:
            return
        self._kill()
        os._exit(1)

    def _look(self) -> str | None:
        """Who has died, and how; None as long as nobody has."""
        if self._parent is not None and os.getppid() != self._parent:
            return (
                f"the first process of this run ({self._parent}) has ended; what it said last stands above, and "
                "memory is the first thing to look at if it was killed"
            )
        while self._launched:  # the observer has the same list, and ends where there is no process
            self._begun.append(self._launched.pop(0))
        for process in self._begun:
            code = process.poll()
            if not code:
                continue
            who = f"process {process.pid}, one of the {self._count} of this run,"
            if code > 0:
                return f"{who} has ended with an error, which stands above"
            self._kill()
            return f"{who} was killed ({_signal_name(-code)}); memory is the first thing to look at"
        return None

    def _kill(self) -> None:
        for process in self._begun:
            process.kill()

    def _sentence(self) -> str:
        return f"training: {self._lost}; {how_to_continue(self._out)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
