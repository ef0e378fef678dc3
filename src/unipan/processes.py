"""Processes that do not outlive the one that began them, and the memory that they take."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path


def end_with_parent() -> None:
    """End this process as soon as its parent is gone, however it went; the `initializer` of a pool.

    A pool's process otherwise finishes what it is at: a killed command would go on training, unseen, into the folders
    that the next one writes to. Does nothing in a process that multiprocessing did not begin.
    """
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # sys.exit would only end this thread

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def peak_memory() -> int | None:
    """Bytes of this process that were ever resident at once; None where Python cannot tell (Windows)."""
    # Linux's getrusage also counts what the process had before it began this program, so a process that a large one
    # has begun (a notebook, a test) would have the peak of that one.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, kilobytes elsewhere
    return getrusage(RUSAGE_SELF).ru_maxrss * unit


def resident_memory() -> int | None:
    """Bytes of this process that are resident now; None where the system does not say (not Linux)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def available_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where the system does not say (not Linux).

    In a container the smaller of the machine's and the container's own (cgroup v2, memory.max).
    """
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        most, taken = (int((Path("/sys/fs/cgroup") / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or "max"
        return free
    return min(free, max(most - taken, 0))


def short_of_memory(error: Exception) -> bool:
    """Whether Python, NumPy, OpenCV, torch's allocator of the CPU or that of a GPU got no memory."""
    names = {kind.__name__ for kind in type(error).__mro__}  # torch may never have been imported
    words = ("DefaultCPUAllocator", "Insufficient memory")  # torch's and OpenCV's
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(each in str(error) for each in words)


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, for its next pictures; does nothing where the C library is not glibc.

    By default glibc returns large blocks to the system at once, and asking for them again costs a page fault for every
    4 KB: about 800 for a pair of 640 x 480 maps, which doubles the time that counting takes.
    """
    if sys.platform != "linux":
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # malloc.h: M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1
    if mallopt is not None:
        mallopt(-3, 1 << 24)  # what is larger, as a whole JSON, goes back
        mallopt(-1, 1 << 27)
