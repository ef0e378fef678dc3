"""The line that a training shows on a terminal: what is done, the time left, the last PQ, and the losses that fit."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHORT_NAMES = {
    "panoptic": "P",
    "potential": "Psi",
    "semantic": "V",
    "box_class": "class",
    "box_regression": "box",
    "mask": "mask",
    "rpn_objectness": "rpn",
    "rpn_box": "rpn box",
}
"""What the line calls the losses, in its order; others follow under their own names. log.csv has the full ones."""
BAR_WIDTH = 10
_TIME, _QUALITY, _GAPS = len("0:00:00"), len("PQ 00.0"), 4
"""Columns on a terminal; between columns rich leaves one."""


def losses_that_fit(losses: Mapping[str, float], width: int) -> str:
    """As many losses as `width` columns hold, each whole.

    >>> losses_that_fit({"mask": 0.5, "panoptic": 1.25, "semantic": 2.0}, 16)
    'P 1.25  V 2.00'
    """
    text = ""
    for name in [*(name for name in SHORT_NAMES if name in losses), *(losses.keys() - SHORT_NAMES.keys())]:
        longer = f"{text}  {SHORT_NAMES.get(name, name.replace('_', ' '))} {losses[name]:.2f}".lstrip()
        if len(longer) > width:
            break
        text = longer
    return text


@contextmanager
def training_line(
    console: Console, total: int, done: int, quality: Callable[[], float | None], hidden: bool = False
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Give a function that counts an iteration and shows its losses.

    Args:
        console: to draw on; nothing is drawn if it is no terminal.
        total: iterations of the training.
        done: iterations before this call.
        quality: gives the last PQ, as a fraction, or None before the first validation.
        hidden: draw nothing.
    """
    columns = (
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("PQ {task.fields[quality]:>4}"),
        BarColumn(BAR_WIDTH),
        TextColumn("{task.fields[losses]}"),
    )
    used = len(f"{total}/{total}") + _TIME + _QUALITY + BAR_WIDTH + _GAPS
    if hidden or not console.is_terminal:  # rich would print an empty line instead of the bar
        yield lambda _: None
        return
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("train", total=total, completed=done, losses="", quality="-")

        def advance(losses: dict[str, float]) -> None:
            last = quality()
            shown = "-" if last is None else f"{100 * last:.1f}"
            room = console.width - used
            progress.update(task, advance=1, losses=losses_that_fit(losses, room), quality=shown)

        yield advance
