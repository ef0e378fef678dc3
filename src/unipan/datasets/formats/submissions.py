"""What test servers accept: COCO's panoptic test-dev archive, and the panoptic and instance archives of Cityscapes.

COCO (https://cocodataset.org/#upload): `panoptic_SPLIT_ALGORITHM_results.zip` has a JSON and a folder of PNGs, both of
that name. Cityscapes: one archive per task, with files as the official evaluation scripts read them. This has not
been tried on the servers.
"""

import re
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.format import Format
from unipan.datasets.formats.writing import WrittenImages, write_png
from unipan.files import replaced, write_atomically, write_json
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import Row
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import encode_png


def coco_stem(split: str, algorithm: str) -> str:
    """The name of a submission's files. Raises ValueError for a split or algorithm that cannot be part of it."""
    for option, text in (("split", split), ("--algorithm", algorithm)):
        if re.fullmatch(r"[A-Za-z0-9.-]+", text) is None:
            raise ValueError(f"{option} {text!r}: it becomes part of a file name; use letters, digits, . and -")
    return f"panoptic_{split}_{algorithm}_results"


class CocoSubmissionWriter:
    """Writes `folder/panoptic_SPLIT_ALGORITHM_results.json`, the folder of PNGs next to it, and both in a .zip.

    PNGs are named like their images. Category ids are those of `categories`, which must be COCO's.
    """

    def __init__(self, folder: Path | str, categories: Categories, split: str, algorithm: str) -> None:
        """Raises ValueError for a split or algorithm that cannot be part of a file name."""
        self.folder, self.stem = Path(folder), coco_stem(split, algorithm)
        self._images = WrittenImages(self.folder, categories)
        self._annotations: list[Row] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map."""
        stem = self._images.add(name, image_id, panoptic)
        write_atomically(self.folder / self.stem / f"{stem}.png", encode_png(panoptic.ids))
        rows = [{"id": segment.id, "category_id": segment.category.id} for segment in panoptic]
        self._annotations.append({"image_id": image_id, "file_name": f"{stem}.png", "segments_info": rows})

    def close(self) -> Path:
        """Write the JSON, then the archive, and return its path."""
        written = [self.folder / self.stem / row["file_name"] for row in self._annotations]
        table = write_json(self.folder / f"{self.stem}.json", {"annotations": self._annotations})
        return write_zip(self.folder / f"{self.stem}.zip", self.folder, [table, *written])


class CityscapesPanopticWriter:
    """Writes `folder/cityscapes_panoptic_SPLIT.json` and its folder of PNGs, for the official evaluation.

    Classes are matched by name and get label ids. `CocoPanoptic.of` reads it.

    Attributes:
        pictures: the PNGs written so far.
    """

    def __init__(self, folder: Path | str, categories: Categories, split: str = "val") -> None:
        """Raises ValueError for a class that Cityscapes does not have."""
        self.folder, self.stem = Path(folder), f"cityscapes_panoptic_{split}"
        self.pictures: list[Path] = []
        self._classes = _cityscapes_classes(categories, self.folder)
        self._images = WrittenImages(self.folder, categories)
        self._annotations: list[Row] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map."""
        identity = cityscapes_id(name, image_id)
        self._images.add(f"{identity}_leftImg8bit.png", identity, panoptic)
        picture = self.folder / self.stem / f"{identity}_panoptic.png"
        write_atomically(picture, encode_png(panoptic.ids))
        self.pictures.append(picture)
        rows = [replace(each, category=self._classes[each.category.id], score=1.0).to_coco() for each in panoptic]
        self._annotations.append({"image_id": identity, "file_name": f"{identity}_panoptic.png", "segments_info": rows})

    def close(self) -> Path:
        """Write the JSON and return its path."""
        content = {"images": self._images.rows, "annotations": self._annotations, "categories": CITYSCAPES.to_coco()}
        return write_json(self.folder / f"{self.stem}.json", content)


