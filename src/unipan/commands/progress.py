"""A progress bar on standard error that disappears when the work is done."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress_bar(label: str, total: int) -> Generator[Callable[..., None], None, None]:
    """Give a function that counts one step, in any thread and whatever it is called with.

    Where standard error is no terminal nothing is shown, and rich is not imported.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda *_: progress.advance(task)
