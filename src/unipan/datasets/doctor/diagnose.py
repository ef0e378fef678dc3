"""The data doctor: what is wrong in a COCO panoptic dataset, and a repaired copy of it.

It reads the JSON itself, because it must survive all that `CocoPanoptic` refuses.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from unipan.datasets.doctor.findings import Diagnosis, Finding, Treated, short
from unipan.datasets.doctor.pictures import Examined, examine, read_any_png, repaint
from unipan.datasets.doctor.rows import Row, check_annotations, check_categories, check_images
from unipan.datasets.formats.classes import load_json
from unipan.datasets.formats.output import new_folder, write_rows
from unipan.files import read_bytes, write_atomically
from unipan.panoptic.png import encode_png

MUCH_VOID = 0.5
FEW = 10
"""So many names in a remark."""
OTHERS = "`unipan data convert` makes one of other formats"


class UnreadableError(ValueError):
    """There is nothing that the doctor could look at."""


def diagnose(
    source: Path,
    images: Path | None = None,
    panoptic: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Look at a whole dataset.

    Args:
        source: a folder with panoptic.json, panoptic/ and images/, or a JSON (its PNGs lie in its path without .json).
        images: folder of photographs, if it is another; without one only PNGs are looked at.
        panoptic: folder of PNGs, if it is another.
        progress: is told how many images are done, of how many.

    Raises:
        UnreadableError: no JSON, or one without lists `images`, `annotations` and `categories`.
    """
    found = _open(source, images, panoptic)
    check_categories(found)
    rows = check_images(found)
    annotations = check_annotations(found, rows)
    pairs = [(row, annotations[key]) for key, row in rows.items() if key in annotations]
    known = {row["id"]: bool(row["isthing"]) if "isthing" in row else None for row in found.categories}
    seen: list[Examined] = []
    for examined in _examined(found, pairs, known):
        seen.append(examined)
        found.findings += examined.findings
        if examined.treated is not None:
            found.treated.append(examined.treated)
        if progress is not None:
            progress(len(seen), len(pairs))
    _same_content(found, pairs, seen)
    _without_nan(found)
    _remark(found, pairs, seen)
    return found


