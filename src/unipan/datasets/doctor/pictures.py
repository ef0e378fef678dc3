"""The data doctor looks at one image: its photograph, its PNG, and what the JSON says of them."""

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32
from PIL import Image

from unipan.datasets.doctor.findings import Finding, Treated, is_finite, short, whole
from unipan.datasets.formats.pixels import TURNED, read_ids
from unipan.files import read_bytes
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import VOID_ID, Segment, panoptic_map
from unipan.panoptic.png import decode_png
from unipan.panoptic.runs import MAX_ID, runs

Row = dict[str, Any]
Ids = Int32[np.ndarray, "H W"]

ANY = Category(0, "any", True, (0, 0, 0))


@dataclass
class Examined:
    """What one image showed.

    Attributes:
        findings: all of it.
        treated: what --fix keeps; None if the image is left out.
        digest: of the photograph's bytes.
        pixels, void: of the PNG.
        used: category ids with pixels.
    """

    findings: list[Finding] = field(default_factory=list)
    treated: Treated | None = None
    digest: bytes | None = None
    pixels: int = 0
    void: int = 0
    used: set[int] = field(default_factory=set)


def examine(image: Row, annotation: Row, photo: Path | None, png: Path, things: dict[int, bool | None]) -> Examined:
    """Look at one image.

    Args:
        image, annotation: their rows of the JSON, with usable ids and names.
        photo: the photograph; None if there are none.
        png: the panoptic PNG.
        things: category id -> whether it is a thing, None if that is not known.
    """
    found, key = Examined(), image["id"]

    def say(kind: str, path: Path, text: str) -> None:
        found.findings.append(Finding(kind, str(path), f"image {short(key)}: {text}", key))

    size = None if photo is None else _look_at_photo(photo, found, say)
    read = _look_at_png(png, say)
    if read is None:
        return found
    ids, encode = read
    if photo is not None and size is not None and size != ids.shape:
        turned = "; is the photograph turned by its EXIF?" * (size == ids.shape[::-1])
        say("size-photo", photo, f"it is {_spell(size)} but its PNG {png.name} is {_spell(ids.shape)}{turned}")
        size = None
    fixed = dict(image)
    said = (image.get("height", ids.shape[0]), image.get("width", ids.shape[1]))
    if said != ids.shape:
        say(
            "size-json",
            png,
            f"it is {_spell(ids.shape)} but the JSON says {short(said[1])} x {short(said[0])} (width x height)",
        )
        fixed |= {"height": ids.shape[0], "width": ids.shape[1]}
    rows, paint = _check_segments(ids, annotation["segments_info"], png, key, things, found)
    if photo is None or size is not None:
        found.treated = Treated(fixed, {**annotation, "segments_info": rows}, paint, encode or bool(paint))
    return found


def repaint(ids: Ids, paint: dict[int, int]) -> Ids:
    """The map with some ids replaced."""
    starts, lengths = runs(ids)
    values = ids.reshape(-1)[starts]
    present, place = np.unique(values, return_inverse=True)
    changed = np.array([paint.get(int(value), int(value)) for value in present], np.int32)
    return np.repeat(changed[place], lengths).reshape(ids.shape)


def read_any_png(path: Path) -> tuple[Ids, bool]:
    """The ids of a PNG, and whether it is not in COCO's format. Raises FileNotFoundError, ValueError."""
    try:
        return decode_png(path), False
    except ValueError:
        ids = read_ids(path)
        return np.where((ids < 0) | (ids > MAX_ID), VOID_ID, ids).astype(np.int32), True


def _look_at_photo(photo: Path, found: Examined, say: Any) -> tuple[int, int] | None:
    """Height and width; None if it cannot be read."""
    if not photo.is_file():
        say("photo-missing", photo, "no such file")
        return None
    try:
        data = read_bytes(photo)
        found.digest = hashlib.blake2b(data, digest_size=16).digest()
        with Image.open(BytesIO(data)) as image:
            image.load()  # a photograph that is cut short has a sound head
            width, height = image.size
            return (width, height) if image.getexif().get(0x0112) in TURNED else (height, width)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        say("photo-unreadable", photo, f"it cannot be read ({str(error) or type(error).__name__}); copy it again")
        return None


def _look_at_png(png: Path, say: Any) -> tuple[Ids, bool] | None:
    if not png.is_file():
        say("png-missing", png, "no such file")
        return None
    try:
        ids, odd = read_any_png(png)
    except Exception as error:  # as above, and opencv has exceptions of its own
        text = " ".join(str(error).split()).removeprefix(f"{png}: ")
        say("png-unreadable", png, f"it cannot be read ({text or type(error).__name__})")
        return None
    if ids.size == 0:
        say("png-unreadable", png, "it has no pixels")
        return None
    if odd:
        say("png-format", png, "it is not three 8-bit channels (id = R + 256 G + 65536 B)")
    return ids, odd


