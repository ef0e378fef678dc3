"""The one way to a terminal: what files and classes are called cannot move its cursor or turn its text around."""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for tab and end of line, marks of direction, and the bytes of a name that are no UTF-8."""


_LONG = re.compile(r"\S{301,}")
"""Longer than any path that a person wrote."""


def printable(text: str) -> str:
    r"""Text with its control characters written out.

    >>> print(printable("\x1b[31mred\u202e.png"))
    \x1b[31mred\u202e.png
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def without_long_words(text: str) -> str:
    """Text whose words of more than 300 characters have lost their middle.

    >>> without_long_words("no such file: " + "n" * 5000 + ".png")[110:150]
    'nnnn ... (4844 more) ... nnnnnnnnnnnnnnn'
    """
    return _LONG.sub(lambda found: f"{found[0][:100]} ... ({len(found[0]) - 160} more) ... {found[0][-60:]}", text)


def tell(*lines: str, error: bool = False) -> None:
    """Print lines to standard output, or to standard error.

    What the terminal's encoding lacks is written out too, so that a name never ends a run. In errors, which may quote
    a file's content, the middle of a long word is left out, and an end of line within a line is written out, since a
    name with one would look like a sentence of ours. A process may have been started without either stream.

    Raises:
        OSError: standard output cannot be written, in one sentence; a pipe whose reader has gone is a BrokenPipeError.
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    with suppress(OSError) if error else told_of_output():
        for line in lines:
            shown = without_long_words(line).replace("\n", r"\n") if error else line
            text = f"{printable(shown)}\n"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


@contextmanager
def told_of_output() -> Iterator[None]:
    """Around what writes to standard output.

    Raises:
        OSError: as `tell`.
    """
    try:
        yield
    except OSError as problem:
        if isinstance(problem, BrokenPipeError) or problem.filename is not None:
            raise
        raise OSError(f"standard output cannot be written ({problem.strerror})") from problem


def lasting_stream(stream: Any, words: str = "") -> Any:
    """A `LastingStream`, as what rich takes."""
    return LastingStream(stream, words)


class LastingStream(io.TextIOBase):
    """A standard stream for work that outlives it: a terminal that is closed, or a full disk, ends nothing.

    Args:
        stream: standard output or standard error; None where the process has none.
        words: what is said on standard error when the stream is lost; nothing if empty.
    """

    def __init__(self, stream: Any, words: str = "") -> None:
        self._stream, self._words = stream, words

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream, which rich chooses its characters by."""
        return str(getattr(self._stream, "encoding", None) or "utf-8")

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and bool(self._stream.isatty())

    def fileno(self) -> int:
        """Of the stream, while it is there."""
        return super().fileno() if self._stream is None else int(self._stream.fileno())

    def write(self, text: str) -> int:
        """Write, or pass over what cannot be written."""
        with self._noticed():
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        with self._noticed():
            if self._stream is not None:
                self._stream.flush()

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            self._stream = None
            if self._words:
                tell(f"unipan: standard output cannot be written ({problem.strerror}); {self._words}", error=True)


def drop_unwritten() -> None:
    """Forget what a stream did not take; Python would try again when it ends, and say so with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
