"""A progress bar on standard error."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int) -> Generator[Callable[[], None], None, None]:
    """Show a bar while the block runs; what it gives is called, by any thread, after each of `total` items.

    Where standard error is no terminal nothing is shown, and rich is not imported.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
