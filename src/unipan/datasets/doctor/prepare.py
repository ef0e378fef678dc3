"""What the doctor mends before anything is parsed: names of another computer, and which of two annotations counts."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.doctor.examine import read_any_png
from unipan.panoptic.coco_json import Row, leads_outside, short, whole
from unipan.panoptic.coco_parser import D2_NAME, Finding
from unipan.panoptic.maps import VOID_ID

Say = Callable[[str, Any], object]


def prepared(content: Row, source: Path, images: Path | None, panoptic: Path) -> tuple[Row, list[Finding]]:
    """The JSON with names that are in its folders, and with the better annotation of an image first.

    A name with backslashes becomes one with slashes, and an absolute or climbing one its last part, if the folder has
    such a file and no other row means it. Everything else stays as it is, for the parser to complain about.

    Args:
        content: the JSON, which is not changed.
        source: its file.
        images, panoptic: the two folders; `images` is None without images.
    """
    findings: list[Finding] = []

    def say(text: str, key: Any) -> None:
        findings.append(Finding("name-foreign", str(source), text, key if isinstance(key, int | str) else None))

    changed = dict(content)
    if images is not None and isinstance(content.get("images"), list):
        changed["images"] = _with_local_names(content["images"], images, "id", say)
    if isinstance(content.get("annotations"), list):
        rows = _with_png_names(content["annotations"], say)
        changed["annotations"] = _better_first(_with_local_names(rows, panoptic, "image_id", say), panoptic)
    return changed, findings


def _with_png_names(rows: list[Any], say: Say) -> list[Any]:
    """Annotations of detectron2's dataset dicts, with the name of the PNG where COCO has it."""
    changed = []
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get(D2_NAME), str) and row[D2_NAME]:
            text = f"image {short(row.get('image_id'))}: the `file_name` {row.get('file_name')!r} of its annotation "
            say(f"{text}is no PNG of ids; `{D2_NAME}` is, {row[D2_NAME]!r}", row.get("image_id"))
            changed.append({**{key: value for key, value in row.items() if key != D2_NAME}, "file_name": row[D2_NAME]})
        else:
            changed.append(row)
    return changed


def _with_local_names(rows: list[Any], folder: Path, key: str, say: Say) -> list[Any]:
    """The rows with names of this folder's files; see `prepared`."""
    found = [row.get("file_name") if isinstance(row, dict) else None for row in rows]
    names = [name if isinstance(name, str) else "" for name in found]
    local = [_local_name(name, folder) for name in names]
    claimed = Counter(new if new is not None else name for name, new in zip(names, local, strict=True))
    changed = []
    for row, name, new in zip(rows, names, local, strict=True):
        if new is not None and claimed[new] == 1:
            say(f"image {short(row.get(key))}: the file name {name!r} is {new!r} in {folder}", row.get(key))
            changed.append({**row, "file_name": new})
        else:
            changed.append(row)
    return changed


def _local_name(name: str, folder: Path) -> str | None:
    """What a name is called in this folder; None if it is good as it is, or if there is no such file."""
    slashed = name.replace("\\", "/")
    if not leads_outside(name) and (slashed == name or (folder / name).is_file()):
        return None
    if not leads_outside(slashed) and (folder / slashed).is_file():
        return slashed
    last = slashed.rsplit("/", 1)[-1]
    return last if last not in ("", "..") and ":" not in last and (folder / last).is_file() else None


def _better_first(rows: list[Any], panoptic: Path) -> list[Any]:
    """The annotations, of one image the one first whose ids are those of its PNG; the parser keeps the first."""
    keys = [_key(row) for row in rows]
    several = {key for key, count in Counter(keys).items() if count > 1 and key is not None}
    if not several:
        return rows
    quality = [_agreement(row, panoptic) if key in several else 0.0 for key, row in zip(keys, rows, strict=True)]
    places: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        if key in several:
            places.setdefault(str(key), []).append(place)
    changed = list(rows)
    for group in places.values():
        for place, best in zip(group, sorted(group, key=lambda each: -quality[each]), strict=True):
            changed[place] = rows[best]
    return changed


def _key(row: Any) -> str | None:
    """The image of an annotation, however it is written; None where there is none."""
    key = row.get("image_id") if isinstance(row, dict) else None
    return str(key) if isinstance(key, int | str) and not isinstance(key, bool) else None


def _agreement(row: Row, panoptic: Path) -> float:
    """How well the ids of an annotation are those of its PNG: what both have, as a share of what either has."""
    segments, name = row.get("segments_info"), row.get("file_name")
    if not isinstance(segments, list) or not isinstance(name, str) or leads_outside(name):
        return -1.0
    declared = {number for each in segments if isinstance(each, dict) and (number := whole(each.get("id")))}
    try:
        present = set(np.unique(read_any_png(panoptic / name)[0]).tolist()) - {VOID_ID}
    except Exception:  # it is examined again, and then named
        return -1.0
    return len(declared & present) / max(1, len(declared | present))
