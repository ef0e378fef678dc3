"""What the data doctor can find in a COCO panoptic dataset, and what its repair does about each kind."""

from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        title: what it is, in words.
        cure: what --fix does; empty where nobody but the owner can know.
    """

    title: str
    cure: str = ""


LONGEST = 60
"""Characters of a value in a sentence."""
DROPPED, FIRST, VOIDED = "the image is left out", "the first one is kept", "its pixels become void"

KINDS = {
    "no-images": Kind("no images at all"),
    "no-categories": Kind("no categories at all"),
    "category-broken": Kind("categories without a usable id or name", "left out, their segments become void"),
    "category-twice": Kind("category ids that stand twice", FIRST),
    "category-name": Kind("category names that stand twice", "the id is added to the name"),
    "category-color": Kind("colours that are not three numbers from 0 to 255", "left out, readers choose one"),
    "isthing-missing": Kind(
        "categories without `isthing` (0 or 1)",
        "1 where a crowd, or two segments in one image, show it; else it stays open",
    ),
    "image-broken": Kind("images without a usable id or file name", DROPPED),
    "image-twice": Kind("image ids that stand twice", FIRST),
    "name-twice": Kind("one file under two image ids", FIRST),
    "content-twice": Kind("two images with the same content"),
    "file-outside": Kind("file names that lead out of their folder", DROPPED),
    "annotation-broken": Kind("annotations without image_id, file_name or a list segments_info", "left out"),
    "annotation-stray": Kind("annotations of images that are not listed", "left out"),
    "annotation-twice": Kind("images that are annotated twice", FIRST),
    "annotation-missing": Kind("images without an annotation", DROPPED),
    "png-twice": Kind("one PNG for two images", FIRST),
    "photo-missing": Kind("photographs that are not there", DROPPED),
    "photo-unreadable": Kind("photographs that cannot be read", DROPPED),
    "png-missing": Kind("PNGs that are not there", DROPPED),
    "png-unreadable": Kind("PNGs that cannot be read", DROPPED),
    "png-format": Kind("PNGs that are not three 8-bit channels", "their numbers are taken as ids and painted as RGB"),
    "size-photo": Kind("photographs of another size than their PNG", DROPPED),
    "size-json": Kind("sizes in the JSON that are not those of the PNG", "taken from the PNG"),
    "number-type": Kind("whole numbers written as text or with a point", "written as whole numbers"),
    "number-nan": Kind("NaN or Infinity, which JSON does not have", "null in its place, 0 for `iscrowd`"),
    "segment-broken": Kind("segments that are no object or have no usable id", VOIDED),
    "segment-twice": Kind("segment ids that stand twice in an image", FIRST),
    "category-unknown": Kind("segments of a category that is not listed", "left out, " + VOIDED),
    "id-undeclared": Kind("ids with pixels in the PNG but no segment in the JSON", VOIDED),
    "id-absent": Kind("segments that claim an area but have no pixel in the PNG", "left out"),
    "segment-empty": Kind("segments of area 0", "left out"),
    "area-stale": Kind("areas that are not those of the PNG", "counted"),
    "area-missing": Kind("segments without an area", "counted"),
    "bbox-stale": Kind("boxes that are not those of the PNG", "measured"),
    "bbox-missing": Kind("segments without a box", "measured"),
    "score-broken": Kind("scores that are no number", "left out"),
    "crowd-stuff": Kind("crowds of a stuff class", "no crowd any more"),
    "crowds-several": Kind("several crowds of one class in an image", "merged into the first"),
}
"""Kind -> what it is and what --fix does. The official PQ counts only the last crowd of a class, trusts the truth's
`area`, and stops at ids that stand on one side only."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a key of `KINDS`.
        file: where.
        text: what, in one sentence.
        image_id, segment_id: whose, as far as that is known.
        cured: whether --fix mends it.
    """

    kind: str
    file: str
    text: str
    image_id: int | str | None = None
    segment_id: int | None = None
    cured: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        """As the JSON report holds it."""
        return {
            "kind": self.kind,
            "file": self.file,
            "image_id": self.image_id,
            "segment_id": self.segment_id,
            "text": self.text,
            "cure": KINDS[self.kind].cure if self.cured else "",
        }


@dataclass(frozen=True)
class Treated:
    """An image that stays in the repaired copy.

    Attributes:
        image, annotation: their repaired rows.
        paint: segment id in the old PNG -> in the new one (0: void); ids that are not in it stay.
        encode: the PNG is written anew.
    """

    image: dict[str, Any]
    annotation: dict[str, Any]
    paint: dict[int, int]
    encode: bool


@dataclass
class Diagnosis:
    """All that was found in a dataset.

    Attributes:
        source, images, panoptic: the JSON and the two folders; `images` is None without photographs.
        content: the JSON as it was.
        listed: images in the JSON.
        findings: in the order of the JSON.
        remarks: what is worth knowing but no fault: classes never used, the share of void, files that nothing names.
        categories: repaired rows.
        rest: what else the JSON holds, repaired.
        treated: the images that --fix keeps.
        void: share of all pixels.
    """

    source: Path
    images: Path | None
    panoptic: Path
    content: dict[str, Any]
    listed: int = 0
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)
    treated: list[Treated] = field(default_factory=list)
    void: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> how many, in the order of `KINDS`."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def to_json(self) -> dict[str, Any]:
        """The report."""
        return {
            "source": str(self.source),
            "images": self.listed,
            "void": self.void,
            "counts": self.counts,
            "findings": [finding.to_json() for finding in self.findings],
            "remarks": self.remarks,
        }


def short(value: object) -> str:
    """A value of the JSON as a sentence can hold it."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def is_finite(value: object) -> bool:
    """Whether it is a number that a float can hold; NaN is none."""
    try:
        return isinstance(value, int | float) and isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def whole(value: object) -> int | None:
    """A whole number however it is written (3, 3.0, "3"); None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if not isinstance(value, int) else value
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None
