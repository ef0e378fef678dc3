"""One bad input: which door it comes to, how it is made, and what has to hold whatever comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


def unchanged(folder: Path) -> None:
    """The input as it is in the world."""


def no_result(folder: Path, said: str) -> str:
    """For commands whose success has no figure."""
    return ""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        door: the verb, or the Python function.
        name: what is wrong; unique within the door.
        arguments: of the command line, relative to a folder of its own; empty for a Python door.
        uses: the parts of the world that are copied into that folder.
        change: damages the copy.
        about: whether a message is about a file (`input`) or about an option or a path that was chosen (`options`).
        names: what a message has to name; several with `|` if one of them is enough.
        makes: files and folders that may be new after a success.
        result: of a success, in a few characters, from the folder and what was printed.
        same: the result has to be that of the door's case `as it is`.
        call: of a Python door; returns the result.
        torch: the extras are needed to come to this outcome.
        mortal: run without the rights of root.
    """

    door: str
    name: str
    arguments: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    change: Callable[[Path], object] = unchanged
    about: Literal["input", "options"] = "input"
    names: str = ""
    makes: tuple[str, ...] = ()
    result: Callable[[Path, str], str] = no_result
    same: bool = False
    call: Callable[[Path], object] | None = None
    torch: bool = False
    mortal: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.door, self.name


AS_IT_IS = "as it is"
"""The name of each door's case without damage."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        outcome: `right`, `findings` (of a check), `partly` (the other images were made), `sentence`, `refusal`, or a
            failure: `traceback`, `hang`, `killed`.
        status: of the process; of a Python door 0 or 1.
        result: of a success.
        said: everything printed, for people.
        faults: what does not hold that has to.
        seconds, memory: of a processor, and MiB beyond those that the interpreter had.
        again: it is that of a second try, alone in its process.
    """

    outcome: str
    status: int
    result: str
    said: str
    faults: tuple[str, ...]
    seconds: float
    memory: int
    again: bool = False
