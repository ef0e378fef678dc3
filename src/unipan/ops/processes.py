"""Processes that do not outlive the one that began them."""

import os
import threading
from multiprocessing import parent_process


def end_with_parent() -> None:
    """End this process as soon as its parent is gone, however it went; the `initializer` of a pool.

    A pool's process otherwise finishes what it is at: a killed command would go on training, unseen, into the folders
    that the next one writes to. Does nothing in a process that multiprocessing did not begin.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # sys.exit would only end this thread

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
