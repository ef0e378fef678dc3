"""A progress bar on standard error that disappears when the work is done."""

from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress_bar(label: str, total: int) -> Generator[Callable[..., None], None, None]:
    """Give a function that counts one step, whatever it is called with."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda *_: progress.advance(task)


@contextmanager
def progress_of(label: str) -> Generator[Callable[[int, int], None], None, None]:
    """Give a function to call with what is done, of how much."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
