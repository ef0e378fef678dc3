"""What `unipan predict` was given, as paths: files, folders, quoted patterns, and a list on standard input."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from unipan.outputs import ResultFolders

STANDARD_INPUT = "-"
LONGEST_PATH = 4096
"""Bytes: Linux opens no longer one. What has no end of line may have no end at all."""
REMEDY = "give a path in each line, as `find . -name '*.jpg'` does"


def given_paths(given: Iterable[str], lines: Iterable[str] = (), addresses: bool = False) -> Sequence[Path | str]:
    """The files and folders that words of a command line name.

    Args:
        given: paths; patterns, of which `**` goes through subfolders; addresses; or `-` for `lines`.
        lines: a path or a pattern each, as `path_lines` has them; read where `-` asks for them.
        addresses: whether addresses are taken; they stay as they are.

    Raises:
        FileNotFoundError: a line of the list that names nothing.
        ValueError: an address, or a pattern or a list without files. What unipan wrote matches no pattern.
    """
    found: list[Path | str] = []
    for word in given:
        found += _listed_paths(lines, addresses) if word == STANDARD_INPUT else _paths_of(word, addresses)
    return found


def path_lines(readline: Callable[[int], bytes] | None) -> Iterator[str]:
    """The lines of standard input as paths, whose names need not be UTF-8.

    Args:
        readline: of its bytes; None where the process was started without it.

    Raises:
        ValueError: a line that is longer than any path: a picture, or JSON.
    """
    number = 0
    while readline is not None and (line := readline(LONGEST_PATH + 2)):
        number += 1
        if len(line.rstrip(b"\r\n")) > LONGEST_PATH:
            raise ValueError(f"-: line {number} of standard input is too long for a path; {REMEDY}")
        yield os.fsdecode(line)


def _listed_paths(lines: Iterable[str], addresses: bool) -> list[Path | str]:
    """What a list names. Each line is looked at before the next one is read, because a list may have no end."""
    found: list[Path | str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        word = line.rstrip("\r\n")
        if not word.strip():
            continue
        told = f"-: line {number} of standard input, {word[:60]!r}{'...' * (len(word) > 60)}"
        if seen.setdefault(word, number) != number:
            raise ValueError(f"{told}, is line {seen[word]} again; list each path once")
        if not _is_there(word) and not _is_pattern(word) and "://" not in word:
            raise FileNotFoundError(f"{told}, names no file or folder; {REMEDY}")
        found += _paths_of(word, addresses)
    if not found:
        raise ValueError(f"-: standard input has no line; {REMEDY}")
    return found


def _is_there(word: str) -> bool:
    """Whether a path is there, and be it a link to nothing; a word may have a NUL."""
    return "\0" not in word and os.path.lexists(word)


def _is_pattern(word: str) -> bool:
    """Whether a word that is no path is a pattern with files; JSON has brackets too."""
    return has_magic(word) and "\0" not in word and bool(glob(word, recursive=True))  # noqa: PTH207  it may be absolute


def _paths_of(word: str, addresses: bool) -> Iterator[Path | str]:
    if "://" in word and addresses:
        yield word
    elif "://" in word:
        raise ValueError(f"{word}: this is an address, and unipan fetches nothing; download the picture first")
    elif has_magic(word) and not _is_there(word):  # a file may be called a[1].png
        matches = sorted(glob(word, recursive=True))  # noqa: PTH207  a pattern may be absolute
        if not matches:
            raise ValueError(f"{word}: no file matches this pattern")
        results = ResultFolders()
        ours = [path for path in map(Path, matches) if results.author(path) is not None]
        if len(ours) == len(matches):
            raise ValueError(f"{word}: unipan wrote all files that match this pattern; give the photographs")
        yield from (path for path in map(Path, matches) if path not in ours)
    else:
        yield Path(word)
