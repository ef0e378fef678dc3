"""One side of a comparison: the annotations of a COCO panoptic JSON, as columns of numbers.

As Python's objects, the segments of 5,000 images take 200 MB; as columns, 8.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from unipan.evaluation.matching import SegmentTable
from unipan.files import read_bytes
from unipan.panoptic.coco_json import ImageId, Row, float_or_nan, read_json, require_inside, rows_of, unique_rows
from unipan.panoptic.coco_parser import parse_segments, raise_first
from unipan.panoptic.runs import MAX_ID


@dataclass(frozen=True)
class Listing:
    """The annotations of one JSON by image id, and where their PNGs lie.

    Attributes:
        source: the JSON.
        folder: of the PNGs.
        files: the name of each image's PNG; None where the JSON has none.
        segments: of all images, image after image.
        rows: which of them are an image's.
        faults: what is wrong with the segments of an image, if anything is; it has none then.
        refusals: why the official tool cannot read the segments of an image, if it cannot.
    """

    source: Path
    folder: Path
    files: Mapping[ImageId, str | None]
    segments: SegmentTable
    rows: Mapping[ImageId, slice]
    faults: Mapping[ImageId, str]
    refusals: Mapping[ImageId, str]

    @classmethod
    def of(
        cls, source: Path, folder: Path | None, annotations: Sequence[msgspec.Raw] | None, index: Mapping[int, int]
    ) -> "Listing":
        """Read the annotations.

        Args:
            source: the JSON.
            folder: of the PNGs; by default the JSON's path without .json (the official convention).
            annotations: of `read_outline`; where it found something odd, the JSON is read again, row by row.
            index: class index by category id.

        Raises:
            ValueError: the annotations are no list, or two are of one image.
        """
        columns = None if annotations is None else _quickly(annotations, index)
        if columns is None:
            rows = rows_of(read_json(source), "annotations", source)
            columns = _Columns()
            for key, row in unique_rows(rows, "image_id", "annotation of image", source).items():
                _carefully(columns, key, row, index, source)
        return cls(
            source,
            source.with_suffix("") if folder is None else folder,
            columns.files,
            columns.table(),
            columns.rows,
            columns.faults,
            columns.refusals,
        )

    def png(self, image_id: ImageId) -> str:
        """Where the PNG of an image lies. Raises ValueError for a name that leads out of the folder."""
        name = self.files[image_id]
        if not name:
            raise ValueError(f"{self.source}: the annotation of image {image_id!r} has no `file_name`")
        require_inside(self.folder, name, self.source)
        return f"{self.folder}/{name}"  # joining two Paths takes as long as opening the file

    def table(self, image_id: ImageId) -> tuple[SegmentTable, str | None]:
        """The segments of an image, and why the official tool cannot read them. Raises ValueError for a faulty one."""
        if image_id in self.faults:
            raise ValueError(self.faults[image_id])
        return self.segments[self.rows[image_id]], self.refusals.get(image_id)


@dataclass(frozen=True)
class JoinedListing:
    """The listings of several JSONs, each with some of the images, as one.

    Attributes:
        parts: in the order in which they were given.
        owners: the part that has an image.
        files: as in `Listing`.
    """

    parts: Sequence[Listing]
    owners: Mapping[ImageId, Listing]
    files: Mapping[ImageId, str | None]

    @classmethod
    def of(cls, parts: Sequence[Listing]) -> "JoinedListing":
        """Raises ValueError for an image that two parts have."""
        owners: dict[ImageId, Listing] = {}
        for part in parts:
            for key, name in part.files.items():
                if (other := owners.setdefault(key, part)) is not part:
                    raise ValueError(
                        f"{part.source}: its image {key!r} ({name}) is in {other.source} too; every image counts once"
                    )
        return cls(parts, owners, {key: part.files[key] for key, part in owners.items()})

    @property
    def source(self) -> str:
        """All JSONs, for messages."""
        return ", ".join(str(part.source) for part in self.parts)

    def png(self, image_id: ImageId) -> str:
        """See `Listing.png`."""
        return self.owners[image_id].png(image_id)

    def table(self, image_id: ImageId) -> tuple[SegmentTable, str | None]:
        """See `Listing.table`."""
        return self.owners[image_id].table(image_id)


class _Segment(msgspec.Struct, gc=False):
    """What the rules ask of a row of `segments_info`, if there is nothing odd about it."""

    id: int
    category_id: int
    area: int | float = float("nan")
    iscrowd: int | bool | msgspec.UnsetType = msgspec.UNSET


class _Annotation(msgspec.Struct, gc=False):
    image_id: int | str
    file_name: str
    segments_info: list[_Segment]


class _Outline(msgspec.Struct):
    annotations: list[msgspec.Raw]
    images: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    categories: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read_outline(path: Path) -> tuple[Row, list[msgspec.Raw] | None]:
    """Images and categories of a JSON; its annotations as text, or None where `Listing.of` has to read it again.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON object.
    """
    data = read_bytes(path)
    try:
        outline = msgspec.json.decode(data, type=_Outline)
        parts = {"images": outline.images, "categories": outline.categories}
        rows = {key: msgspec.json.decode(part) for key, part in parts.items() if isinstance(part, msgspec.Raw)}
    except (ValueError, RecursionError):
        return read_json(path), None
    return rows, outline.annotations


@dataclass
class _Columns:
    """A listing that is being read."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    classes: "array[int]" = field(default_factory=lambda: array("q"))
    crowd: bytearray = field(default_factory=bytearray)
    declared: "array[float]" = field(default_factory=lambda: array("d"))
    files: dict[ImageId, str | None] = field(default_factory=dict)
    rows: dict[ImageId, slice] = field(default_factory=dict)
    faults: dict[ImageId, str] = field(default_factory=dict)
    refusals: dict[ImageId, str] = field(default_factory=dict)

    def add(
        self,
        key: ImageId,
        file: str | None,
        ids: Sequence[int] = (),
        classes: Sequence[int] = (),
        crowd: Sequence[object] = (),
        declared: Sequence[int | float] = (),
    ) -> None:
        """One image. Raises OverflowError for a number that is too large for its column."""
        start = len(self.ids)
        self.ids.extend(ids)
        self.classes.extend(classes)
        self.crowd.extend(map(bool, crowd))
        self.declared.extend(declared)
        self.files[key], self.rows[key] = file, slice(start, len(self.ids))

    def table(self) -> SegmentTable:
        return SegmentTable(
            np.array(self.ids, np.int64),
            np.array(self.classes, np.int64),
            np.array(self.crowd, np.uint8).astype(bool),
            np.array(self.declared, np.float64),
        )


def _quickly(annotations: Sequence[msgspec.Raw], index: Mapping[int, int]) -> _Columns | None:
    """The columns of annotations that are sound throughout, in a quarter of the parser's time; None of others."""
    columns, decode = _Columns(), msgspec.json.Decoder(_Annotation).decode
    try:
        for text in annotations:
            annotation = decode(text)
            key, segments = annotation.image_id, annotation.segments_info
            ids = [segment.id for segment in segments]
            classes = [index[segment.category_id] for segment in segments]
            if key in columns.files or len({*ids}) < len(ids) or (ids and not 0 < min(ids) <= max(ids) <= MAX_ID):
                return None
            crowd = [segment.iscrowd for segment in segments]
            if msgspec.UNSET in crowd:
                columns.refusals[key] = _no_iscrowd(ids[crowd.index(msgspec.UNSET)])
                crowd = [value is not msgspec.UNSET and value for value in crowd]
            columns.add(key, annotation.file_name, ids, classes, crowd, [segment.area for segment in segments])
    except (ValueError, KeyError, OverflowError, RecursionError):
        return None
    return columns


def _carefully(columns: _Columns, key: ImageId, row: Row, index: Mapping[int, int], source: Path) -> None:
    """Add one annotation, whatever is in it."""
    file = row.get("file_name")
    name = file if isinstance(file, str) else None
    try:
        rows_of(row, "segments_info", source, f"image {key!r}: ")
        segments, findings = parse_segments(row, index, source)
        for finding in findings:
            if finding.kind == "category-unknown":
                raise ValueError(f"{finding} of the ground truth; predict its {len(index)} classes, by its ids")
        raise_first(findings, tolerated=("score-broken",))
    except ValueError as error:
        columns.faults[key] = str(error)
        columns.add(key, name)
        return
    bare = next((number for number, each in segments.items() if "iscrowd" not in each), None)
    if bare is not None:
        columns.refusals[key] = _no_iscrowd(bare)
    rows = segments.values()
    columns.add(
        key,
        name,
        [*segments],
        [index[each["category_id"]] for each in rows],
        [each.get("iscrowd") for each in rows],
        [float_or_nan(each.get("area")) for each in rows],
    )


def _no_iscrowd(segment: int) -> str:
    return f"segment {segment} has no `iscrowd`"
