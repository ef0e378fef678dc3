"""The data doctor examines one image: its file, its PNG, and their rows in the JSON."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.doctor.claims import Ids, Told, give_ids, tell_apart
from unipan.datasets.doctor.findings import Kept
from unipan.datasets.formats.label_picture import TRANSPOSED, read_ids
from unipan.files import no_file_words, read_bytes
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import Row, short, whole
from unipan.panoptic.coco_parser import Finding, claims_by_id, parse_segments
from unipan.panoptic.image_files import open_image, require_exact
from unipan.panoptic.images import is_deep
from unipan.panoptic.maps import VOID_ID, Segment, panoptic_map
from unipan.panoptic.png import decode_png
from unipan.panoptic.runs import MAX_ID, runs

ANY_CLASS = Category(0, "any", True, (0, 0, 0))


@dataclass
class Examined:
    """What one image showed.

    Attributes:
        findings: its faults.
        kept: what --fix keeps of it; None if it leaves the image out.
        digest: of the image file's bytes.
        pixels, void: their numbers in the PNG; void is what has no label for whoever reads the set as it is.
        used: category ids with pixels.
        things, crowds: numbers of segments of thing classes, crowds apart.
        deep: the largest value of an image with more than 8 bits a channel; None for any other.
        turned: whether the image's EXIF turns or mirrors it.
        several: category ids of stuff -> number of segments, where it is more than one.
    """

    findings: list[Finding] = field(default_factory=list)
    kept: Kept | None = None
    digest: bytes | None = None
    pixels: int = 0
    void: int = 0
    used: set[int] = field(default_factory=set)
    things: int = 0
    crowds: int = 0
    deep: float | None = None
    turned: bool = False
    several: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Classes:
    """The categories of a dataset.

    Attributes:
        isthing: category id -> whether it is a thing; None if that is not known.
        names: category id -> name.
    """

    isthing: dict[int, bool | None]
    names: dict[int, str]


def examine(image: Row, annotation: Row, path: Path | None, png: Path, classes: Classes) -> Examined:
    """Examine one image.

    Args:
        image, annotation: their rows of the JSON, with usable ids and names.
        path: the image file; None if the dataset has none.
        png: the panoptic PNG.
        classes: of the dataset.
    """
    found, key = Examined(), image["id"]

    def say(kind: str, file: Path, text: str) -> None:
        found.findings.append(Finding(kind, str(file), f"image {short(key)}: {text}", key))

    size = None if path is None else _read_size(path, found, say)
    declared = [
        number for row in annotation["segments_info"] if isinstance(row, dict) and (number := whole(row.get("id")))
    ]
    indexed = indices_are_ids(png, declared, annotation["segments_info"])
    read = _read_png(png, say, indexed)
    if read is None:
        return found
    ids, encode = read
    if path is not None and size is not None and size != ids.shape:
        exif = "; is the image turned by its EXIF?" * (size == ids.shape[::-1])
        say("size-photo", path, f"it is {_sides(size)} but its PNG {png.name} is {_sides(ids.shape)}{exif}")
        size = None
    fixed = dict(image)
    claimed = (image.get("height", ids.shape[0]), image.get("width", ids.shape[1]))
    if claimed != ids.shape:
        text = f"it is {_sides(ids.shape)} but the JSON says {short(claimed[1])} x {short(claimed[0])}"
        say("size-json", png, f"{text} (width x height)")
        fixed |= {"height": ids.shape[0], "width": ids.shape[1]}
    if declared and not ids.any() and VOID_ID not in claims_by_id(annotation):
        say("png-empty", png, f"all its pixels are 0, void, but the JSON has {len(declared)} segments for it")
        found.pixels = found.void = ids.size
        return found
    told = tell_apart(ids, annotation, classes.isthing)
    rows, paint = _examine_segments(ids, annotation, png, classes, told, found)
    if path is None or size is not None:
        encode = encode or bool(paint or told.parts)
        found.kept = Kept(fixed, {**annotation, "segments_info": rows}, paint, encode, indexed, tuple(told.parts))
    return found


def replace_ids(ids: Ids, paint: dict[int, int]) -> Ids:
    """The map with some ids replaced."""
    starts, lengths = runs(ids)
    values = ids.reshape(-1)[starts]
    present, place = np.unique(values, return_inverse=True)
    changed = np.array([paint.get(int(value), int(value)) for value in present], np.int32)
    return np.repeat(changed[place], lengths).reshape(ids.shape)


def indices_are_ids(path: Path, declared: Collection[int], rows: Iterable[object] = ()) -> bool:
    """Whether a PNG has a palette whose indices are the declared ids, while its colours are not.

    Areas (or boxes, where there are none) of `rows` contradict it where they are mostly not those of the indices: a
    program that counts the colours of a picture anew gives indices of its own.
    """
    try:
        data = read_bytes(path)
        require_exact(data, path, ("PNG",))
        with open_image(data) as image:
            if image.mode != "P":
                return False
        indices, wanted = read_ids(path), {*declared, VOID_ID}
        return (
            set(np.unique(indices).tolist()) <= wanted
            and not set(np.unique(decode_png(path)).tolist()) <= wanted
            and _mostly_agree(indices, rows)
        )
    except Exception:  # as of `_read_size`: it is examined again, and then named
        return False


def _mostly_agree(ids: Ids, rows: Iterable[object]) -> bool:
    """Whether most of the segments that have an area, or else a box, have that of their pixels."""
    present = dict.fromkeys(np.unique(ids[ids != VOID_ID]).tolist(), ANY_CLASS)
    counted = {segment.id: segment for segment in panoptic_map(ids, present)}
    agree = []
    for row in rows:
        segment = counted.get(whole(row.get("id")) or VOID_ID) if isinstance(row, dict) else None
        if segment is not None and isinstance(row, dict):
            if row.get("area") is not None:
                agree.append(whole(row["area"]) == segment.area)
            elif isinstance(row.get("bbox"), list):
                agree.append(tuple(row["bbox"]) == segment.bbox)
    return 2 * sum(agree) >= len(agree)


def read_any_png(path: Path, indexed: bool = False) -> tuple[Ids, bool]:
    """The ids of a PNG, and whether it was not in COCO's format; see `indices_are_ids`.

    Raises:
        FileNotFoundError, ValueError: it is missing or damaged.
    """
    if indexed:
        return read_ids(path), True
    require_exact(read_bytes(path), path, ("PNG",))
    try:
        return decode_png(path), False
    except ValueError:
        ids = read_ids(path)
        return np.where((ids < 0) | (ids > MAX_ID), VOID_ID, ids).astype(np.int32), True


def _read_size(path: Path, found: Examined, say: Any) -> tuple[int, int] | None:
    """Height and width of an image; None if it cannot be read."""
    if not path.is_file():
        say("photo-missing", path, no_file_words(path).removeprefix("there is "))
        return None
    try:
        data = read_bytes(path)
        found.digest = hashlib.blake2b(data, digest_size=16).digest()
        with open_image(data) as image:
            deep = is_deep(image)  # what loading forgets
            image.load()  # an image that is cut short still has a sound header
            width, height = image.size
            if deep:  # Pillow shows 16-bit colours as 8 bits
                found.deep = float(np.asarray(image).max()) * (257 if image.mode.startswith("RGB") else 1)
            found.turned = image.getexif().get(0x0112) in range(2, 9)
            return (width, height) if image.getexif().get(0x0112) in TRANSPOSED else (height, width)
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        say("photo-unreadable", path, f"it cannot be read ({str(error) or type(error).__name__}); copy it again")
        return None


def _read_png(png: Path, say: Any, indexed: bool) -> tuple[Ids, bool] | None:
    """The ids and whether they were not in COCO's format; None if they cannot be read."""
    if not png.is_file():
        say("png-missing", png, no_file_words(png).removeprefix("there is "))
        return None
    try:
        ids, odd = read_any_png(png, indexed)
    except Exception as error:  # as above, and OpenCV has exceptions of its own
        text = " ".join(str(error).split()).removeprefix(f"{png}: ")
        say("png-unreadable", png, f"it cannot be read ({text or type(error).__name__})")
        return None
    if ids.size == 0:
        say("png-unreadable", png, "it has no pixels")
        return None
    if indexed:
        say("png-format", png, "the indices of its palette are the ids, its colours are not (id = R + 256 G + 65536 B)")
    elif odd:
        say("png-format", png, "it does not have three 8-bit channels (id = R + 256 G + 65536 B)")
    return ids, odd