def _check_segments(
    ids: Ids, segments: list[Any], png: Path, key: int | str, things: dict[int, bool | None], found: Examined
) -> tuple[list[Row], dict[int, int]]:
    """The mended rows and what is painted over."""

    def say(kind: str, text: str, identity: int | None = None) -> None:
        of = "" if identity is None else f", segment {identity}"
        found.findings.append(Finding(kind, str(png), f"image {short(key)}{of}: {text}", key, identity))

    starts, lengths = runs(ids)
    present, place = np.unique(ids.reshape(-1)[starts], return_inverse=True)
    areas = dict(zip(present.tolist(), np.bincount(place, weights=lengths).astype(int).tolist(), strict=True))
    rows, dropped = _usable_rows(segments, things, say)
    rows = {identity: row for identity, row in rows.items() if _has_pixels(identity, row, areas, say)}
    paint = {}
    for identity, area in areas.items():
        if identity != VOID_ID and identity not in rows:
            paint[identity] = VOID_ID
            if identity not in dropped:
                say("id-undeclared", f"{area} pixels but no segment in the JSON", identity)
    clean = repaint(ids, paint) if paint else ids
    for segment in panoptic_map(clean, dict.fromkeys(rows, ANY), source=str(png)):
        _compare(rows[segment.id], segment, say)
    found.pixels, found.void = ids.size, int((clean == VOID_ID).sum())
    found.used = {row["category_id"] for row in rows.values()}
    merged = _merge_crowds(rows, things, say)
    if merged:
        paint |= merged
        kept = {identity: row for identity, row in rows.items() if identity not in merged}
        for segment in panoptic_map(repaint(ids, paint), dict.fromkeys(kept, ANY), source=str(png)):
            kept[segment.id].update(area=segment.area, bbox=list(segment.bbox))
        rows = kept
    return list(rows.values()), paint


def _usable_rows(segments: list[Any], things: dict[int, bool | None], say: Any) -> tuple[dict[int, Row], set[int]]:
    """Rows by id with a known category, and the ids of those that were left out."""
    rows: dict[int, Row] = {}
    dropped: set[int] = set()
    for position, row in enumerate(segments):
        identity = whole(row.get("id")) if isinstance(row, dict) else None
        if identity is None or not 0 < identity <= MAX_ID:
            say("segment-broken", f"segment number {position} needs an `id` of 1..{MAX_ID}; it is {short(row)}")
            continue
        number = whole(row.get("category_id"))
        if identity in rows:
            say("segment-twice", "this id stands twice in `segments_info`", identity)
        elif number is None or number not in things:
            say("category-unknown", f"category id {short(row.get('category_id'))} is not in `categories`", identity)
            dropped.add(identity)
        else:
            fixed = {**row, "id": identity, "category_id": number}
            if not isinstance(row["id"], int) or not isinstance(row["category_id"], int):
                say("number-type", f"id {short(row['id'])} and category_id {short(row['category_id'])}", identity)
            if not is_finite(row.get("score", 1)):
                say("score-broken", f"its `score` is {short(row['score'])}", identity)
                del fixed["score"]
            if isinstance(row.get("iscrowd"), float) and not is_finite(row["iscrowd"]):
                say("number-nan", f"its `iscrowd` is {row['iscrowd']}", identity)
                fixed["iscrowd"] = 0
            rows[identity] = fixed
    return rows, dropped - set(rows)


def _has_pixels(identity: int, row: Row, areas: dict[int, int], say: Any) -> bool:
    if areas.get(identity):
        return True
    if row.get("area") == 0:
        say("segment-empty", "area 0 and no pixel", identity)
    else:
        say("id-absent", f"the JSON says {short(row.get('area'))} pixels, the PNG has none", identity)
    return False


def _compare(row: Row, counted: Segment, say: Any) -> None:
    """Area and box of a row against the pixels; they are put right in the row."""
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


def _merge_crowds(rows: dict[int, Row], things: dict[int, bool | None], say: Any) -> dict[int, int]:
    """Second and further crowds of a class -> the first; crowds of stuff are none."""
    first: dict[int, int] = {}
    merged: dict[int, int] = {}
    for identity, row in rows.items():
        number = row["category_id"]
        if not row.get("iscrowd"):
            continue
        if things[number] is False:
            say("crowd-stuff", f"`iscrowd` is {short(row['iscrowd'])}, but category {short(number)} is stuff", identity)
            row["iscrowd"] = 0
        elif number in first:
            merged[identity] = first[number]
            say(
                "crowds-several",
                f"a further crowd of category {short(number)}; the first is segment {first[number]}",
                identity,
            )
        else:
            first[number] = identity
    return merged


def _spell(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]}"
