"""SIGINT and SIGTERM end work where nothing is lost; a second one ends it at once.

`unipan.cli` has a `StopSignals` around every verb, so that what a verb has begun is cleaned up; a verb whose work is
kept has one of its own inside.

Schedulers send SIGTERM some seconds before they kill (SLURM 30, torchrun 30, Kubernetes 30 by default).
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from unipan.terminal import tell

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

_LOOK_FOR_SIGNALS = 0.2  # seconds
_ONE_STOP = 1.0  # seconds in which several signals are one: `timeout` sends two, to the process and to its group


class StoppedBySignal(KeyboardInterrupt):
    """Work was ended by a signal.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, words: str = "") -> None:
        super().__init__(words or f"stopped by {signal.Signals(number).name}")
        self.number = number

    def __reduce__(self) -> tuple[type["StoppedBySignal"], tuple[int, str]]:
        return type(self), (self.number, str(self))  # it may come from another process

    @property
    def exit_code(self) -> int:
        """What shells give for this signal: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


class StopSignals:
    """Inside `with`, both signals raise `StoppedBySignal`; inside `deferred`, the first one is only noted.

    Once one was raised, others do nothing for a second, in which temporary files are removed. Inside another
    `StopSignals` this one takes over.

    >>> with StopSignals() as signals, signals.deferred():
    ...     signals.received is None
    True

    Attributes:
        received: the signal that came while they were deferred; None if there was none.
    """

    def __init__(self, say: str = "") -> None:
        """`say` is printed to stderr when a signal is deferred."""
        self.received: int | None = None
        self._say = say
        self._deferred = 0
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}
        self._raised: float | None = None

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there alone
            for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
                # One that ignores them (nohup, a shell's background job) or has its own handler keeps that.
                if (found := signal.getsignal(number)) == default or _signals_of(found) is not None:
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
            if (around := _signals_of(handler)) is not None:
                around._raised = self._raised
        self._before.clear()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A signal is noted in `received`, and the work looks there when it may stop."""
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within `deferred`, a part that may be ended anywhere. Raises StoppedBySignal for one that has come."""
        kept, self._deferred = self._deferred, 0
        try:
            self.check()
            yield
        finally:
            self._deferred = kept

    def request(self, number: int) -> None:
        """Note a signal that another thread tells of, as if it had come while signals were deferred."""
        self.received = self.received or number

    def check(self) -> None:
        """Raises StoppedBySignal if a signal has come."""
        if self.received is not None:
            raise StoppedBySignal(self.received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked worker goes on until its owner ends it
            return
        if not self._deferred or self.received is not None:
            if self._raised is None or time.monotonic() - self._raised > _ONE_STOP:
                self._raised = time.monotonic()
                raise StoppedBySignal(number)
            return
        self.received = number
        if self._say:
            tell(f"unipan: {signal.Signals(number).name}: {self._say}", error=True)


def _signals_of(handler: Any) -> StopSignals | None:
    """The `StopSignals` that a handler belongs to, if any."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, StopSignals) else None


@contextmanager
def stopped_by(event: "Event | None", signals: StopSignals) -> Iterator[None]:
    """Inside, an event that another process sets is a SIGTERM; None is no event.

    The processes of a pool ignore the signals themselves, as one that goes to the whole group would count twice.
    """
    over = threading.Event()

    def watch() -> None:
        while event is not None and not over.is_set():
            if event.wait(_LOOK_FOR_SIGNALS):
                signals.request(signal.SIGTERM)
                return

    threading.Thread(target=watch, name="stopped by an event", daemon=True).start()
    try:
        yield
    finally:
        over.set()
