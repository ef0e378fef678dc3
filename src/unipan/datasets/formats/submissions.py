"""What test servers take: COCO's panoptic test-dev archive, and the panoptic and instance archives of Cityscapes.

COCO (https://cocodataset.org/#upload): `panoptic_SPLIT_ALGORITHM_results.zip` holds a JSON and a folder of PNGs, both
of that name. Cityscapes: one archive per task, its files as the official evaluation scripts read them. No server has
been asked whether it takes them.
"""

import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unipan.datasets.formats.output import write_rows
from unipan.datasets.formats.writers import CityscapesInstanceWriter, CityscapesPanopticWriter, ImageRows
from unipan.files import make_folder, write_atomically
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import encode_png


class CocoSubmissionWriter:
    """`folder/panoptic_SPLIT_ALGORITHM_results.json`, the folder of PNGs beside it, and both in a .zip.

    PNGs are named as their images; category ids are the checkpoint's, so it must have been trained with COCO's.
    """

    def __init__(self, folder: Path | str, categories: Categories, split: str, algorithm: str) -> None:
        """Raises ValueError for a split or algorithm that would make an odd file name."""
        for option, text in (("split", split), ("--algorithm", algorithm)):
            if re.fullmatch(r"[A-Za-z0-9.-]+", text) is None:
                raise ValueError(f"{option} {text!r}: it becomes part of a file name; use letters, digits, . and -")
        self.folder, self.stem = Path(folder), f"panoptic_{split}_{algorithm}_results"
        self._known = frozenset(categories.index_of_id)
        self._images = ImageRows(self.folder)
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map."""
        stem = self._images.add(name, image_id, panoptic)
        for segment in panoptic:
            if segment.category.id not in self._known:
                raise ValueError(f"{name}: segment {segment.id} has unknown category id {segment.category.id}")
        write_atomically(self.folder / self.stem / f"{stem}.png", encode_png(panoptic.ids))
        rows = [{"id": segment.id, "category_id": segment.category.id} for segment in panoptic]
        self._annotations.append({"image_id": image_id, "file_name": f"{stem}.png", "segments_info": rows})

    def close(self) -> Path:
        """Write the JSON, then the archive; returns the latter."""
        written = [self.folder / self.stem / row["file_name"] for row in self._annotations]
        table = write_rows(self.folder / f"{self.stem}.json", {"annotations": self._annotations})
        return write_zip(self.folder / f"{self.stem}.zip", self.folder, [table, *written])


class CityscapesSubmissionWriter:
    """`folder/panoptic/` and `folder/instance/`, and `panoptic.zip` and `instance.zip` of what this run wrote to them.

    Files of an earlier run stay in the folders, but are in no archive.
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
        """Write the JSON, then the archives; returns that of the panoptic task."""
        panoptic = [self._panoptic.close(), *self._panoptic.pictures]
        write_zip(self.folder / "instance.zip", self._instance.folder, sorted(self._instance.files))
        return write_zip(self.folder / "panoptic.zip", self._panoptic.folder, sorted(panoptic))


def write_zip(path: Path, root: Path, files: Iterable[Path]) -> Path:
    """An archive of files by their names below `root`, written beside its place first; PNGs are compressed already.

    Raises:
        OSError: it cannot be written, in one sentence.
    """
    make_folder(path.parent)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                kind = zipfile.ZIP_STORED if file.suffix == ".png" else zipfile.ZIP_DEFLATED
                archive.write(file, file.relative_to(root).as_posix(), compress_type=kind)
        beside.replace(path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror}); make room, or give another place") from error
    finally:
        beside.unlink(missing_ok=True)
    return path
