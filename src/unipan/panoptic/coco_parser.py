"""One lenient parser of COCO panoptic JSON: rows that can be used, and a finding for everything that is wrong.

The strict reader (`CocoPanoptic`) raises the first finding, the doctor (`unipan data check`) reports and repairs them.
Format: https://cocodataset.org/#format-data, section 4.
"""

import math
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

from unipan.panoptic.coco_json import ImageId, Row, float_or_nan, leads_outside, short, whole
from unipan.panoptic.runs import MAX_ID

D2_NAME = "pan_seg_file_name"
"""Where detectron2's dataset dicts name the PNG; `file_name` is the photograph there."""

LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Finding:
    """One fault of a dataset.

    Attributes:
        kind: a key of `unipan.datasets.doctor.findings.KINDS`.
        file: where it is.
        text: what is wrong, in one sentence that names the ids.
        image_id, segment_id: whose fault it is, as far as that is known.
        repairable: whether `unipan data check --fix` can repair it.
    """

    kind: str
    file: str
    text: str
    image_id: ImageId | None = None
    segment_id: int | None = None
    repairable: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


def raise_first(findings: Iterable[Finding], tolerated: Collection[str] = ()) -> None:
    """Raise the first finding as a ValueError, except those of tolerated kinds."""
    for finding in findings:
        if finding.kind not in tolerated:
            raise ValueError(str(finding))


@dataclass(frozen=True)
class PanopticJson:
    """The usable rows of a COCO panoptic JSON, repaired where that is possible, and what is wrong with it.

    Attributes:
        source: the file.
        categories: in the file's order.
        images, annotations: by image id. The segments of an annotation are still as they were: see `parse_segments`.
        findings: in the order categories, images, annotations.
    """

    source: Path
    categories: list[Row] = field(default_factory=list)
    images: dict[ImageId, Row] = field(default_factory=dict)
    annotations: dict[ImageId, Row] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def parse_panoptic(content: Row, source: Path, required: Collection[str] = LISTS) -> PanopticJson:
    """Parse everything but the segments.

    Args:
        content: the JSON.
        source: its file, for messages.
        required: of `images`, `annotations` and `categories` those that must be there. Unless `images` is required, an
            annotation needs no image and an image no annotation; unless `categories` is, they are not looked at.

    Raises:
        ValueError: a required list is missing or is no list.
    """
    for key in LISTS:
        if not isinstance(content.get(key), list) and (key in required or key in content):
            raise ValueError(f"{source}: `{key}` must be a list of objects; is this COCO *panoptic* JSON?")
    found = PanopticJson(source)
    if "categories" in required:
        rows, findings = parse_categories(content["categories"], str(source), content["annotations"])
        found.categories.extend(rows)
        found.findings.extend(findings)
    _parse_images(content.get("images", []), found)
    if "images" in required and not content["images"]:
        text = "`images` is empty; list every image with `id` and `file_name`"
        found.findings.append(Finding("no-images", str(source), text, repairable=False))
    listed = {row["id"] for row in content.get("images", []) if isinstance(row, dict) and _is_id(row.get("id"))}
    _parse_annotations(content["annotations"], listed if "images" in required else None, found)
    return found


def parse_categories(
    rows: Sequence[Any], source: str, annotations: Sequence[Any] = ()
) -> tuple[list[Row], list[Finding]]:
    """The usable rows of `categories`, repaired, and what is wrong.

    Args:
        rows: what the JSON holds.
        source: what messages call the file.
        annotations: a missing `isthing` can be repaired where they show that a class must be one of things.
    """
    usable: list[Row] = []
    findings: list[Finding] = []
    ids: set[int] = set()
    names: set[str] = set()
    disputed, seen = _disputed_ids(rows), set[int]()
    if not rows:
        text = "`categories` is empty; list every class with `id`, `name` and `isthing`"
        findings.append(Finding("no-categories", source, text, repairable=False))
    for position, row in enumerate(rows):
        say = partial(_say_category, findings, source, position)
        number = whole(row.get("id")) if isinstance(row, dict) else None
        name = row.get("name") if isinstance(row, dict) else None
        if number is None or number < 0 or not isinstance(name, str | int) or name == "":
            say("category-broken", f"needs an `id` of 0 or more and a `name`; it is {short(row)}")
            continue
        label = f"({short(name)}, id {short(number)})"
        if number in ids or number in disputed:
            if number in ids or number in seen:
                say("category-twice", f"{label} has the id of an earlier category; every id is listed once")
            seen.add(number)
            continue
        fixed: Row = {**row, "id": number}
        if type(row["id"]) is not int:
            say("number-type", f"{label} has the `id` {short(row['id'])}; write {short(number)}")
        if str(name) in names:
            fixed["name"] = f"{name} ({number})"
            say("category-name", f"{label} has the name of an earlier category; give each its own")
        _mend_color_and_kind(fixed, label, annotations, say)
        ids.add(number)
        names.add(str(fixed["name"]))
        usable.append(fixed)
    return usable, findings


