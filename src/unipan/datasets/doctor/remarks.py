"""The doctor's remarks: what is worth knowing of a dataset, but no fault."""

from pathlib import Path
from typing import Any

from unipan.datasets.doctor.examine import Examined
from unipan.datasets.doctor.findings import Diagnosis
from unipan.datasets.formats.tally import MUCH_VOID
from unipan.panoptic.coco_json import Row

FEW = 10
"""Number of names in a remark."""


def remark(found: Diagnosis, pairs: list[tuple[Row, Row]], seen: list[Examined]) -> None:
    """Add everything that is worth knowing of a dataset whose images are examined, and its share of void."""
    if pairs and found.counts.get("png-missing") == len(pairs):
        found.remarks.append(
            f"none of the PNGs is in {found.panoptic}; --panoptic DIR names the folder that they are in"
        )
    used = set().union(*(examined.used for examined in seen))
    unused = [str(row["name"]) for row in found.categories if row["id"] not in used]
    if unused:
        found.remarks.append(f"never used, {len(unused)} of {len(found.categories)} classes: {few(unused)}")
    things, crowds = sum(examined.things for examined in seen), sum(examined.crowds for examined in seen)
    if not any(row.get("isthing") == 1 for row in found.categories):
        command = found.convert_with("--as-things NAME ...")
        found.remarks.append(f"no class is a thing, but training needs one: `{command}` says which are")
    elif seen and not things:
        what = f"all {crowds} segments of thing classes are crowds" if crowds else "no thing is in any image"
        found.remarks.append(f"{what}: a network would learn no thing")
    if not any(row.get("isthing") == 0 for row in found.categories):
        command = found.convert_with("--background background")
        found.remarks.append(f"no class is stuff, but training needs one: `{command}` makes it of all void pixels")
    _remark_on_booleans(found)
    _remark_on_photographs(found, pairs, seen)
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
        found.remarks.append(f"mostly void, {len(much)} of {len(seen)} images: {few(names)}")
    found.remarks += [f"there is no {found.source.parent / 'images'}: the photographs were not examined"] * (
        found.images is None
    )
    for folder, rows, noun in ((found.images, "images", "image"), (found.panoptic, "annotations", "annotation")):
        unnamed = _unnamed_files(folder, found.content[rows])
        if unnamed:
            found.remarks.append(f"named by no {noun}, {len(unnamed)} of the files in {folder}: {few(unnamed)}")


def _remark_on_booleans(found: Diagnosis) -> None:
    """Where JSON has true and false in the place of 1 and 0: every reader here takes them, others may not."""
    segments = (
        segment
        for row in found.content["annotations"]
        if isinstance(row, dict) and isinstance(row.get("segments_info"), list)
        for segment in row["segments_info"]
    )
    for key, rows in (("isthing", found.content["categories"]), ("iscrowd", segments)):
        count = sum(isinstance(row, dict) and isinstance(row.get(key), bool) for row in rows)
        if count:
            found.remarks.append(f"{count} of the `{key}` are true or false, read as 1 or 0; --fix writes numbers")


def _remark_on_photographs(found: Diagnosis, pairs: list[tuple[Row, Row]], seen: list[Examined]) -> None:
    """Depth and orientation."""
    deep = [examined.deep for examined in seen if examined.deep is not None]
    if deep:
        found.remarks.append(
            f"more than 8 bits a channel, {len(deep)} of {len(seen)} images, up to {max(deep):g}: `train finetune` "
            "shows each between two of its percentiles (--data.window), other presets take the whole range of 16 bits"
        )
    turned = [str(image["file_name"]) for (image, _), examined in zip(pairs, seen, strict=True) if examined.turned]
    if turned:
        found.remarks.append(
            f"turned or mirrored by EXIF, {len(turned)} of {len(seen)} images: {few(turned)}; `unipan data show` shows "
            "them as the network sees them: are the annotations where they belong?"
        )


def _unnamed_files(folder: Path | None, rows: list[Any]) -> list[str]:
    if folder is None or not folder.is_dir():
        return []
    named = {row.get("file_name") for row in rows if isinstance(row, dict) and isinstance(row.get("file_name"), str)}
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in files if name not in named and not name.startswith("."))


def few(names: list[str], most: int = FEW) -> str:
    """Names with commas, the first few of them."""
    return ", ".join(names[:most]) + f" and {len(names) - most} more" * (len(names) > most)