def treat(found: Diagnosis, out: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write a repaired copy to `out`: images/, panoptic/ and panoptic.json; the source stays as it is.

    Returns:
        The JSON's path.

    Raises:
        ValueError: `out` is not empty, or no image or no category is left.
    """
    if not found.treated:
        raise ValueError(f"{found.source}: not one image can be kept, so there is nothing to write to {out}")
    if not found.categories:
        raise ValueError(f"{found.source}: not one category can be kept, so there is nothing to write to {out}")
    with new_folder(out, "--fix") as folder:
        for done, image in enumerate(found.treated, start=1):
            _copy(found, image, folder)
            if progress is not None:
                progress(done, len(found.treated))
        content = {
            **found.rest,
            "images": [image.image for image in found.treated],
            "annotations": [image.annotation for image in found.treated],
            "categories": found.categories,
        }
        write_rows(folder / "panoptic.json", content)
    return out / "panoptic.json"


def _open(source: Path, images: Path | None, panoptic: Path | None) -> Diagnosis:
    path = source / "panoptic.json" if source.is_dir() else source
    try:
        content = load_json(path)
    except (ValueError, OSError) as error:
        raise UnreadableError(f"{error}; {OTHERS}") from error
    if not isinstance(content, dict):
        raise UnreadableError(f"{path}: a COCO panoptic JSON is an object, this one is a {type(content).__name__}")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise UnreadableError(f"{path}: it has no list `{key}`, so it is no COCO panoptic dataset; {OTHERS}")
    photos = images or (path.parent / "images" if (path.parent / "images").is_dir() else None)
    return Diagnosis(path, photos, panoptic or path.with_suffix(""), content, len(content["images"]))


def _examined(found: Diagnosis, pairs: list[tuple[Row, Row]], known: dict[int, bool | None]) -> Iterator[Examined]:
    """Every pair looked at, in order; decoding leaves Python's lock, so threads help."""

    def look(pair: tuple[Row, Row]) -> Examined:
        image, annotation = pair
        photo = None if found.images is None else found.images / image["file_name"]
        return examine(image, annotation, photo, found.panoptic / annotation["file_name"], known)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(look, pairs)


def _same_content(found: Diagnosis, pairs: list[tuple[Row, Row]], seen: list[Examined]) -> None:
    first: dict[bytes, Row] = {}
    for (image, _), examined in zip(pairs, seen, strict=True):
        if examined.digest is None or found.images is None:
            continue
        other = first.setdefault(examined.digest, image)
        if other is not image:
            path = found.images / image["file_name"]
            text = (
                f"image {short(image['id'])} has the very content of image {short(other['id'])} ({other['file_name']})"
            )
            text += "; remove one of them, and look which truth is right"
            found.findings.append(Finding("content-twice", str(path), text, image["id"], None, cured=False))


def _without_nan(found: Diagnosis) -> None:
    """Take out the numbers that are left although JSON does not have them, in fields that only pass through."""

    def mended(part: Any, where: str, key: int | str | None = None) -> Any:
        try:
            json.dumps(part, allow_nan=False)  # in C, so every row of a large set can be asked
        except ValueError:
            text = f"{where} holds NaN or Infinity"
            found.findings.append(Finding("number-nan", str(found.source), text, key))
            return json.loads(json.dumps(part), parse_constant=lambda _: None)
        return part

    rest = {key: part for key, part in found.content.items() if key not in ("images", "annotations", "categories")}
    found.rest = {key: mended(part, f"`{key}`") for key, part in rest.items()}
    found.categories = [mended(row, f"category {short(row['id'])}") for row in found.categories]
    found.treated = [
        replace(
            each,
            image=mended(each.image, f"image {short(each.image['id'])} in `images`", each.image["id"]),
            annotation=mended(each.annotation, f"the annotation of image {short(each.image['id'])}", each.image["id"]),
        )
        for each in found.treated
    ]


def _remark(found: Diagnosis, pairs: list[tuple[Row, Row]], seen: list[Examined]) -> None:
    used = set().union(*(examined.used for examined in seen)) if seen else set()
    unused = [str(row["name"]) for row in found.categories if row["id"] not in used]
    if unused:
        found.remarks.append(f"never used, {len(unused)} of {len(found.categories)} classes: {_few(unused)}")
    pixels = sum(examined.pixels for examined in seen)
    found.void = sum(examined.void for examined in seen) / pixels if pixels else 0.0
    found.remarks.append(f"void: {100 * found.void:.1f} % of all pixels")
    much = [
        (examined.void / examined.pixels, str(image["file_name"]))
        for (image, _), examined in zip(pairs, seen, strict=True)
        if examined.pixels and examined.void > MUCH_VOID * examined.pixels
    ]
    if much:
        names = [f"{name} ({100 * share:.0f} %)" for share, name in sorted(much, reverse=True)]
        found.remarks.append(f"void for the most part, {len(much)} of {len(seen)} images: {_few(names)}")
    for folder, rows, which in ((found.images, "images", "image"), (found.panoptic, "annotations", "annotation")):
        stray = _strays(folder, found.content[rows])
        if stray:
            found.remarks.append(f"named by no {which}, {len(stray)} of the files in {folder}: {_few(stray)}")


def _strays(folder: Path | None, rows: list[Any]) -> list[str]:
    if folder is None or not folder.is_dir():
        return []
    named = {row.get("file_name") for row in rows if isinstance(row, dict) and isinstance(row.get("file_name"), str)}
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if name not in named and not name.startswith("."))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def _copy(found: Diagnosis, image: Treated, folder: Path) -> None:
    name = image.annotation["file_name"]
    png = found.panoptic / name
    if image.encode:
        write_atomically(folder / "panoptic" / name, encode_png(repaint(read_any_png(png)[0], image.paint)))
    else:
        write_atomically(folder / "panoptic" / name, read_bytes(png))
    if found.images is not None:
        photo = image.image["file_name"]
        write_atomically(folder / "images" / photo, read_bytes(found.images / photo))
