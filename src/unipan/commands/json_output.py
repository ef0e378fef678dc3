"""`--json`: what a command found, for programs: to standard output, or to a file. What it tells people comes besides.

With `--json` alone, or `--json -`, standard output has the JSON and nothing else; the rest goes to standard error.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipan.terminal import told_of_output

OPTION, STANDARD_OUTPUT = "--json", "-"


@dataclass(frozen=True)
class Outcome:
    """What a command returns.

    Attributes:
        content: what `--json` writes.
        code: the exit code.
        signed: whether who wrote it comes first, as `generator`, so that the file may be replaced later.
    """

    content: dict[str, Any]
    code: int = 0
    signed: bool = True


def with_json_target(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--json` alone written out.

    >>> with_json_target(["scores", "--json", "--limit", "3"])
    ['scores', '--json', '-', '--limit', '3']
    """
    found: list[str] = []
    for position, word in enumerate(arguments):
        following = arguments[position + 1] if position + 1 < len(arguments) else "--"
        found += [word, STANDARD_OUTPUT] if word == OPTION and following.startswith("--") else [word]
    return found


@contextmanager
def json_output(arguments: Sequence[str]) -> Iterator[Callable[[dict[str, Any]], object]]:
    """Give a function that writes what a command found where `--json` says, if it says so.

    Args:
        arguments: of `with_json_target`.

    Raises:
        ValueError: it says so twice, or names what is no file of JSON, as in `predict scenes --json photos`.
        OSError: the file cannot be written.
    """
    target = _target(arguments)
    if target is None:
        yield lambda _: None
    elif target == STANDARD_OUTPUT:
        out = sys.stdout
        if out is None:
            raise ValueError(f"{OPTION}: this process has no standard output; give {OPTION} FILE.json")
        with redirect_stdout(sys.stderr):
            yield lambda content: _print_json(content, out)
    else:
        from unipan.files import write_json

        yield lambda content: write_json(Path(target), content, indent=1)


def _print_json(content: dict[str, Any], out: Any) -> None:
    with told_of_output():
        print(json.dumps(content, indent=1), file=out, flush=True)


def _target(arguments: Sequence[str]) -> str | None:
    given = [arguments[at + 1] for at, word in enumerate(arguments[:-1]) if word == OPTION]
    given += [word.partition("=")[2] for word in arguments if word.startswith(f"{OPTION}=")]
    if not given:
        return None
    if len(given) > 1:  # one of them would be checked, and the other one written
        raise ValueError(f"{OPTION}: it is given {len(given)} times; give it once")
    [target] = given
    remedy = f"give {OPTION} a file that ends in .json, or `{OPTION} {STANDARD_OUTPUT}` for standard output"
    if os.path.isdir(target):  # noqa: PTH112  Path.is_dir raises for a name that is too long
        raise ValueError(f"{OPTION} {target}: this is a folder; {remedy}")
    if target != STANDARD_OUTPUT and not target.lower().endswith(".json"):
        raise ValueError(f"{OPTION} {target}: this is no name of a JSON file; {remedy}")
    return target
