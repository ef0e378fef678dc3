"""JSON files of COCO's formats: reading them, their lists of rows, and file names that stay inside a folder."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unipan.files import read_bytes

Row = dict[str, Any]
"""One object of a COCO JSON: an image, an annotation, a segment or a category."""
ImageId = int | str


def load_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError, ValueError: it is missing, a folder or broken; one sentence that names the file.
    """
    data = read_bytes(path)
    try:
        return _parse(data)
    except RecursionError as error:
        raise ValueError(f"{path}: its lists or objects are nested too deeply to be read; no COCO JSON is") from error
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); it may be cut short, copy it again") from error


def read_json(path: Path) -> Row:
    """`load_json` for files that hold one object. Raises ValueError for anything else."""
    content = load_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a COCO JSON is an object, this one is a {type(content).__name__}")
    return content


def _parse(data: bytes) -> Any:
    """`json.loads`, by way of msgspec, which takes less than half the time."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):  # json accepts more (NaN, other encodings) and explains errors better
        return json.loads(data)


def path_inside(folder: Path, name: str, source: Path) -> Path:
    """`folder / name`. Raises ValueError if `name`, found in `source`, leads out of the folder."""
    require_inside(folder, name, source)
    return folder / name


def require_inside(folder: Path, name: str, source: Path) -> None:
    """Raises ValueError if `name`, found in `source`, leads out of the folder."""
    if leads_outside(name):
        raise ValueError(f"{source}: file name {name!r} leads out of {folder}; names must stay inside")


def leads_outside(name: str) -> bool:
    """Whether a file name is absolute, has a drive, or climbs up with `..`."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or ":" in parts[0]


def rows_of(content: Mapping[str, Any], key: str, source: Path, where: str = "") -> list[Row]:
    """The list of objects under a key. Raises ValueError, naming the file, if it is anything else."""
    rows = content.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{source}: {where}`{key}` must be a list of objects; is this COCO *panoptic* JSON?")
    return rows


def unique_rows(rows: Iterable[Row], key: str, noun: str, source: Path) -> dict[ImageId, Row]:
    """Rows by the value of a key. Raises ValueError, naming the file, if one lacks it or two share it."""
    found: dict[ImageId, Row] = {}
    for position, row in enumerate(rows):
        value = row.get(key)
        if not isinstance(value, int | str):
            raise ValueError(f"{source}: entry number {position} needs `{key}` (a number or a string), found {value!r}")
        if value in found:
            raise ValueError(f"{source}: {noun} {value!r} is listed twice; list it once")
        found[value] = row
    return found


def float_or_nan(value: Any) -> float:
    """A JSON number as float; NaN for anything else, and for numbers too large for a float."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def whole(value: object) -> int | None:
    """A whole number however it is written (3, 3.0, "3"); None for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, float | str):
        return None
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def short(value: object, longest: int = 60) -> str:
    """A JSON value for use in a sentence, cut to `longest` characters."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"
