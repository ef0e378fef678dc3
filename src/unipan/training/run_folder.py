"""The folder of a run: log.csv, notes, TensorBoard events, checkpoints, and the state to resume from."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unipan.checkpoint import config_from_dict
from unipan.config import Config
from unipan.files import write_atomically
from unipan.terminal import printable
from unipan.training.options import RESUME_STATE, resume_state

FIGURES = ("pq", "pq_things", "pq_stuff", "psi_pq", "psi_pq_things", "psi_pq_stuff", "miou")
"""Columns of log.csv that a validation fills; every loss term also has a column."""

RESUMED = {"network", "average", "optimizer", "progress", "config"}
"""What the state to resume from holds; see `Trainer.state`."""
NOT_RESUMED = "start the run afresh in another --out, with --init RUN/last.safetensors to keep what it has learned"


class RunRecord:
    """The folder of a run.

    Args:
        folder: made if missing.
        every: iterations per row of log.csv; each row holds their mean losses.
        quiet: print nothing.
        origin: what a resume must not change besides the config: data and number of processes.
    """

    def __init__(
        self, folder: Path, every: int = 20, quiet: bool = False, origin: dict[str, Any] | None = None
    ) -> None:
        self.folder, self.every, self.origin = folder, every, origin or {}
        self.console = Console(quiet=quiet)
        folder.mkdir(parents=True, exist_ok=True)
        self._sums: dict[str, float] = {}
        self._count, self._seconds = 0, 0.0
        self._board: Any = None
        self._resumed_at: int | None = None

    def say(self, text: str) -> None:
        """Print a line and append it to notes.txt."""
        text = printable(text)
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)
        with (self.folder / "notes.txt").open("a") as file:
            file.write(text + "\n")

    @contextmanager
    def progress_bar(self, total: int, done: int, wanted: bool) -> Iterator[Callable[[dict[str, float]], None]]:
        """A bar with losses and remaining time, which the given function moves; none if there is no terminal."""
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[losses]}"))
        hidden = not (wanted and self.console.is_terminal)
        with Progress(*columns, console=self.console, disable=hidden) as progress:
            task = progress.add_task("train", total=total, completed=done, losses="")

            def advance(losses: dict[str, float]) -> None:
                shown = "  ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in losses.items())
                progress.update(task, advance=1, losses=shown)

            yield advance

    def log(
        self,
        iteration: int,
        rate: float,
        losses: dict[str, float],
        seconds: float,
        figures: dict[str, float] | None,
        last: bool = False,
    ) -> None:
        """Add one iteration; every `every`-th one and every validation writes a row of averages."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        self._seconds += seconds
        if iteration % self.every and not last:
            return
        row: dict[str, Any] = {"iteration": iteration, "lr": f"{rate:.3g}", "seconds": f"{self._seconds:.1f}"}
        row |= {name: f"{value / self._count:.4f}" for name, value in self._sums.items()}
        row |= dict.fromkeys(FIGURES, "") | {name: f"{value:.4f}" for name, value in (figures or {}).items()}
        self._write(row)
        self._sums, self._count, self._seconds = {}, 0, 0.0
        if figures:
            self.say(
                f"iteration {iteration}: PQ {100 * figures['pq']:.1f} (things {100 * figures['pq_things']:.1f}, stuff "
                f"{100 * figures['pq_stuff']:.1f}), of Psi {100 * figures['psi_pq']:.1f}"
            )

    def _write(self, row: dict[str, Any]) -> None:
        columns, rows = self._read_log()
        if not row.keys() <= set(columns):  # a new log, or one that lacks a column
            self._write_log([*columns, *(name for name in row if name not in columns)], [*rows, row])
        else:
            with (self.folder / "log.csv").open("a", newline="") as file:
                csv.DictWriter(file, columns, restval="").writerow(row)
        if self._board is None:
            self._board = _tensorboard(self.folder, self._resumed_at)
        for name, value in row.items():
            if self._board and name != "iteration" and value:
                self._board.add_scalar(name, float(value), row["iteration"])
        if self._board:
            self._board.flush()

    def cut_log(self, iteration: int) -> None:
        """Drop the rows after an iteration, which a resumed run writes again."""
        self._resumed_at = iteration
        columns, rows = self._read_log()
        if columns:
            self._write_log(columns, [row for row in rows if int(row["iteration"]) <= iteration])

    def _read_log(self) -> tuple[list[str], list[dict[str, str]]]:
        """Columns and rows of log.csv; none where there is no log yet."""
        path = self.folder / "log.csv"
        if not path.exists():
            return [], []
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or ()), list(reader)

    def _write_log(self, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.folder / "log.csv", text.getvalue().encode())

    def save_resume(self, state: dict[str, object], config: Config) -> None:
        """Save everything that is needed to resume."""
        path = self.folder / RESUME_STATE
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".part")
        torch.save(state | {"config": asdict(config), "origin": self.origin}, temporary)
        temporary.replace(path)

    def load_resume(self) -> tuple[dict[str, object], Config, dict[str, Any]]:
        """State, config and origin of the interrupted run.

        Raises:
            FileNotFoundError: there is nothing to resume.
            ValueError: the file is empty, cut short, or not one of ours.
        """
        path = resume_state(self.folder)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises nearly anything for a damaged file
            words = (" ".join(str(error).split()) or type(error).__name__).partition(". ")[0]
            raise ValueError(f"--resume: {path} cannot be read ({words}); {NOT_RESUMED}") from error
        if not isinstance(state, dict) or not state.keys() >= RESUMED:
            raise ValueError(f"--resume: {path} is not a state that `unipan train` saved; {NOT_RESUMED}")
        try:
            config = config_from_dict(json.loads(json.dumps(state.pop("config"), default=str)))
        except ValueError as error:
            raise ValueError(f"--resume: {path} holds a config that cannot be ({error}); {NOT_RESUMED}") from error
        return state, config, state.pop("origin", {})


def _tensorboard(folder: Path, resumed_at: int | None) -> Any:
    """A SummaryWriter that hides what was written after the resumed iteration; False without tensorboard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder / "tensorboard"), purge_step=None if resumed_at is None else resumed_at + 1)
