"""Work in ranges: in order, each item once, on threads and in forked processes; what fails ends everything."""

import os
import subprocess
import sys
import threading
import time

import pytest

from unipan.parallel import in_chunks


@pytest.mark.parametrize("count", [1, 2, 31, 47, 48, 500])
@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_ranges_cover_all_items_in_order(count: int, workers: int | None) -> None:
    seen: list[int] = []
    found = in_chunks(list, count, workers, lambda: seen.append(threading.get_ident()))
    assert [item for part in found for item in part] == list(range(count))
    assert seen == [threading.get_ident()] * count


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_ends_the_work(workers: int) -> None:
    done: list[range] = []

    def work(chunk: range) -> None:
        if 7 in chunk:
            raise ValueError("seven")
        done.append(chunk)

    with pytest.raises(ValueError, match="seven"):
        in_chunks(work, 10_000, workers)
    assert len(done) < 300


SCRIPT = """
import os, signal, sys, time
from unipan.parallel import in_chunks
def work(chunk):
    time.sleep(0.01 * len(chunk))
    if 50 in chunk and sys.argv[1] == "raise":
        raise KeyError("fifty")
    if 50 in chunk and sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), chunk
try:
    found = in_chunks(work, 100, 2)
    assert [item for _, chunk in found for item in chunk] == list(range(100))
    print("forked", len({pid for pid, _ in found}) > 1)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
@pytest.mark.parametrize(
    ("what", "shown"), [("nothing", "forked True"), ("raise", "KeyError"), ("killed", "--threads 1")]
)
def test_processes_are_forked_where_no_thread_may_hold_a_lock(what: str, shown: str) -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT, what], capture_output=True, text=True, check=False)
    assert shown in found.stdout
    assert found.stderr == ""


def slow(chunk: range) -> set[tuple[int, int]]:
    time.sleep(0.01 * len(chunk))
    return {(os.getpid(), threading.get_ident())}


def test_nothing_is_forked_beside_other_threads() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        found = set[tuple[int, int]]().union(*in_chunks(slow, 100, 3))
    finally:
        stop.set()
        thread.join()
    assert {process for process, _ in found} == {os.getpid()}
    assert len(found) > 1


def test_quick_work_stays_where_it_is() -> None:
    here = (os.getpid(), threading.get_ident())
    assert set(in_chunks(lambda chunk: (os.getpid(), threading.get_ident()), 30, 4)) == {here}
