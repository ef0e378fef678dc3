"""The part of YAML that a list of classes needs, so that no YAML library must be installed.

Keys at the left margin with a scalar, a list (`[a, b]` or lines with dashes) or a mapping of scalars (`{0: a}` or
indented lines). What is nested deeper is passed over.
"""

import re
from pathlib import Path

from unipan.files import read_bytes

YamlValue = str | list[str] | dict[str, str]

_ITEM = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,]*?)\s*(?:,|$)""")


def read_simple_yaml(path: Path) -> dict[str, YamlValue]:
    """The keys at the left margin of a YAML file and their values; all scalars are text.

    Raises:
        FileNotFoundError, ValueError: the file is missing, no text, or has a bracket that never closes.
    """
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    found: dict[str, YamlValue] = {}
    rows = [line for line in (_without_comment(line) for line in lines) if line.strip() and line.strip() != "---"]
    while rows:
        key, colon, rest = rows.pop(0).partition(":")
        inner: list[str] = []
        while rows and (rows[0][0].isspace() or rows[0].startswith(("- ", "]", "}")) or rows[0].strip() == "-"):
            inner.append(rows.pop(0))
        if not colon or key[0].isspace():
            continue
        text = rest.strip()
        if text[:1] in ("[", "{"):
            whole = " ".join([text, *(row.strip() for row in inner)])
            closing = "]" if text[0] == "[" else "}"
            if not whole.endswith(closing):
                raise ValueError(f"{path}: the {text[0]} behind `{key}` is not closed; end it with {closing}")
            found[_scalar(key)] = _inline(whole)
        elif text or not inner:
            found[_scalar(key)] = "" if text[:1] in ("|", ">") else _scalar(text)
        else:
            found[_scalar(key)] = _block(inner)
    return found


def _inline(text: str) -> YamlValue:
    """`[a, b]` or `{0: a, 1: b}`."""
    items = [item for item in (match.group(1) for match in _ITEM.finditer(text[1:-1])) if item]
    if text[0] == "[":
        return [_scalar(item) for item in items]
    pairs = (item.partition(":") for item in items)
    return {_scalar(key): _scalar(value) for key, _, value in pairs}


def _block(rows: list[str]) -> YamlValue:
    """Lines with dashes, or indented `key: value` lines of the first indentation."""
    if rows[0].lstrip().startswith("-"):
        return [_scalar(row.lstrip()[1:]) for row in rows if row.lstrip().startswith("-")]
    margin = len(rows[0]) - len(rows[0].lstrip())
    pairs = (row.partition(":") for row in rows if len(row) - len(row.lstrip()) == margin)
    return {_scalar(key): _scalar(value) for key, _, value in pairs}


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text


def _without_comment(line: str) -> str:
    """The line without what follows a # that stands outside quotes and behind a space."""
    quote = ""
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and (not place or line[place - 1] in " [{,:-"):
            quote = letter
        elif letter == "#" and (not place or line[place - 1].isspace()):
            return line[:place].rstrip()
    return line.rstrip()
