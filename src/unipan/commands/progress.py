"""Progress bars on standard error that disappear when the work is done."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from unipan.terminal import lasting_stream

T = TypeVar("T")

_REFRESH = 0.1  # seconds


@contextmanager
def progress_bar(label: str, total: int) -> Generator[Callable[..., None], None, None]:
    """Give a function that counts one step, whatever it is called with."""
    with progress_of(label, total) as update:
        done = 0

        def advance(*_: object) -> None:
            nonlocal done
            done += 1
            update(done, total)

        yield advance


def tracked(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """The items, with a bar that counts those that are done."""
    with progress_bar(label, total) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def progress_of(
    label: str, total: int | None = None, unit: str = ""
) -> Generator[Callable[[int, int], None], None, None]:
    """Give a function to call with what is done, of how much. `unit` is of the pace, as images/s; none without it.

    Where standard error is no terminal, or is not there, nothing is shown, and rich is not imported.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    # Without rich's own thread, beside which no process may be forked (see unipan.parallel).
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[pace]}"))
    with Progress(
        *columns, console=Console(file=lasting_stream(sys.stderr)), transient=True, auto_refresh=False
    ) as progress:
        task = progress.add_task(label, total=total, pace="")
        progress.refresh()
        shown = time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal shown
            speed = progress.tasks[0].speed if unit else None
            progress.update(task, completed=done, total=total, pace=f"{speed:.1f} {unit}" if speed else "")
            if time.monotonic() - shown > _REFRESH:
                progress.refresh()
                shown = time.monotonic()

        yield update
