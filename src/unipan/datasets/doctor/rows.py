"""The data doctor reads the JSON: categories, images and annotations, row by row, whatever they are."""

from collections import Counter
from pathlib import Path
from typing import Any, TypeGuard

from unipan.datasets.doctor.findings import Diagnosis, Finding, short, whole
from unipan.panoptic.coco_json import inside

Row = dict[str, Any]


def check_categories(found: Diagnosis) -> None:
    """Fill `found.categories` with the rows that can be used, mended."""
    if not found.content["categories"]:
        text = "its list `categories` is empty; list every class with id, name and isthing"
        found.findings.append(Finding("no-categories", str(found.source), text, cured=False))
    ids: set[int] = set()
    names: set[str] = set()
    for position, row in enumerate(found.content["categories"]):

        def say(kind: str, text: str, cured: bool = True, place: int = position) -> None:
            found.findings.append(
                Finding(kind, str(found.source), f"category number {place} {text}", None, None, cured)
            )

        number = whole(row.get("id")) if isinstance(row, dict) else None
        name = row.get("name") if isinstance(row, dict) else None
        if number is None or number < 0 or not isinstance(name, str | int) or name == "":
            say("category-broken", f"needs an `id` from 0 on and a `name`; it is {short(row)}")
            continue
        if number in ids:
            say("category-twice", f"({short(name)}) has the id {short(number)} of an earlier one")
            continue
        fixed: Row = {**row, "id": number}
        if row["id"] is not number and not isinstance(row["id"], int):
            say("number-type", f"({short(name)}) has the id {short(row['id'])}; write {short(number)}")
        if str(name) in names:
            fixed["name"] = f"{name} ({number})"
            say("category-name", f"is called {short(name)} as an earlier one; give each its own name")
        if row.get("color") is not None and not _is_color(row["color"]):
            say("category-color", f"({short(name)}) has the colour {short(row['color'])}")
            del fixed["color"]
        if row.get("isthing") not in (0, 1):
            guess = number in _things(found.content)
            say(
                "isthing-missing",
                f"({short(name)}, id {short(number)}) needs `isthing`, 1 or 0; found {short(row.get('isthing'))}",
                guess,
            )
            fixed.pop("isthing", None)
            fixed |= {"isthing": 1} if guess else {}
        ids.add(number)
        names.add(str(fixed["name"]))
        found.categories.append(fixed)


def check_images(found: Diagnosis) -> dict[int | str, Row]:
    """The images that can be used, by id."""
    if not found.content["images"]:
        text = "its list `images` is empty; list every image with id and file_name"
        found.findings.append(Finding("no-images", str(found.source), text, cured=False))
    images: dict[int | str, Row] = {}
    names: dict[str, int | str] = {}
    for position, row in enumerate(found.content["images"]):

        def say(kind: str, text: str, key: int | str | None = None) -> None:
            found.findings.append(Finding(kind, str(found.source), text, key))

        key = row.get("id") if isinstance(row, dict) else None
        name = row.get("file_name") if isinstance(row, dict) else None
        if not _is_key(key) or not isinstance(name, str) or not name:
            say("image-broken", f"image number {position} needs `id` and `file_name`; it is {short(row)}")
        elif key in images:
            say("image-twice", f"image {short(key)} ({name}) stands twice in `images`", key)
        elif _is_outside(name):
            say("file-outside", f"image {short(key)}: file name {name!r} leads out of the folder", key)
        elif name in names:
            say("name-twice", f"{name} is image {short(names[name])} and image {short(key)}", key)
        else:
            images[key], names[name] = row, key
    return images


def check_annotations(found: Diagnosis, images: dict[int | str, Row]) -> dict[int | str, Row]:
    """The annotations that can be used, by image id."""
    annotations: dict[int | str, Row] = {}
    pngs: dict[str, int | str] = {}
    listed = {row.get("id") for row in found.content["images"] if isinstance(row, dict) and _is_key(row.get("id"))}
    for position, row in enumerate(found.content["annotations"]):

        def say(kind: str, text: str, key: int | str | None = None) -> None:
            found.findings.append(Finding(kind, str(found.source), text, key))

        key = row.get("image_id") if isinstance(row, dict) else None
        name = row.get("file_name") if isinstance(row, dict) else None
        if not _is_key(key) or not isinstance(name, str) or not name or not isinstance(row.get("segments_info"), list):
            words = f"annotation number {position} needs `image_id`, `file_name` and a list `segments_info`"
            say("annotation-broken", f"{words}; it is {short(row)}", key if _is_key(key) else None)
        elif key not in listed:
            say("annotation-stray", f"image {short(key)} is annotated ({name}) but not in `images`", key)
        elif key in annotations:
            say("annotation-twice", f"image {short(key)} is annotated twice ({name})", key)
        elif _is_outside(name):
            say("file-outside", f"image {short(key)}: the PNG's name {name!r} leads out of the folder", key)
        elif name in pngs:
            say("png-twice", f"{name} is the PNG of image {short(pngs[name])} and of image {short(key)}", key)
        else:
            annotations[key], pngs[name] = row, key
    said = {
        finding.image_id
        for finding in found.findings
        if finding.kind in ("file-outside", "annotation-broken", "png-twice")
    }
    for key, row in images.items():
        if key not in annotations and key not in said:
            text = f"image {short(key)} ({row['file_name']}) has no annotation"
            found.findings.append(Finding("annotation-missing", str(found.source), text, key))
    return annotations


def _things(content: Row) -> set[int]:
    """Category ids that must be things: a crowd, or two segments in one image."""
    things: set[int] = set()
    for row in content["annotations"]:
        segments = row.get("segments_info") if isinstance(row, dict) else None
        rows = [each for each in segments if isinstance(each, dict)] if isinstance(segments, list) else []
        count = Counter(whole(each.get("category_id")) for each in rows)
        shown = {whole(each.get("category_id")) for each in rows if each.get("iscrowd")}
        things |= {number for number, times in count.items() if number is not None and (times > 1 or number in shown)}
    return things


def _is_key(value: object) -> TypeGuard[int | str]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_color(color: object) -> bool:
    if not isinstance(color, list | tuple) or len(color) != 3:
        return False
    return all(isinstance(channel, int | float) and 0 <= channel <= 255 for channel in color)


def _is_outside(name: str) -> bool:
    try:
        inside(Path(), name, Path())
    except ValueError:
        return True
    return False
