"""A signal stops work where nothing is lost, and a second one at once."""

import os
import pickle
import signal
import time
from multiprocessing import get_context

import pytest

from unipan.stopping import StoppedBySignal, StopSignals, stopped_by

BOTH = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@BOTH
def test_a_signal_ends_work_that_need_not_be_saved(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedBySignal, match=signal.Signals(number).name) as stop, StopSignals():
        os.kill(os.getpid(), number)
    assert stop.value.exit_code == code
    assert signal.getsignal(number) == before


@BOTH
def test_a_deferred_signal_is_noted_and_a_second_one_is_not_deferred(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with StopSignals("soon") as signals:
        with signals.deferred():
            assert signals.received is None
            os.kill(os.getpid(), number)
            assert signals.received == number
            assert f"{signal.Signals(number).name}: soon" in capsys.readouterr().err
            with pytest.raises(StoppedBySignal):
                os.kill(os.getpid(), number)
            with pytest.raises(StoppedBySignal), signals.at_once():
                pytest.fail("what may be ended at any time is not begun")
        with pytest.raises(StoppedBySignal) as stop:
            signals.check()
    assert stop.value.exit_code == code


@BOTH
def test_one_inside_another_takes_over(number: int, code: int) -> None:
    with StopSignals():
        with StopSignals() as inner, inner.deferred():
            os.kill(os.getpid(), number)
        assert inner.received == number
        with pytest.raises(StoppedBySignal) as stop:
            os.kill(os.getpid(), number)
    assert stop.value.exit_code == code


@BOTH
def test_a_repeated_signal_cuts_no_cleaning(number: int, code: int) -> None:
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)  # as from `timeout`, to the process and to its group
            cleaned.append(number)

    with pytest.raises(StoppedBySignal) as stop, StopSignals(), StopSignals():
        work()
    assert (stop.value.exit_code, cleaned) == (code, [number])


def test_handlers_of_others_and_ignored_signals_stay() -> None:
    """A shell's background job ignores SIGINT, and nohup means it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals, signals.deferred():
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_forked_worker_leaves_signals_to_its_owner() -> None:
    with StopSignals():
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_it_comes_back_from_another_process() -> None:
    found = pickle.loads(pickle.dumps(StoppedBySignal(signal.SIGTERM, "words")))
    assert (str(found), found.exit_code) == ("words", 143)


def test_an_event_of_another_process_is_a_signal() -> None:
    event = get_context("spawn").Event()
    with StopSignals() as signals, signals.deferred(), stopped_by(event, signals):
        assert signals.received is None
        event.set()
        end = time.monotonic() + 30
        while signals.received is None and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(StoppedBySignal, match="SIGTERM"):
            signals.check()
    with StopSignals() as signals, stopped_by(None, signals):
        signals.check()