def _mend_color_and_kind(row: Row, label: str, annotations: Sequence[Any], say: Any) -> None:
    """Mend `color` and `isthing` of a category in place; `label` is its name and id."""
    if row.get("color") and not _is_color(row["color"]):
        say("category-color", f"{label} has the `color` {short(row['color'])}; write three numbers from 0 to 255")
        del row["color"]
    kind = row.get("isthing")
    if isinstance(kind, str) and whole(kind) in (0, 1):  # "0" would count as true
        row["isthing"] = whole(kind)
        say("number-type", f"{label} has the `isthing` {kind!r}; write {row['isthing']}")
    elif kind not in (0, 1):
        guessed = row["id"] in _evident_things(annotations)
        say("isthing-missing", f"{label} needs `isthing`, 1 or 0; found {short(kind)}", guessed)
        row.pop("isthing", None)
        row.update({"isthing": 1} if guessed else {})


def _disputed_ids(rows: Sequence[Any]) -> set[int]:
    """Ids that several categories of different names have: nobody knows which one their segments are of."""
    names: dict[int, set[str]] = {}
    for row in rows:
        number = whole(row.get("id")) if isinstance(row, dict) else None
        if number is not None:
            names.setdefault(number, set()).add(str(row.get("name")))
    return {number for number, each in names.items() if len(each) > 1}


def _say_category(
    findings: list[Finding], source: str, position: int, kind: str, text: str, repairable: bool = True
) -> None:
    findings.append(Finding(kind, source, f"category number {position} {text}", repairable=repairable))


def _evident_things(annotations: Sequence[Any]) -> set[int]:
    """Ids of the categories that must be things: they have a crowd, or two segments in one image."""
    things: set[int] = set()
    for annotation in annotations:
        listed = annotation.get("segments_info") if isinstance(annotation, dict) else None
        rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
        counts = Counter(whole(row.get("category_id")) for row in rows)
        crowds = {whole(row.get("category_id")) for row in rows if says_crowd(row.get("iscrowd"))}
        things |= {key for key, count in counts.items() if key is not None and (count > 1 or key in crowds)}
    return things


def _parse_images(rows: Sequence[Any], found: PanopticJson) -> None:
    names: dict[str, ImageId] = {}
    for position, row in enumerate(rows):
        key, name = (row.get("id"), row.get("file_name")) if isinstance(row, dict) else (None, None)
        say = partial(_say, found, image_id=key if _is_id(key) else None)
        if not _is_id(key) or not isinstance(name, str) or not name:
            say("image-broken", f"image number {position} needs `id` and `file_name`; it is {short(row)}")
        elif key in found.images:
            say("image-twice", f"image {short(key)} ({name}) appears twice in `images`; list it once")
        elif leads_outside(name):
            say(
                "file-outside",
                f"image {short(key)}: file name {name!r} leads out of its folder; names must stay inside",
            )
        else:
            if names.setdefault(name, key) != key:
                say("name-twice", f"{name} is listed as image {short(names[name])} and as image {short(key)}")
            found.images[key] = row


