"""Every command that README and docs/ show is one that the command line takes: the real parsers read it, none runs."""

import argparse
import re
import shlex
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tyro

from unipan.cli import VERBS
from unipan.commands.train import parse

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "slurm.sbatch"]
COMMAND = re.compile(rf"(?:^|(?<!from)\s)unipan ((?:{'|'.join(VERBS)})\b.*)")
KNOB = re.compile(r"--[a-z]+\.[a-z]")
"""`--backbone.no-frozen` and the like alone: an option of `unipan train`."""
INCOMPLETE = ("Missing", "arguments are required", "expected one argument")
"""What tyro and argparse say of a command that is not complete."""
PLACEHOLDERS = {"PRESET": "scenes", "M": "1", "X": "1", "Y": "1"}


def spans(page: Path) -> Iterator[tuple[str, bool]]:
    """The lines of code blocks (True) and the code inside lines of text (False)."""
    text = page.read_text().replace("\\\n", " ")
    if page.suffix != ".md":
        yield from ((line, True) for line in text.splitlines())
        return
    for position, part in enumerate(re.split(r"^ *```.*$", text, flags=re.MULTILINE)):
        lines = part.splitlines()
        code = [line for line in lines if position % 2 or line.startswith("    ")]
        yield from ((line, True) for line in code)
        rest = "\n".join(line for line in lines if line not in code)
        yield from ((" ".join(found.split()), False) for found in re.findall(r"`([^`]+)`", rest))


def commands(page: Path) -> list[tuple[str, bool]]:
    """Each command without `unipan`, and whether it is to be complete."""
    found = []
    for text, complete in spans(page):
        if (command := COMMAND.search(text)) is not None:
            found.append((command[1], complete))
        elif KNOB.match(text):
            found.append((f"train cityscapes --data DIR {text}", False))
    return found


def words(command: str) -> list[str]:
    """Its arguments: what may be left out is given, of alternatives the first, and a placeholder is a value."""
    plain = re.sub(r"[\[\]]", "", command.split(" #", maxsplit=1)[0])
    given = [word.partition("|")[0] for word in shlex.split(plain) if word != "..." and not word.endswith(":-}")]
    return [PLACEHOLDERS.get(word, word) for word in given]


def complaint(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the parser says against it."""
    verb, *rest = words(command)
    capsys.readouterr()
    try:
        if verb == "train" and rest:
            parse(rest[0], rest[1:])
        elif verb != "train":
            import_module(f"unipan.commands.{verb}{'_' * (verb == 'import')}").main(rest)
    except SystemExit as end:
        return " ".join(re.sub("[╭─╮│╰╯]", " ", capsys.readouterr().err).split()) if end.code else ""
    return ""


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsers parse, but what they would call does nothing."""

    def nothing(verb: Callable[..., object]) -> Callable[..., object]:
        return wraps(verb)(lambda *_, **__: lambda: 0)

    cli = tyro.cli
    monkeypatch.setattr(
        tyro, "cli", lambda verb, **more: cli(verb if isinstance(verb, type) else nothing(verb), **more)
    )

    parse_args = argparse.ArgumentParser.parse_args  # of `unipan pq`

    def parse_alone(*given: Any, **more: Any) -> None:
        parse_args(*given, **more)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_alone)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_are_taken(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, complete in commands(page):
        said = complaint(command, capsys)
        # `unipan pq --explain` in a line of text needs no files.
        mentioned = not complete and any(words in said for words in INCOMPLETE)
        assert not said or mentioned, f"{page.name}: unipan {command}: {said}"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pq GT.json PRED.json --html", "expected one argument"),
        ("pq GT.json PRED.json --exlpain", "unrecognized"),
        ("train cityscapes --data DIR --backbone.frozen False", "Unrecognized"),
        ("data convert DIR out --to rle", "Unrecognized"),
        ("train coco --potential.variant E", "Invalid choice"),
    ],
)
def test_a_wrong_command_would_be_seen(command: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in complaint(command, capsys)
