"""The options of a command line, read by tyro into the parameters of a function or the fields of a dataclass.

tyro keeps the line breaks of docstrings beside those that fit the terminal, so it is shown docstrings without them.
"""

import inspect
import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial, wraps
from typing import Any, TypeVar

import docstring_parser
import tyro

from unipan.terminal import told_of_output

Result = TypeVar("Result")

LEAST_COLUMNS = 20
"""In fewer, tyro looks for a place to break a line without end."""


def call_with_options(command: Callable[..., Result], prog: str, arguments: Sequence[str]) -> Result:
    """What a function returns for the arguments of a command line; its docstring is what `--help` says.

    Exits with 2 after a mistake, with 0 after --help.

    Args:
        command: the function.
        prog: what to call the command.
        arguments: after it.
    """
    written = inspect.unwrap(command)
    written.__doc__ = re.sub(r"\n {8,}(?=\S)", " ", inspect.getdoc(written) or "")

    @wraps(command)
    def bound(*values: Any, **options: Any) -> Callable[[], Result]:
        return partial(command, *values, **options)

    with fields_in_one_line(), _room_for_help():
        call = tyro.cli(bound, prog=prog, args=arguments)
    return call()


def options_of(default: Result, prog: str, arguments: Sequence[str]) -> Result:
    """A dataclass with the fields that the arguments of a command line change, as `call_with_options`."""
    with fields_in_one_line(), _room_for_help():
        return tyro.cli(type(default), prog=prog, args=arguments, default=default)


@contextmanager
def fields_in_one_line() -> Generator[None, None, None]:
    """Inside, docstring_parser gives what it finds of an object without its line breaks.

    tyro keeps them because it looks for a letter at the beginning of a line before it takes the indentation away.
    """
    parse = docstring_parser.parse_from_object

    def joined(*arguments: Any, **options: Any) -> docstring_parser.Docstring:
        found = parse(*arguments, **options)
        for each in found.params:
            each.description = each.description and re.sub(r"(?<!\n)\n *(?=\S)", " ", each.description)
        return found

    docstring_parser.parse_from_object = joined
    try:
        yield
    finally:
        docstring_parser.parse_from_object = parse


@contextmanager
def _room_for_help() -> Generator[None, None, None]:
    """Inside, there is a terminal of some columns, and a standard output; what cannot be written is one sentence."""
    given = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(max(shutil.get_terminal_size().columns, LEAST_COLUMNS))
    try:
        with told_of_output(), redirect_stdout(io.StringIO() if sys.stdout is None else sys.stdout):
            try:
                yield
            finally:  # after --help, too, which ends in SystemExit; what waits in the buffer would be lost at the end
                sys.stdout.flush()
    finally:
        os.environ.pop("COLUMNS", None)
        if given is not None:
            os.environ["COLUMNS"] = given
