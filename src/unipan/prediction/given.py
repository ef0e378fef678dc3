"""What `unipan predict` was given, as paths: files, folders, quoted patterns, and a list on standard input."""

from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from unipan.outputs import ResultFolders

STANDARD_INPUT = "-"


def given_paths(given: Iterable[str], lines: Iterable[str] = (), addresses: bool = False) -> Sequence[Path | str]:
    """The files and folders that words of a command line name.

    Args:
        given: paths; patterns, of which `**` goes through subfolders; addresses; or `-` for `lines`.
        lines: a path or a pattern each, as of standard input; read where `-` asks for them.
        addresses: whether addresses are taken; they stay as they are.

    Raises:
        ValueError: an address, or a pattern or a list without files. What unipan wrote matches no pattern.
    """
    found: list[Path | str] = []
    for word in given:
        if word == STANDARD_INPUT:
            listed = [line.rstrip("\r\n") for line in lines]
            words = [line for line in listed if line.strip()]
            if not words:
                raise ValueError("-: standard input has no line; give a path in each, as `find . -name '*.jpg'` does")
        else:
            words = [word]
        for each in words:
            found += [each] if addresses and "://" in each else _paths_of(each)
    return found


def _paths_of(word: str) -> Iterator[Path]:
    if "://" in word:
        raise ValueError(f"{word}: this is an address, and unipan fetches nothing; download the picture first")
    if has_magic(word) and not Path(word).exists():  # a file may be called a[1].png
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
