"""The kinds of findings of the data doctor, and what its repair does about each."""

import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unipan.datasets.doctor.claims import Part
from unipan.panoptic.coco_json import Row
from unipan.panoptic.coco_parser import Finding, PanopticJson

REPORT_HEADER = b'{\n "source": "'
"""How the JSON of a report begins."""


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        title: what it is.
        repair: what --fix does; empty if only the owner of the data can decide.
    """

    title: str
    repair: str = ""


DROPPED, FIRST, VOIDED = "the image is left out", "the first one is kept", "its pixels become void"

FINDING_KINDS = {
    "no-images": Kind("no images at all"),
    "no-categories": Kind("no categories at all"),
    "category-broken": Kind("categories without a usable id or name", "left out, their segments become void"),
    "category-twice": Kind(
        "category ids that appear twice",
        "the first one is kept; if the names differ, none is, and their segments become void",
    ),
    "category-name": Kind("category names that appear twice", "the id is added to the name"),
    "category-color": Kind("colours that are not three numbers from 0 to 255", "left out, readers choose a colour"),
    "isthing-missing": Kind(
        "categories without `isthing` (0 or 1)",
        "1 where a crowd, or two segments in one image, prove it; otherwise left open",
    ),
    "image-broken": Kind("images without a usable id or file name", DROPPED),
    "image-twice": Kind("image ids that appear twice", FIRST),
    "name-twice": Kind("one file under two image ids", FIRST),
    "content-twice": Kind("two images with the same content"),
    "file-outside": Kind("file names that lead out of their folder", DROPPED),
    "annotation-broken": Kind("annotations without image_id, file_name or a list segments_info", "left out"),
    "annotation-stray": Kind("annotations of images that are not listed", "left out"),
    "annotation-twice": Kind("images that are annotated twice", "the one whose ids are in its PNG is kept"),
    "name-foreign": Kind(
        "file names with backslashes, of another computer, or under another key, whose file is there",
        "the name in the folder is written",
    ),
    "annotation-missing": Kind("images without an annotation", DROPPED),
    "png-twice": Kind("one PNG for two images", FIRST),
    "photo-missing": Kind("images that are missing", DROPPED),
    "photo-unreadable": Kind("images that cannot be read", DROPPED),
    "png-missing": Kind("PNGs that are missing", DROPPED),
    "png-unreadable": Kind("PNGs that cannot be read", DROPPED),
    "png-empty": Kind("PNGs without a pixel, although the JSON has segments for them", DROPPED),
    "png-format": Kind("PNGs that are not three 8-bit channels", "their values are taken as ids and written as RGB"),
    "size-photo": Kind("images of another size than their PNG", DROPPED),
    "size-json": Kind("sizes in the JSON that are not those of the PNG", "taken from the PNG"),
    "number-type": Kind(
        "whole numbers written as text or with a decimal point",
        "written as whole numbers; the id of an image as `images` has it",
    ),
    "number-nan": Kind("NaN or Infinity, which JSON does not have", "null in its place, 0 for `iscrowd`"),
    "segment-broken": Kind("segments that are not objects or have no usable id", VOIDED),
    "segment-zero": Kind(
        "segments with the id 0, which means void",
        "a free id, if its area (or its box) is that of the pixels 0; otherwise they stay void",
    ),
    "segment-twice": Kind(
        "segment ids that appear twice in an image",
        "the first one, if all mean one segment; else they are told apart by their boxes, or become void",
    ),
    "category-unknown": Kind("segments of a category that is not listed", "left out, " + VOIDED),
    "id-undeclared": Kind("ids with pixels in the PNG but no segment in the JSON", VOIDED),
    "id-absent": Kind("segments that claim an area but have no pixel in the PNG", "left out"),
    "segment-empty": Kind("segments of area 0", "left out"),
    "area-stale": Kind("areas that are not those of the PNG", "counted"),
    "area-missing": Kind("segments without an area", "counted"),
    "bbox-stale": Kind("boxes that are not those of the PNG", "measured"),
    "bbox-missing": Kind("segments without a box", "measured"),
    "score-broken": Kind("scores that are not numbers", "left out"),
    "stuff-several": Kind("classes of stuff with several segments in an image"),
    "crowd-stuff": Kind("crowds of a stuff class", "no longer a crowd"),
    "crowds-several": Kind("several crowds of one class in an image", "merged into the first"),
}
"""Kind -> what it is and what --fix does. The official PQ counts only the last crowd of a class, trusts the `area` of
the ground truth, and stops at ids that are only in the PNG or only in the JSON."""


@dataclass(frozen=True)
class Kept:
    """An image that is in the repaired copy.

    Attributes:
        image, annotation: their repaired rows.
        paint: segment id in the old PNG -> in the new one (0: void); other ids stay.
        encode: whether the PNG is written anew.
        indexed: whether the palette's indices are the ids, and not its colours.
        parts: pixels that get an id of their own before `paint`.
    """

    image: Row
    annotation: Row
    paint: dict[int, int]
    encode: bool
    indexed: bool = False
    parts: tuple[Part, ...] = ()


@dataclass
class Diagnosis:
    """Everything that was found in a dataset.

    Attributes:
        content: the JSON as it was.
        parsed: its usable rows.
        images, panoptic: the two folders; `images` is None without images.
        findings: in the order of the JSON.
        remarks: worth knowing, but no faults: unused classes, the share of void, files that nothing names.
        categories: repaired rows.
        rest: what else is in the JSON, repaired.
        kept: the images that --fix keeps.
        void: share of all pixels.
    """

    content: dict[str, Any]
    parsed: PanopticJson
    images: Path | None
    panoptic: Path
    findings: list[Finding]
    categories: list[Row]
    remarks: list[str] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)
    void: float = 0.0

    @property
    def source(self) -> Path:
        """The JSON."""
        return self.parsed.source

    @property
    def listed(self) -> int:
        """The number of images in the JSON."""
        return len(self.content["images"])

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> number of findings, in the order of `FINDING_KINDS`."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in FINDING_KINDS if found[kind]}

    def convert_with(self, option: str) -> str:
        """The command that converts this dataset with an option."""
        parts = [str(self.source)]
        if self.source.name == "panoptic.json" and self.panoptic == self.source.with_suffix(""):
            parts = [str(self.source.parent)]
        elif self.images is not None:
            option = f"--images {shlex.quote(str(self.images))} {option}"
        if self.panoptic != self.source.with_suffix(""):
            option = f"--panoptic {shlex.quote(str(self.panoptic))} {option}"
        return f"unipan data convert {shlex.join(parts)} OUT {option}"

    def to_json(self) -> dict[str, Any]:
        """The report for --json."""
        return {
            "source": str(self.source),
            "images": self.listed,
            "void": self.void,
            "counts": self.counts,
            "findings": [
                {
                    "kind": each.kind,
                    "file": each.file,
                    "image_id": each.image_id,
                    "segment_id": each.segment_id,
                    "text": each.text,
                    "cure": FINDING_KINDS[each.kind].repair if each.repairable else "",
                }
                for each in self.findings
            ],
            "remarks": self.remarks,
        }

    def report(self, examples: int = 3) -> str:
        """The report for the terminal: the number of each kind, the first few of them, and the remarks."""
        lines = []
        for kind, count in self.counts.items():
            findings = [finding for finding in self.findings if finding.kind == kind]
            repair = FINDING_KINDS[kind].repair if any(finding.repairable for finding in findings) else ""
            lines.append(f"{kind} ({count}): {FINDING_KINDS[kind].title}")
            lines += [f"    {finding}" for finding in findings[:examples]]
            lines += [f"    and {count - examples} more"] * (count > examples)
            lines.append(f"    --fix: {repair}" if repair else "    no program can repair this")
        lines += [f"note: {remark}" for remark in self.remarks]
        total = len(self.findings)
        images = f"{self.listed} image{'s' * (self.listed != 1)}"
        lines.append(f"{self.source}: {images}, {total or 'no'} finding{'s' * (total != 1)}")
        return "\n".join(lines)
