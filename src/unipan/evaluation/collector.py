"""Python's cyclic garbage collector, paused while data without cycles is made by the million."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector; as a context or a decorator, and as it was before when that ends, errors included.

    Rows of a JSON and segments of maps hold no cycles: counting references frees them, and the collector only walks
    over them again and again (4 % of the wall time of 640x480 maps, benchmarks/evaluation.py). It is paused for all
    threads of the process: not for work that may go on for hours.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