def _examine_segments(
    ids: Ids, annotation: Row, png: Path, classes: Classes, told: Told, found: Examined
) -> tuple[list[Row], dict[int, int]]:
    """The repaired rows, and the ids to replace in the PNG once its parts have their own."""
    key, isthing = annotation["image_id"], classes.isthing

    def say(kind: str, text: str, identity: int) -> None:
        found.findings.append(Finding(kind, str(png), f"image {short(key)}, segment {identity}: {text}", key, identity))

    found.pixels, zeros = ids.size, ids == VOID_ID
    ids = give_ids(ids, told.parts)
    starts, lengths = runs(ids)
    present, place = np.unique(ids.reshape(-1)[starts], return_inverse=True)
    areas = dict(zip(present.tolist(), np.bincount(place, weights=lengths).astype(int).tolist(), strict=True))
    usable, findings = parse_segments(annotation, isthing, png, classes.names)
    found.findings += findings
    usable |= parse_segments({**annotation, "segments_info": told.rows}, isthing, png)[0]
    unknown = {each.segment_id for each in findings if each.kind == "category-unknown"} | told.lost
    rows = {identity: dict(row) for identity, row in usable.items() if _has_pixels(identity, row, areas, say)}
    paint = {}
    for identity, area in areas.items():
        if identity != VOID_ID and identity not in rows:
            paint[identity] = VOID_ID
            if identity not in unknown:
                say("id-undeclared", f"{area} pixels but no segment in the JSON", identity)
    clean = replace_ids(ids, paint) if paint else ids
    for segment in panoptic_map(clean, dict.fromkeys(rows, ANY_CLASS), source=str(png)):
        _compare_area_and_box(rows[segment.id], segment, say)
    found.void = int((zeros | (clean == VOID_ID)).sum())  # what was 0 has no label, although --fix may give it one
    found.used = {row["category_id"] for row in rows.values()}
    stuff = Counter(row["category_id"] for row in rows.values() if isthing[row["category_id"]] is False)
    found.several = {number: count for number, count in stuff.items() if count > 1}
    crowds = [bool(row.get("iscrowd")) for row in rows.values() if isthing[row["category_id"]]]
    found.crowds, found.things = sum(crowds), len(crowds) - sum(crowds)
    merged = _merge_crowds(rows, isthing, say)
    if merged:
        paint |= merged
        rows = {identity: row for identity, row in rows.items() if identity not in merged}
        for segment in panoptic_map(replace_ids(ids, paint), dict.fromkeys(rows, ANY_CLASS), source=str(png)):
            rows[segment.id].update(area=segment.area, bbox=list(segment.bbox))
    return list(rows.values()), paint