def _parse_annotations(rows: Sequence[Any], listed: set[ImageId] | None, found: PanopticJson) -> None:
    """Fill `found.annotations`; `listed` are the ids in `images`, None if an annotation needs no image."""
    pngs: dict[str, ImageId] = {}
    faulty: set[ImageId] = set()
    for position, given in enumerate(rows):
        row = _with_listed_id(given, listed, found)
        key = row.get("image_id") if isinstance(row, dict) else None
        if not _is_id(key):
            text = f"annotation number {position} needs `image_id`; it is {short(row)}"
            _say(found, "annotation-broken", text)
        elif fault := _annotation_fault(key, row, listed, found):
            _say(found, *fault, key)
            faulty.add(key)
        else:
            name, found.annotations[key] = row["file_name"], row
            if pngs.setdefault(name, key) != key:
                text = f"{name} is the PNG of image {short(pngs[name])} and of image {short(key)}"
                _say(found, "png-twice", text, key)
    for key, row in found.images.items() if listed is not None else ():
        if key not in found.annotations and key not in faulty:
            text = f"image {short(key)} ({row['file_name']}) has no annotation"
            _say(found, "annotation-missing", text, key)


def _with_listed_id(row: Any, listed: set[ImageId] | None, found: PanopticJson) -> Any:
    """The annotation with 1 for "1" (or the other way round) as its image id if only that is in `images`."""
    key = row.get("image_id") if isinstance(row, dict) else None
    other = _other_spelling(key)
    if listed is None or other is None or key in listed or other not in listed:
        return row
    text = f"image {short(other)} is annotated as {short(key)}; write the same id in both places"
    _say(found, "number-type", text, other)
    return {**row, "image_id": other}


def _other_spelling(key: object) -> ImageId | None:
    """1 for "1" and "1" for 1; None for any other id."""
    if isinstance(key, str):
        number = whole(key)
        return number if number is not None and str(number) == key else None
    return str(key) if isinstance(key, int) and not isinstance(key, bool) else None


def _annotation_fault(
    key: ImageId, row: Row, listed: set[ImageId] | None, found: PanopticJson
) -> tuple[str, str] | None:
    """Kind and sentence if the annotation cannot be used."""
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        return "annotation-broken", f"image {short(key)}: its annotation has no `file_name`; name its PNG"
    if not isinstance(row.get("segments_info"), list):
        return "annotation-broken", f"image {short(key)}: `segments_info` must be a list of objects"
    if listed is not None and key not in listed:
        return "annotation-stray", f"image {short(key)} is annotated ({name}) but is not in `images`; list it there"
    if key in found.annotations:
        return "annotation-twice", f"image {short(key)} is annotated twice ({name}); annotate it once"
    if leads_outside(name):
        other = f"; is its PNG {row[D2_NAME]!r}? `unipan data check --fix` writes that" if D2_NAME in row else ""
        text = f"image {short(key)}: PNG name {name!r} leads out of its folder; names must stay inside{other}"
        return "file-outside", text
    return None


def _say(found: PanopticJson, kind: str, text: str, image_id: ImageId | None = None) -> None:
    found.findings.append(Finding(kind, str(found.source), text, image_id))


def parse_segments(
    annotation: Row, known: Container[int] | None, source: Path | str, names: Mapping[int, str] = MappingProxyType({})
) -> tuple[dict[int, Row], list[Finding]]:
    """The usable segments of one annotation by id, repaired, and what is wrong.

    An id that several rows have is usable where they mean one segment, and its first row then stands.

    Args:
        annotation: a row of `PanopticJson.annotations`.
        known: ids of the categories; None accepts any.
        source: the file, for messages.
        names: of categories, for messages.
    """
    rows: dict[int, Row] = {}
    findings: list[Finding] = []
    image_id = annotation["image_id"]

    def say(kind: str, text: str, key: int | None = None) -> None:
        segment = "" if key is None else f", segment {short(key)}"
        findings.append(Finding(kind, str(source), f"image {short(image_id)}{segment}: {text}", image_id, key))

    claims = claims_by_id(annotation)
    shared = {key for key, each in claims.items() if key and len(each) > 1}
    said: set[int] = set()
    for position, row in enumerate(annotation["segments_info"]):
        key = whole(row.get("id")) if isinstance(row, dict) else None
        if key == 0:
            of = _class_name(row, names)
            say("segment-zero", f"the segment of {of} has the id 0, which means void, so its pixels have no label")
        elif key is None or not 0 < key <= MAX_ID:
            say(
                "segment-broken",
                f"segment number {position} needs an `id` of 1..{MAX_ID} (0 is void); it is {short(row)}",
            )
        elif key in shared and (key in said or not one_segment(claims[key])):
            if key not in said:
                say("segment-twice", _shared_id(claims[key], names), key)
            said.add(key)
        elif (category := whole(row.get("category_id"))) is None or (known is not None and category not in known):
            say("category-unknown", f"category id {short(row.get('category_id'))} is not in `categories`", key)
        else:
            if key in shared:
                say("segment-twice", _shared_id(claims[key], names), key)
                said.add(key)
            rows[key] = _repaired(row, key, category, say)
    return rows, findings


