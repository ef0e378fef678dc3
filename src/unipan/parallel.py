"""Work on many items over several cores: in forked processes where that is safe, otherwise in threads, if it pays.

Threads of Python hardly gain from a second core when items take milliseconds, since much of each holds the
interpreter's lock; kornia-rs decodes a PNG without letting go of it. Processes begun in another way than by fork would
import everything once more each, and run the user's script again where it has no `if __name__ == "__main__"`.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from unipan.processes import end_with_parent, keep_freed_memory

if TYPE_CHECKING:
    from concurrent.futures import Executor

R = TypeVar("R")

_FIRST_CHUNK = 4  # items after which it is known how long one takes
_LARGEST_CHUNK = 32  # items whose result one process sends at once
_PAYS = 0.1  # seconds of work: below, beginning other processes takes longer than they save


def in_chunks(
    work: Callable[[range], R],
    count: int,
    workers: int | None = None,
    each: Callable[[], object] = lambda: None,
    fork: bool = True,
) -> list[R]:
    """`work` of consecutive ranges that together are `range(count)`, in order.

    Args:
        work: of one range. An exception ends everything.
        count: of all items.
        workers: as many as there are cores unless given.
        each: called once per item when its range is done, in this process and thread.
        fork: whether what `work` returns can be pickled, so that it may run in other processes.

    Raises:
        MemoryError: a process was killed, most likely because memory ran out.
    """
    workers = max(1, min(workers or available_cores(), count))
    found: list[R] = []
    done, start = 0, time.perf_counter()
    while done < count and (
        workers == 1 or done == 0 or (time.perf_counter() - start) / done * (count - done) <= _PAYS
    ):
        chunk = range(done, min(done + (_LARGEST_CHUNK if workers == 1 else _FIRST_CHUNK), count))
        found.append(_announced(work(chunk), chunk, each))
        done = chunk.stop
    return found + _in_parallel(work, range(done, count), workers, each, fork) if done < count else found


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int | None) -> Generator[int | None, None, None]:
    """Inside, PyTorch's operations have `count` threads each, also in threads that begin there; gives the count before.

    None leaves them as they are. Where PyTorch was not imported nothing happens.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield None
        return
    before = torch.get_num_threads()
    if count is None:
        yield before
        return
    torch.set_num_threads(count)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def _in_parallel(
    work: Callable[[range], R], items: range, workers: int, each: Callable[[], object], fork: bool
) -> list[R]:
    from concurrent.futures import BrokenExecutor  # imported where it pays: 20 ms

    size = max(1, min(_LARGEST_CHUNK, -(-len(items) // (4 * workers))))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    pool, call = _executor(work, workers, fork and _may_fork())
    try:
        futures = [pool.submit(call, chunk) for chunk in chunks]
        return [_announced(future.result(), chunk, each) for future, chunk in zip(futures, chunks, strict=True)]
    except BrokenExecutor as error:
        raise MemoryError(
            "a process that scored images was killed; if memory ran out, fewer at once need less (--threads 1)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted command does not finish the dataset first


def _announced(result: R, chunk: range, each: Callable[[], object]) -> R:
    for _ in chunk:
        each()
    return result


def _executor(work: Callable[[range], Any], workers: int, fork: bool) -> "tuple[Executor, Callable[[range], Any]]":
    """The pool, and what to submit to it."""
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    if not fork:
        return ThreadPoolExecutor(workers), work
    from multiprocessing import get_context

    # A forked process has `work` already: it and all that it refers to are neither copied nor pickled.
    return ProcessPoolExecutor(workers, get_context("fork"), _begin, (work,)), _work_of


def _may_fork() -> bool:
    """Linux alone forks safely, a program without other threads that might hold a lock, and no pool's process may."""
    from multiprocessing import current_process

    return sys.platform == "linux" and threading.active_count() == 1 and not current_process().daemon


_inherited: Callable[[range], Any]


def _begin(work: Callable[[range], Any]) -> None:
    global _inherited  # noqa: PLW0603  a pool's process serves one piece of work
    _inherited = work
    gc.freeze()  # the collector would touch, and so copy, every page that the processes share
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which a pool that has lost a process ends its others
    end_with_parent()
    keep_freed_memory()


def _work_of(chunk: range) -> Any:
    return _inherited(chunk)