def _has_pixels(identity: int, row: Row, areas: dict[int, int], say: Any) -> bool:
    if areas.get(identity):
        return True
    if row.get("area") == 0:
        say("segment-empty", "area 0 and no pixel", identity)
    else:
        say("id-absent", f"the JSON says {short(row.get('area'))} pixels, the PNG has none", identity)
    return False


def _compare_area_and_box(row: Row, counted: Segment, say: Any) -> None:
    """Compare the area and box of a row with the pixels, and correct them in the row."""
    if row.get("area") is None:
        say("area-missing", f"it has no `area`; it covers {counted.area} pixels", counted.id)
    elif row["area"] != counted.area:
        say("area-stale", f"the JSON says {short(row['area'])} pixels, the PNG has {counted.area}", counted.id)
    box = row.get("bbox")
    if box is None:
        say("bbox-missing", f"it has no `bbox`; it is {list(counted.bbox)}", counted.id)
    elif not isinstance(box, list) or tuple(box) != counted.bbox:
        say("bbox-stale", f"the JSON says {short(box)}, the PNG has {list(counted.bbox)}", counted.id)
    row.update(area=counted.area, bbox=list(counted.bbox))


def _merge_crowds(rows: dict[int, Row], isthing: dict[int, bool | None], say: Any) -> dict[int, int]:
    """Second and further crowds of a class -> the first. Segments of stuff stop being crowds."""
    first: dict[int, int] = {}
    merged: dict[int, int] = {}
    for identity, row in rows.items():
        number = row["category_id"]
        if not row.get("iscrowd"):
            continue
        if isthing[number] is False:
            say("crowd-stuff", f"`iscrowd` is {short(row['iscrowd'])}, but category {short(number)} is stuff", identity)
            row["iscrowd"] = 0
        elif number in first:
            merged[identity] = first[number]
            text = f"a further crowd of category {short(number)}; the first is segment {first[number]}"
            say("crowds-several", text, identity)
        else:
            first[number] = identity
    return merged


def _sides(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]}"
