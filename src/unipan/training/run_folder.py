"""The folder of a run: log.csv, notes, TensorBoard events, checkpoints, and the state to resume from."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from errno import ENOSPC
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from unipan.checkpoint_header import config_from_dict
from unipan.config import Config
from unipan.files import make_folder, remove_leftovers, replaced, write_atomically
from unipan.models.pretrained import read_torch_file
from unipan.terminal import lasting_stream, printable
from unipan.training.failures import is_lost_worker
from unipan.training.options import RESUME_STATE, resume_state
from unipan.training.progress_line import training_line

ValidationFigures = dict[str, float | None]
"""The figures of one validation; None where there is none, as no class of the group occurs."""

FIGURES = ("pq", "pq_things", "pq_stuff", "psi_pq", "psi_pq_things", "psi_pq_stuff", "miou")
"""Columns of log.csv that a validation fills; every loss term also has a column."""

RESUMED = {"network", "average", "optimizer", "progress", "config"}
"""What the state to resume from holds; see `Trainer.state`."""
NOT_RESUMED = "start the run afresh in another --out, with --init RUN/last.safetensors to keep what it has learned"


class RunRecord:
    """The folder of a run.

    Args:
        folder: made when the run begins, with its first state, if it is missing.
        every: iterations per row of log.csv; each row holds their mean losses.
        quiet: print nothing.
        origin: what a resume must not change besides the config: data and number of processes.
        asked: what the command line asked for, which a resume may not contradict.
    """

    def __init__(
        self,
        folder: Path,
        every: int = 20,
        quiet: bool = False,
        origin: dict[str, Any] | None = None,
        asked: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.every, self.origin, self.asked = folder, every, origin or {}, asked
        words = f"the training goes on, and what it says stands in {folder / 'notes.txt'} alone"
        self.console = Console(file=lasting_stream(sys.stdout, words), quiet=quiet)
        self._notes: list[str] | None = []
        self._sums: dict[str, float] = {}
        self._count, self._seconds = 0, 0.0
        self._board: Any = None
        self._resumed_at: int | None = None
        self._last_quality: float | None = None

    def say(self, text: str) -> None:
        """Print a line, and append it to notes.txt once there is a run: what is refused before leaves no folder."""
        text = printable(text)
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)
        if self._notes is None:
            _append(self.folder / "notes.txt", text + "\n")
        else:
            self._notes.append(text)

    def begin(self) -> None:
        """Make the folder, if this has not been done, and write the notes so far."""
        notes, self._notes = self._notes, None
        if notes is not None:
            make_folder(self.folder)
        if notes:
            _append(self.folder / "notes.txt", "".join(f"{note}\n" for note in notes))

    def progress_bar(
        self, total: int, done: int, wanted: bool
    ) -> AbstractContextManager[Callable[[dict[str, float]], None]]:
        """A line with the time left, the last PQ and the losses, which the given function moves, on a terminal."""
        return training_line(self.console, total, done, lambda: self._last_quality, hidden=not wanted)

    def log(
        self,
        iteration: int,
        rate: float,
        losses: dict[str, float],
        seconds: float,
        figures: ValidationFigures | None,
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
        there = {name: f"{value:.4f}" for name, value in (figures or {}).items() if value is not None}
        row |= dict.fromkeys(FIGURES, "") | there
        self._write(row)
        self._sums, self._count, self._seconds = {}, 0, 0.0
        if figures:
            self._last_quality = figures["pq"]
            self.say(
                f"iteration {iteration}: PQ {spell_pq(figures['pq'])} (things {spell_pq(figures['pq_things'])}, stuff "
                f"{spell_pq(figures['pq_stuff'])}), of Psi {spell_pq(figures['psi_pq'])}"
            )

    def _write(self, row: dict[str, Any]) -> None:
        self.begin()
        columns, rows = self._read_log()
        if not row.keys() <= set(columns):  # a new log, or one that lacks a column
            self._write_log([*columns, *(name for name in row if name not in columns)], [*rows, row])
        else:
            _append(self.folder / "log.csv", _csv_text(columns, [row]))
        if self._board is None:
            self._board = _tensorboard(self.folder, self._resumed_at)
        if self._board:
            with _sentence_for(self.folder / "tensorboard"):
                for name, value in row.items():
                    if name != "iteration" and value:
                        self._board.add_scalar(name, float(value), row["iteration"])
                self._board.flush()

    def cut_log(self, iteration: int) -> None:
        """Drop the rows after an iteration, which a resumed run writes again."""
        self.begin()
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
            text = file.read()
        whole, _, _ = text.rpartition("\n")  # a full disk may have cut the last row
        reader = csv.DictReader(io.StringIO(whole + "\n" * bool(whole), newline=""))
        return list(reader.fieldnames or ()), list(reader)

    def _write_log(self, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
        names = dict(zip(columns, columns, strict=True))
        write_atomically(self.folder / "log.csv", _csv_text(columns, [names, *rows]).encode(), durable=True)

    def pending(self) -> dict[str, object]:
        """What the next row of log.csv will average, for a resume between two rows."""
        return {"sums": dict(self._sums), "count": self._count, "seconds": self._seconds}

    def restore(self, pending: dict[str, Any]) -> None:
        """Continue with what `pending` gave."""
        self._sums, self._count = dict(pending["sums"]), int(pending["count"])
        self._seconds = float(pending["seconds"])

    def save_resume(self, state: dict[str, object], config: Config) -> None:
        """Save everything that is needed to resume.

        Raises:
            OSError: it cannot be written; the state that was there is as before.
            RuntimeError: a loader worker was lost meanwhile; likewise.
        """
        self.begin()
        content = state | {"config": asdict(config), "origin": self.origin, "asked": self.asked}
        with replaced(self.folder / RESUME_STATE, durable=True) as temporary:
            try:
                torch.save(content, temporary)
            except RuntimeError as error:  # torch's zip writer does not say what the system said
                if is_lost_worker(error):  # raised wherever the process happens to be
                    raise
                free = shutil.disk_usage(temporary.parent).free
                raise OSError(f"torch could not write it, {free / 2**20:.0f} MiB are free") from error

    def clear_leftovers(self) -> None:
        """Remove what killed processes were writing."""
        for folder in (self.folder, self.folder / RESUME_STATE.parent):
            remove_leftovers(folder)
        (self.folder / RESUME_STATE).with_suffix(".part").unlink(missing_ok=True)  # of unipan 0.2 and before

    def load_resume(self) -> tuple[dict[str, object], Config, dict[str, Any]]:
        """State, config and origin of the interrupted run.

        Raises:
            FileNotFoundError: there is nothing to resume.
            ValueError: the file is empty, cut short, or not a training state of unipan.
        """
        path = resume_state(self.folder)
        try:
            state = read_torch_file(path)
        except ValueError as error:
            raise ValueError(f"--resume: {path} cannot be read ({error}); {NOT_RESUMED}") from error
        if not isinstance(state, dict) or not state.keys() >= RESUMED:
            raise ValueError(f"--resume: {path} is not a state that `unipan train` saved; {NOT_RESUMED}")
        try:
            config = config_from_dict(json.loads(json.dumps(state.pop("config"), default=str)))
        except ValueError as error:
            raise ValueError(f"--resume: {path} holds a config that cannot be ({error}); {NOT_RESUMED}") from error
        return state, config, state.pop("origin", {})


def spell_pq(value: float | None) -> str:
    """A PQ in percent; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


def _csv_text(columns: list[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, restval="").writerows(rows)
    return text.getvalue()


def _append(path: Path, text: str) -> None:
    """Add lines in one call, so that a killed process leaves whole ones. Raises OSError in one sentence."""
    with _sentence_for(path), path.open("ab", buffering=0) as file:
        data = text.encode()
        if file.write(data) != len(data):
            raise OSError(ENOSPC, "No space left on device")


@contextmanager
def _sentence_for(path: Path) -> Iterator[None]:
    """Raises OSError that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path}: cannot be written ({reason}); make room; --resume then continues the run") from error


def _tensorboard(folder: Path, resumed_at: int | None) -> Any:
    """A SummaryWriter that hides what was written after the resumed iteration; False without tensorboard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder / "tensorboard"), purge_step=None if resumed_at is None else resumed_at + 1)
