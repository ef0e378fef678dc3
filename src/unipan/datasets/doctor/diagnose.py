"""The data doctor: everything that is wrong in a COCO panoptic dataset, and a repaired copy of it."""

import json
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from unipan.datasets.doctor.claims import give_ids
from unipan.datasets.doctor.examine import Classes, Examined, examine, read_any_png, replace_ids
from unipan.datasets.doctor.findings import Diagnosis, Kept
from unipan.datasets.doctor.prepare import prepared
from unipan.datasets.doctor.remarks import few, remark
from unipan.datasets.formats.registry import suggested_command, what_is_there
from unipan.files import folder_atomically, read_bytes, write_atomically, write_json
from unipan.panoptic.coco_json import Row, read_json, short
from unipan.panoptic.coco_parser import LISTS, Finding, parse_panoptic
from unipan.panoptic.png import encode_png

Progress = Callable[[int, int], object]
"""Is told how many images are done, of how many."""


class UnreadableError(ValueError):
    """There is nothing that the doctor could examine."""


def diagnose(
    source: Path, images: Path | None = None, panoptic: Path | None = None, progress: Progress = lambda *_: None
) -> Diagnosis:
    """Examine a whole dataset.

    Args:
        source: a folder with panoptic.json, panoptic/ and images/, or a JSON (its PNGs are in its path without .json).
        images: folder of the images, if it is another; without one only PNGs are examined.
        panoptic: folder of the PNGs, if it is another.
        progress: see `Progress`.

    Raises:
        UnreadableError: there is no JSON, or it lacks one of the lists `images`, `annotations` and `categories`.
    """
    found = _open(source, images, panoptic)
    annotations = found.parsed.annotations
    # Of two images with one file, and of two PNGs with one name, the first is kept.
    twice = {each.image_id for each in found.findings if each.kind in ("name-twice", "png-twice")}
    pairs = [(row, annotations[k]) for k, row in found.parsed.images.items() if k in annotations and k not in twice]
    seen: list[Examined] = []
    for examined in _examine_all(found, pairs):
        seen.append(examined)
        found.findings += examined.findings
        found.kept += [examined.kept] if examined.kept is not None else []
        progress(len(seen), len(pairs))
    _find_same_content(found, pairs, seen)
    _find_stuff_in_parts(found, pairs, seen)
    _remove_nan(found)
    remark(found, pairs, seen)
    return found


def write_repaired(found: Diagnosis, out: Path, progress: Progress = lambda *_: None) -> Path:
    """Write a repaired copy to `out`: images/, panoptic/ and panoptic.json; the source stays as it is.

    Returns:
        The path of the JSON.

    Raises:
        ValueError: `out` is not empty, or no image or no category is left.
    """
    for noun, rows in (("image", found.kept), ("category", found.categories)):
        if not rows:
            raise ValueError(f"{found.source}: not one {noun} can be kept, so there is nothing to write to {out}")
    with folder_atomically(out, "--fix") as folder:
        for done, image in enumerate(found.kept, start=1):
            _copy(found, image, folder)
            progress(done, len(found.kept))
        content = {
            **found.rest,
            "images": [image.image for image in found.kept],
            "annotations": [
                {**row, "segments_info": _with_numbers(row["segments_info"], "iscrowd")}
                for row in (image.annotation for image in found.kept)
            ],
            "categories": _with_numbers(found.categories, "isthing"),
        }
        write_json(folder / "panoptic.json", content)
    return out / "panoptic.json"