class CityscapesInstanceWriter:
    """Writes the instance submission: `folder/ID_pred.txt` (mask, label id, score) and `folder/ID_pred/*.png`.

    It has things without crowds, and no stuff, so it cannot be read back.

    Attributes:
        files: written so far.
    """

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        """Raises ValueError for a thing class that Cityscapes does not have."""
        self.folder = Path(folder)
        self.files: list[Path] = []
        self._classes = _cityscapes_classes(categories.things, self.folder)
        self._images = WrittenImages(self.folder, categories)

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one image's masks and its list."""
        identity = cityscapes_id(name, image_id)
        self._images.add(f"{identity}_leftImg8bit.png", identity, panoptic)
        lines: list[str] = []
        for segment in (each for each in panoptic if each.isthing and not each.iscrowd):
            file = f"{identity}_pred/{len(lines):03d}.png"
            write_png(self.folder / file, (panoptic.ids == segment.id).astype(np.uint8) * 255)
            self.files.append(self.folder / file)
            lines.append(f"{file} {self._classes[segment.category.id].id} {segment.score:.6f}\n")
        table = self.folder / f"{identity}_pred.txt"
        write_atomically(table, "".join(lines).encode())
        self.files.append(table)

    def close(self) -> Path:
        """Return the folder; nothing else is written."""
        return self.folder


class CityscapesSubmissionWriter:
    """Writes `folder/panoptic/`, `folder/instance/`, and archives of both.

    Files of an earlier run stay in the folders, but are not archived.
    """

    def __init__(self, folder: Path | str, categories: Categories, split: str = "test") -> None:
        """Raises ValueError for a class that Cityscapes does not have."""
        self.folder = Path(folder)
        self._panoptic = CityscapesPanopticWriter(self.folder / "panoptic", categories, split)
        self._instance = CityscapesInstanceWriter(self.folder / "instance", categories)

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map and the masks of its things."""
        self._panoptic.add(name, image_id, panoptic)
        self._instance.add(name, image_id, panoptic)

    def close(self) -> Path:
        """Write the JSON, then the archives, and return that of the panoptic task."""
        panoptic = [self._panoptic.close(), *self._panoptic.pictures]
        write_zip(self.folder / "instance.zip", self._instance.folder, sorted(self._instance.files))
        return write_zip(self.folder / "panoptic.zip", self._panoptic.folder, sorted(panoptic))


def write_zip(path: Path, root: Path, files: Iterable[Path]) -> Path:
    """Archive files under their names relative to `root`; the archive is complete or as before.

    Raises:
        OSError: it cannot be written.
    """
    with replaced(path, durable=True) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            # PNGs are compressed already.
            kind = zipfile.ZIP_STORED if file.suffix == ".png" else zipfile.ZIP_DEFLATED
            archive.write(file, file.relative_to(root).as_posix(), compress_type=kind)
    return path


def cityscapes_id(name: str, image_id: int | str) -> str:
    """CITY_123456_123456 of an image, from its id or its name. Raises ValueError if neither has it."""
    for text in (str(image_id), name.rpartition("/")[2]):
        found = re.match(r"[A-Za-z0-9-]+_\d{6}_\d{6}(?!\d)", text)
        if found is not None:
            return found[0]
    raise ValueError(
        f"{name}: neither the name nor image id {image_id!r} is that of a Cityscapes image (CITY_123456_123456)"
    )


def _cityscapes_classes(categories: Iterable[Category], folder: Path) -> dict[int, Category]:
    """Category id -> the Cityscapes class of that name. Raises ValueError if there is none."""
    index = CITYSCAPES.index_of_name
    odd = [category.name for category in categories if category.name not in index]
    if odd:
        raise ValueError(f"{folder}: Cityscapes has no class {', '.join(odd[:6])}; rename it, or use another format")
    return {category.id: CITYSCAPES[index[category.name]] for category in categories}


CITYSCAPES_PANOPTIC = Format(
    "cityscapes-panoptic",
    "the panoptic submission, `cityscapes_panoptic_SPLIT.json` and its folder; `coco` reads it",
    write=lambda folder, categories, options: CityscapesPanopticWriter(folder, categories, options.split or "val"),
)
CITYSCAPES_INSTANCE = Format(
    "cityscapes-instance",
    "the instance submission, `ID_pred.txt` and masks; things only",
    write=lambda folder, categories, _: CityscapesInstanceWriter(folder, categories),
)