def claims_by_id(annotation: Row) -> dict[int, list[Row]]:
    """The rows of an annotation by their id, 0 included, where sound files have one each."""
    claims: dict[int, list[Row]] = {}
    for row in annotation["segments_info"]:
        key = whole(row.get("id")) if isinstance(row, dict) else None
        if key is not None and 0 <= key <= MAX_ID:
            claims.setdefault(key, []).append(row)
    return claims


def one_segment(rows: Sequence[Row]) -> bool:
    """Whether rows of one id mean one segment: they agree in class, in `iscrowd`, and in the box if they have one."""
    classes = {(whole(row.get("category_id")), says_crowd(row.get("iscrowd"))) for row in rows}
    return len(classes) == 1 and len({repr(row["bbox"]) for row in rows if row.get("bbox") is not None}) <= 1


def _class_name(row: Row, names: Mapping[int, str]) -> str:
    """What messages call the class of a segment."""
    number = whole(row.get("category_id"))
    name = None if number is None else names.get(number)
    return f"category {short(row.get('category_id'), 30)}" if name is None else name


def _shared_id(rows: Sequence[Row], names: Mapping[int, str]) -> str:
    times = "twice" if len(rows) == 2 else f"{len(rows)} times"
    classes = list(dict.fromkeys(_class_name(row, names) for row in rows))
    of = f" for {', '.join(classes)}" if len(classes) > 1 else " with other boxes" * (not one_segment(rows))
    return f"this id appears {times} in `segments_info`{of}; ids are unique within an image"


def _repaired(row: Row, key: int, category: int, say: Any) -> Row:
    """The row itself if nothing is odd about it."""
    fixed: Row = {}
    for field_name, value in (("id", key), ("category_id", category)):
        if type(row[field_name]) is not int:
            say("number-type", f"its `{field_name}` is {short(row[field_name])}; write {value}", key)
            fixed[field_name] = value
    crowd = row.get("iscrowd")
    if isinstance(crowd, str):  # "0" would count as true
        fixed["iscrowd"] = int(says_crowd(crowd))
        say("number-type", f"its `iscrowd` is {crowd!r}; write {fixed['iscrowd']}", key)
    elif isinstance(crowd, float) and not math.isfinite(crowd):
        fixed["iscrowd"] = 0
        say("number-nan", f"its `iscrowd` is {crowd}; write 0 or 1", key)
    elif crowd is not None and crowd not in (0, 1):  # any other number, a list: what was meant nobody knows
        fixed["iscrowd"] = int(says_crowd(crowd))
        say("number-type", f"its `iscrowd` is {short(crowd)}; write 0 or 1", key)
    if row.get("score") is not None and not math.isfinite(float_or_nan(row["score"])):
        say("score-broken", f"its `score` is {short(row['score'])}; write a number or leave it out", key)
        row = {name: value for name, value in row.items() if name != "score"}
    return {**row, **fixed} if fixed else row


def says_crowd(value: object) -> bool:
    """Whether `iscrowd` is true; the text "0" is not, the text "true" is."""
    return bool(whole(value)) or value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def _is_id(value: object) -> TypeGuard[ImageId]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_color(color: object) -> bool:
    if not isinstance(color, list | tuple) or len(color) != 3:
        return False
    return all(isinstance(channel, int | float) and 0 <= channel <= 255 for channel in color)
