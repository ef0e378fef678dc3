"""What docs/json.md says of the JSON of each verb, and whether a command wrote that: no key more, no key less."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "list": (list,),
    "object": (dict,),
    "true or false": (bool,),
    "text or null": (str, type(None)),
    "number or null": (int, float, type(None)),
    "object or null": (dict, type(None)),
    "number or text": (int, float, str),
    "number, text or null": (int, float, str, type(None)),
}
Keys = dict[str, str]


def keys_of(cell: str) -> tuple[Keys, Keys]:
    """The keys of a cell with their types: those that are always there, and those after "also".

    >>> keys_of("`a`, `b` text; also `c` number or null")
    ({'a': 'text', 'b': 'text'}, {'c': 'number or null'})
    """
    always: Keys = {}
    sometimes: Keys = {}
    for group in cell.strip().split("; "):
        kind = group.rpartition("`")[2].strip()
        assert kind in TYPES, f"docs/json.md: {group!r} ends with no type"
        (sometimes if group.startswith("also ") else always).update(dict.fromkeys(re.findall(r"`(\w+)`", group), kind))
    return always, sometimes


def rows_of(verb: str) -> Iterator[tuple[list[str], Keys, Keys]]:
    """The rows of a verb: the path to what they describe, and its keys."""
    for line in PAGE.read_text().splitlines():
        if line.startswith(f"| `{verb}`"):
            place, cell = line.split("|")[1:3]
            yield re.findall(r"(?:each of )?`[\w ]+`", place)[1:], *keys_of(cell)


def documented(verb: str) -> set[str]:
    """The keys that a verb always writes."""
    [always] = [always for path, always, _ in rows_of(verb) if not path]
    return set(always)


def reached(content: Any, path: list[str]) -> list[Any]:
    """What lies at the end of a path, which may be several objects, or none."""
    found = [content]
    for step in path:
        found = [each[step.split("`")[1]] for each in found]
        if step.startswith("each of"):
            found = [one for each in found for one in (each.values() if isinstance(each, dict) else each)]
        found = [each for each in found if each is not None]
    return found


def check_with_page(verb: str, content: Any) -> None:
    """Compare keys and types both ways, also of the objects inside."""
    for path, always, sometimes in rows_of(verb):
        for each in reached(content, path):
            place = " ".join([verb, *path])
            assert always.keys() <= each.keys() <= always.keys() | sometimes.keys(), place
            for key, value in each.items():
                kind = (always | sometimes)[key]
                fits = isinstance(value, TYPES[kind]) and isinstance(value, bool) <= (kind == "true or false")
                assert fits, f"{place}: {key} is {value!r}, and no {kind}"
