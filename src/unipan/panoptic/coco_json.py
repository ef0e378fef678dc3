"""COCO panoptic JSON as every reader needs it: an object with lists of rows, and names that stay in their folder."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or one sentence that names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a dataset folder holds images/, panoptic/ and panoptic.json")
    try:
        content = _parsed(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); it may be cut short, copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a COCO panoptic JSON is an object, this one is a {type(content).__name__}")
    return content


def _parsed(data: bytes) -> Any:
    """What json.loads gives; by orjson, where it is installed, in less than half the time."""
    try:
        import orjson
    except ModuleNotFoundError:
        return json.loads(data)
    try:
        content = orjson.loads(data)
    except ValueError:  # json has the better words, and takes more (NaN, other encodings)
        return json.loads(data)
    # Integers beyond 64 bits become floats in orjson, and two image ids could become one.
    return json.loads(data) if _has_float_ids(content) else content


def _has_float_ids(content: Any) -> bool:
    keys = (("images", "id"), ("annotations", "image_id"))
    found = ((content.get(part), key) for part, key in keys) if isinstance(content, dict) else ()
    lists = ((rows, key) for rows, key in found if isinstance(rows, list))
    return any(isinstance(row, dict) and isinstance(row.get(key), float) for rows, key in lists for row in rows)


def inside(folder: Path, name: str, source: Path) -> Path:
    """`folder / name`, refused if `name` climbs out of the folder. Raises ValueError."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise ValueError(f"{source}: file name {name!r} leads out of {folder}; names must stay inside")
    return folder / name


def rows_of(content: Mapping[str, Any], key: str, source: Path, where: str = "") -> list[dict[str, Any]]:
    """The list of objects under a key of a COCO JSON. Raises ValueError that names the file if it is none."""
    rows = content.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{source}: {where}`{key}` must be a list of objects; is this COCO *panoptic* JSON?")
    return rows


def unique_rows(rows: Iterable[dict[str, Any]], key: str, noun: str, source: Path) -> dict[int | str, dict[str, Any]]:
    """Rows by their key. Raises ValueError that names the file if one has none or shares it."""
    found: dict[int | str, dict[str, Any]] = {}
    for position, row in enumerate(rows):
        value = row.get(key)
        if not isinstance(value, int | str):
            raise ValueError(f"{source}: entry number {position} needs `{key}` (a number or a string), found {value!r}")
        if value in found:
            raise ValueError(f"{source}: {noun} {value!r} stands twice; every image is listed once")
        found[value] = row
    return found


def number(value: Any) -> float:
    """A JSON number as float; NaN for what is none, or beyond any float."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan
