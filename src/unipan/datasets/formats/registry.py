"""The formats by name: what `FORMAT:PATH` means to `unipan data`, and what a bare PATH looks like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unipan.datasets.formats.cityscapes import cityscapes, is_cityscapes
from unipan.datasets.formats.coco_instances import Overlap, coco_instances
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.formats.coco_writer import PanopticWriter
from unipan.datasets.formats.label_pictures import DIVISOR, png16, semantic_and_masks, two_channel
from unipan.datasets.formats.listed import MapData
from unipan.datasets.formats.panoptic_json import huggingface, panoptic_json
from unipan.datasets.formats.writers import (
    CityscapesInstanceWriter,
    CityscapesPanopticWriter,
    MapWriter,
    Png16Writer,
    RleWriter,
    TwoChannelWriter,
)
from unipan.panoptic.categories import Categories


@dataclass(frozen=True)
class ReadOptions:
    """What a format may need besides its path; see the readers.

    Attributes:
        images: folder of photographs.
        panoptic: folder of PNGs of a JSON.
        classes: a JSON with `categories`.
        stuff: of COCO instances: a JSON or a folder.
        overlap: of COCO instances.
        contiguous: category ids count the classes from 0.
        divisor: of 16-bit PNGs.
        split: of Cityscapes.
        train_ids: of Cityscapes.
    """

    images: Path | None = None
    panoptic: Path | None = None
    classes: Path | None = None
    stuff: Path | None = None
    overlap: Overlap = "refuse"
    contiguous: bool = False
    divisor: int | None = None
    split: str | None = None
    train_ids: bool = False


def _coco(path: Path, options: ReadOptions) -> MapData:
    if path.is_dir() and options.panoptic is None:
        photos = options.images or (path / "images" if (path / "images").is_dir() else None)
        return CocoPanoptic.of(path / "panoptic.json", photos, path / "panoptic")
    json_file = path / "panoptic.json" if path.is_dir() else path
    return CocoPanoptic.of(json_file, options.images, options.panoptic or json_file.with_suffix(""))


def _json(path: Path, options: ReadOptions) -> MapData:
    return panoptic_json(path, options.classes, options.images, options.panoptic, options.contiguous)


READERS: dict[str, Callable[[Path, ReadOptions], MapData]] = {
    "coco": _coco,
    "cityscapes": lambda path, o: cityscapes(path, o.split, o.train_ids),
    "detectron2": _json,
    "mmdet": _json,
    "id-png": _json,
    "huggingface": lambda path, o: huggingface(path, o.classes, o.images, o.contiguous),
    "png16": lambda path, o: png16(path, o.classes, o.images, o.divisor),
    "two-channel": lambda path, o: two_channel(path, o.classes, o.images),
    "semantic-masks": lambda path, o: semantic_and_masks(path, o.classes, o.images),
    "coco-instances": lambda path, o: coco_instances(path, o.stuff, o.classes, o.images, o.overlap),
    "rle": lambda path, o: coco_instances(path, o.stuff, o.classes, o.images, o.overlap),
}
"""Name -> reader."""

Written = Literal["coco", "png16", "two-channel", "rle", "cityscapes-panoptic", "cityscapes-instance"]

WRITERS: dict[str, Callable[[Path, Categories, ReadOptions], MapWriter]] = {
    "coco": lambda folder, categories, _: PanopticWriter(folder, categories, scores=False),
    "png16": lambda folder, categories, o: Png16Writer(folder, categories, o.divisor or DIVISOR),
    "two-channel": lambda folder, categories, _: TwoChannelWriter(folder, categories),
    "rle": lambda folder, categories, _: RleWriter(folder, categories),
    "cityscapes-panoptic": lambda folder, categories, o: CityscapesPanopticWriter(folder, categories, o.split or "val"),
    "cityscapes-instance": lambda folder, categories, _: CityscapesInstanceWriter(folder, categories),
}
"""Name -> writer into a folder."""

WITH_PHOTOS = ("coco", "png16", "two-channel")
"""Written formats that keep photographs in images/; the others are submissions or a lone JSON."""


def split_name(given: str, known: Mapping[str, object]) -> tuple[str | None, Path]:
    """`FORMAT:PATH` in its parts; None where there is no format.

    Raises:
        ValueError: a format that is not known, unless a file of that name is there.
    """
    name, colon, rest = given.partition(":")
    if colon and name in known:
        return name, Path(rest)
    # One letter is a drive.
    if colon and len(name) > 1 and "/" not in name and not Path(given).exists():
        raise ValueError(f"{given}: there is no format {name!r} here; choose one of {', '.join(known)}")
    return None, Path(given)


def open_dataset(given: str, options: ReadOptions | None = None) -> MapData:
    """Open `FORMAT:PATH`, or a PATH whose format shows: a Cityscapes folder, or else COCO panoptic.

    Raises:
        FileNotFoundError, ValueError: see the readers; also an unknown format.
    """
    name, path = split_name(given, READERS)
    if name is None:
        name = "cityscapes" if is_cityscapes(path) else "coco"
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    return READERS[name](path, options or ReadOptions())