def _with_numbers(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows with 1 and 0 where JSON has true and false."""
    return [{**row, key: int(row[key])} if isinstance(row.get(key), bool) else row for row in rows]


def _open(source: Path, images: Path | None, panoptic: Path | None) -> Diagnosis:
    path = source / "panoptic.json" if source.is_dir() else source
    images = images or (path.parent / "images" if (path.parent / "images").is_dir() else None)
    panoptic = panoptic or path.with_suffix("")
    try:
        content = read_json(path)
        _refuse_other_formats(content, path)
        content, renamed = prepared(content, path, images, panoptic)
        parsed = parse_panoptic(content, path)
    except (ValueError, OSError) as error:
        command = suggested_command(source)
        if command is not None:
            raise UnreadableError(f"{source}: not COCO panoptic format, but `{command}` makes it so") from error
        if (said := what_is_there(source)) is not None:
            raise UnreadableError(said) from error
        raise UnreadableError(f"{error}; `unipan data convert` reads other formats") from error
    return Diagnosis(content, parsed, images, panoptic, [*renamed, *parsed.findings], [*parsed.categories])


def _refuse_other_formats(content: Row, path: Path) -> None:
    """Raise ValueError for annotations none of which could be panoptic, such as COCO instances."""
    rows = content.get("annotations")
    panoptic = isinstance(rows, list) and any(isinstance(row, dict) and "segments_info" in row for row in rows)
    if rows and not panoptic and suggested_command(path) is not None:
        raise ValueError(f"{path}: no annotation has `segments_info`")


def _examine_all(found: Diagnosis, pairs: list[tuple[Row, Row]]) -> Iterator[Examined]:
    """Every image, in order; decoding releases Python's lock, so threads help."""
    isthing = {row["id"]: bool(row["isthing"]) if "isthing" in row else None for row in found.categories}
    classes = Classes(isthing, {row["id"]: str(row["name"]) for row in found.categories})

    def look(pair: tuple[Row, Row]) -> Examined:
        image, annotation = pair
        path = None if found.images is None else found.images / image["file_name"]
        return examine(image, annotation, path, found.panoptic / annotation["file_name"], classes)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(look, pairs)


def _find_same_content(found: Diagnosis, pairs: list[tuple[Row, Row]], seen: list[Examined]) -> None:
    first: dict[bytes, Row] = {}
    for (image, _), examined in zip(pairs, seen, strict=True):
        if examined.digest is None or found.images is None:
            continue
        other = first.setdefault(examined.digest, image)
        if other is not image:
            path = str(found.images / image["file_name"])
            text = f"image {short(image['id'])} has the same content as image {short(other['id'])} "
            text += f"({other['file_name']}); remove one of them, after comparing their segments"
            found.findings.append(Finding("content-twice", path, text, image["id"], repairable=False))


def _find_stuff_in_parts(found: Diagnosis, pairs: list[tuple[Row, Row]], seen: list[Examined]) -> None:
    """Classes of stuff with several segments in an image, which are things, or in parts."""
    for category in found.categories:
        number = category["id"]
        most = max((each.several.get(number, 0) for each in seen), default=0)
        if most:
            listed = [
                str(image["file_name"]) for (image, _), each in zip(pairs, seen, strict=True) if number in each.several
            ]
            command = found.convert_with(f"--as-things {shlex.quote(str(category['name']))}")
            text = (
                f"{short(category['name'])} (id {short(number)}) is stuff, but has up to {most} segments in an image "
            )
            text += f"({len(listed)} images: {few(listed, 3)}); if it is countable: `{command}`"
            found.findings.append(Finding("stuff-several", str(found.source), text, repairable=False))


def _remove_nan(found: Diagnosis) -> None:
    """Remove NaN and Infinity from the fields that are only copied."""

    def cleaned(part: Any, where: str, key: int | str | None = None) -> Any:
        try:
            json.dumps(part, allow_nan=False)  # runs in C, so it is cheap for every row of a large dataset
        except ValueError:
            text = f"{where} holds NaN or Infinity"
            found.findings.append(Finding("number-nan", str(found.source), text, key))
            return json.loads(json.dumps(part), parse_constant=lambda _: None)
        return part

    found.rest = {key: cleaned(part, f"`{key}`") for key, part in found.content.items() if key not in LISTS}
    found.categories = [cleaned(row, f"category {short(row['id'])}") for row in found.categories]
    found.kept = [
        replace(
            each,
            image=cleaned(each.image, f"image {short(each.image['id'])} in `images`", each.image["id"]),
            annotation=cleaned(each.annotation, f"the annotation of image {short(each.image['id'])}", each.image["id"]),
        )
        for each in found.kept
    ]


def _copy(found: Diagnosis, image: Kept, folder: Path) -> None:
    name = image.annotation["file_name"]
    png = found.panoptic / name
    if image.encode:
        ids = give_ids(read_any_png(png, image.indexed)[0], image.parts)
        data = encode_png(replace_ids(ids, image.paint))
    else:
        data = read_bytes(png)
    write_atomically(folder / "panoptic" / name, data)
    if found.images is not None:
        name = image.image["file_name"]
        write_atomically(folder / "images" / name, read_bytes(found.images / name))
