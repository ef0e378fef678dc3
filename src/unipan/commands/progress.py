"""Progress bars on standard error that disappear when the work is done."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress_bar(label: str, total: int) -> Generator[Callable[..., None], None, None]:
    """Give a function that counts one step, whatever it is called with and from any thread."""
    with progress_of(label, total) as update:
        done = 0

        def advance(*_: object) -> None:
            nonlocal done
            done += 1
            update(done, total)

        yield advance


@contextmanager
def progress_of(label: str, total: int | None = None) -> Generator[Callable[[int, int], None], None, None]:
    """Give a function to call with what is done, of how much.

    Where standard error is no terminal nothing is shown, and rich is not imported.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done, total: progress.update(task, completed=done, total=total)
