"""What `--help` says of every option, as it looks in a terminal."""

import os
import re
from dataclasses import dataclass, is_dataclass
from itertools import pairwise
from typing import get_type_hints

import docstring_parser
import pytest

from unipan.cli import VERBS, main
from unipan.commands.data import VERBS as DATA_VERBS
from unipan.option_parser import call_with_options, fields_in_one_line, options_of
from unipan.training.options import TrainOptions

SENTENCES = re.compile(r"([A-Z0-9`-]|[a-z]+\d|[\w-]+: ).*\.( \(([\w ]+ is )?ours\)|\))?")
"""Names of values may come first."""
COMMANDS = [verb for verb in VERBS if verb not in ("data", "train")]
COMMANDS += [f"data {verb}" for verb in DATA_VERBS]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_explained_in_sentences_without_line_breaks(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a width at which each explanation has room beside or below its option."""
    monkeypatch.setenv("COLUMNS", "360")
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    lines = [re.sub(r"^[│ ] | *│$", "", line).rstrip() for line in capsys.readouterr().out.splitlines()]
    lines = [line for line in lines if not re.match("[╭╰─]", line)]
    explained = 0
    for before, line in pairwise(lines):
        option = re.match(r"(?:-|[A-Z][\w.]*\b|\[)\S*(?:,? \S+)*?(?:   *(\S.*))?$", line)
        below = line.startswith("    ")
        if below:
            assert re.match(r"-|[A-Z]", before), f"a line break before: {line.strip()}"
        text = line.strip() if below else option[1] if option else None
        if not text or text.startswith("show this help"):
            continue
        said = re.sub(r" \((default: .*|required|sets: .*)\)$", "", text)
        assert SENTENCES.fullmatch(said), said
        explained += 1
    assert explained > 2


@pytest.mark.parametrize("columns", ["1", "5", "20"])
@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--bogus"], 2)])
def test_a_terminal_of_a_few_columns_ends_nothing(
    arguments: list[str], code: int, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as end:
        main(["predict", *arguments])
    assert (end.value.code, os.environ["COLUMNS"]) == (code, columns)
    said = capsys.readouterr()
    assert (said.out or said.err).strip()


def test_so_is_each_setting_of_a_training() -> None:
    open_groups: list[type] = [TrainOptions]
    explained, wrong = 0, {}
    while open_groups:
        group = open_groups.pop()
        with fields_in_one_line():
            said = {each.arg_name: each.description or "" for each in docstring_parser.parse_from_object(group).params}
        for name, kind in get_type_hints(group).items():
            if is_dataclass(kind):
                open_groups.append(kind)
            elif name in said:
                explained += 1
                if not SENTENCES.fullmatch(said[name]):
                    wrong[name] = said[name]
    assert wrong == {}
    assert explained > 80


@dataclass(frozen=True)
class Settings:
    """Some settings."""

    count: int = 3
    """How many there are; the lines of this sentence are broken in the source, which nobody who reads it at a terminal
    of another width wants to see."""


def test_fields_are_explained_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        options_of(Settings(), "x", ["--help"])
    assert "reads it at a terminal of another width wants" in capsys.readouterr().out
    assert options_of(Settings(), "x", ["--count", "5"]) == Settings(5)


def test_a_functions_paragraphs_stay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def command(count: int = 1) -> int:
        """Do it.

        Do it
        again.

        Args:
            count: How often, where the line
                is broken.
        """
        return 2 * count

    monkeypatch.setenv("COLUMNS", "200")
    assert call_with_options(command, "x", ["--count", "4"]) == 8
    with pytest.raises(SystemExit):
        call_with_options(command, "x", ["--help"])
    said = capsys.readouterr().out
    assert "How often, where the line is broken." in said
    assert re.search(r"Do it\.\n\nDo it again\.\n", said)
