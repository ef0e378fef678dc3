"""Writers besides COCO panoptic: 16-bit and two-channel PNGs, run-length JSON, and the Cityscapes submissions.

Each has `add(name, image_id, panoptic)` and `close()`, as `PanopticWriter` has. Pictures are written whole or not at
all, the JSON last.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.classes import CLASSES_FILE
from unipan.datasets.formats.label_pictures import DIVISOR, VOID_8, VOID_16, stem_of
from unipan.datasets.formats.output import require_scores, write_rows
from unipan.files import write_atomically
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import inside
from unipan.panoptic.maps import PanopticMap, Segment
from unipan.panoptic.png import encode_png, png_of_rgb
from unipan.panoptic.runs import rles_of_ids


@runtime_checkable
class MapWriter(Protocol):
    """What `unipan data convert` writes with; `PanopticWriter` is one too."""

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one image's map. Raises ValueError if the format cannot hold it, or for a name or id used before."""
        ...

    def close(self) -> Path:
        """Write what comes last and return its path."""
        ...


class ImageRows:
    """The `images` of a JSON: ids and names that stand once and stay inside the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self._stems: set[str] = set()
        self._ids: set[int | str] = set()

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> str:
        """Remember an image; returns its name without ending. Raises ValueError."""
        require_scores(panoptic, name)
        inside(self.folder, name, self.folder)
        stem = stem_of(name)
        if stem in self._stems or image_id in self._ids:
            raise ValueError(f"{self.folder}: image {image_id!r} ({name}) was written already; each is written once")
        height, width = panoptic.ids.shape
        self._stems.add(stem)
        self._ids.add(image_id)
        self.rows.append({"id": image_id, "file_name": name, "height": height, "width": width})
        return stem


class Png16Writer:
    """`folder/panoptic/*.png` of category id * divisor + instance, and `folder/classes.json`; read by `png16`.

    Things count from 1 within their class, a crowd is instance 0, stuff too. Void is 0, or 65535 if there is a class 0.
    """

    def __init__(self, folder: Path | str, categories: Categories, divisor: int = DIVISOR) -> None:
        """Raises ValueError if a category id times the divisor does not fit into 16 bits."""
        self.folder, self.categories, self.divisor = Path(folder), categories, divisor
        self._images = ImageRows(self.folder)
        self._void = VOID_16 if 0 in categories.index_of_id else 0
        largest = max(category.id for category in categories)
        if (largest + 1) * divisor > VOID_16:
            raise ValueError(
                f"{self.folder}: category id {largest} times {divisor} does not fit into 16 bits; give a --divisor "
                f"of at most {VOID_16 // (largest + 1)}"
            )

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map. Raises ValueError if a class has as many things as the divisor."""
        stem = self._images.add(name, image_id, panoptic)
        numbers = numbered(panoptic, self.categories, self.divisor, name)
        painted = _painted(panoptic, {key: c * self.divisor + n for key, (c, n) in numbers.items()}, self._void)
        _write_png(self.folder / "panoptic" / f"{stem}.png", painted.astype(np.uint16))

    def close(self) -> Path:
        """Write `classes.json`."""
        return _write_classes(self.folder, self.categories, self._images, {"divisor": self.divisor})


class TwoChannelWriter:
    """`folder/panoptic/*.png`: first channel class, second instance, third what exceeds 255; read by `two_channel`.

    This is the two-channel format of the panoptic paper and of panopticapi as long as no class has over 255 things.
    """

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        """Raises ValueError for a category id above 254."""
        self.folder, self.categories = Path(folder), categories
        self._images = ImageRows(self.folder)
        self._void = VOID_8 if 0 in categories.index_of_id else 0
        largest = max(category.id for category in categories)
        if largest >= VOID_8:
            raise ValueError(f"{self.folder}: category id {largest} does not fit into one channel; use png16 or coco")

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map."""
        stem = self._images.add(name, image_id, panoptic)
        numbers = numbered(panoptic, self.categories, VOID_16 + 1, name)
        classes = _painted(panoptic, {key: number for key, (number, _) in numbers.items()}, self._void)
        instances = _painted(panoptic, {key: number for key, (_, number) in numbers.items()}, 0)
        rgb = np.stack([classes, instances % 256, instances // 256], axis=2).astype(np.uint8)
        write_atomically(self.folder / "panoptic" / f"{stem}.png", png_of_rgb(rgb))

    def close(self) -> Path:
        """Write `classes.json`."""
        return _write_classes(self.folder, self.categories, self._images, {})


class RleWriter:
    """`folder/instances.json`: COCO's instance format with a run-length mask for every segment, stuff too.

    Categories carry `isthing`; read by `coco_instances`, and by pycocotools.
    """

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        self.folder, self.categories = Path(folder), categories
        self._images = ImageRows(self.folder)
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Encode one map."""
        self._images.add(name, image_id, panoptic)
        masks = rles_of_ids(panoptic.ids, [segment.id for segment in panoptic])
        for segment, mask in zip(panoptic, masks, strict=True):
            row = {
                "id": len(self._annotations) + 1,
                "image_id": image_id,
                "category_id": segment.category.id,
                "iscrowd": int(segment.iscrowd),
                "area": segment.area,
                "bbox": list(segment.bbox),
                "segmentation": mask,
            }
            self._annotations.append(row if segment.score == 1 else {**row, "score": segment.score})

    def close(self) -> Path:
        """Write the JSON."""
        rows = {"images": self._images.rows, "annotations": self._annotations, "categories": self.categories.to_coco()}
        return write_rows(self.folder / "instances.json", rows)


class CityscapesPanopticWriter:
    """`folder/cityscapes_panoptic_SPLIT.json` and its folder of PNGs: what the official evaluation takes.

    Classes are matched by name and get label ids; read by `CocoPanoptic.of`.

    Attributes:
        pictures: what was written so far; the folder may hold those of an earlier run, too.
    """

    def __init__(self, folder: Path | str, categories: Categories, split: str = "val") -> None:
        """Raises ValueError for a class that Cityscapes does not have."""
        self.folder, self.stem = Path(folder), f"cityscapes_panoptic_{split}"
        self.pictures: list[Path] = []
        self._classes = _cityscapes_classes(categories, self.folder)
        self._images = ImageRows(self.folder)
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map."""
        identity = cityscapes_id(name, image_id)
        self._images.add(f"{identity}_leftImg8bit.png", identity, panoptic)
        picture = self.folder / self.stem / f"{identity}_panoptic.png"
        write_atomically(picture, encode_png(panoptic.ids))
        self.pictures.append(picture)
        rows = [self._row(segment) for segment in panoptic]
        self._annotations.append({"image_id": identity, "file_name": f"{identity}_panoptic.png", "segments_info": rows})

    def _row(self, segment: Segment) -> dict[str, Any]:
        return {
            "id": segment.id,
            "category_id": self._classes[segment.category.id].id,
            "area": segment.area,
            "bbox": list(segment.bbox),
            "iscrowd": int(segment.iscrowd),
        }

    def close(self) -> Path:
        """Write the JSON."""
        rows = {"images": self._images.rows, "annotations": self._annotations, "categories": CITYSCAPES.to_coco()}
        return write_rows(self.folder / f"{self.stem}.json", rows)


class CityscapesInstanceWriter:
    """Per image `folder/ID_pred.txt` (mask file, label id, score) and `folder/ID_pred/*.png`: the instance submission.

    Things only, crowds left out; nothing reads it back, because it has no stuff.

    Attributes:
        files: what was written so far; the folder may hold those of an earlier run, too.
    """

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        """Raises ValueError for a thing class that Cityscapes does not have."""
        self.folder = Path(folder)
        self.files: list[Path] = []
        self._classes = _cityscapes_classes(categories.things, self.folder)
        self._images = ImageRows(self.folder)

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one image's masks and its list."""
        identity = cityscapes_id(name, image_id)
        self._images.add(f"{identity}_leftImg8bit.png", identity, panoptic)
        lines: list[str] = []
        for segment in (each for each in panoptic if each.isthing and not each.iscrowd):
            file = f"{identity}_pred/{len(lines):03d}.png"
            _write_png(self.folder / file, (panoptic.ids == segment.id).astype(np.uint8) * 255)
            self.files.append(self.folder / file)
            lines.append(f"{file} {self._classes[segment.category.id].id} {segment.score:.6f}\n")
        table = self.folder / f"{identity}_pred.txt"
        write_atomically(table, "".join(lines).encode())
        self.files.append(table)

    def close(self) -> Path:
        """Nothing comes last."""
        return self.folder


def numbered(panoptic: PanopticMap, categories: Categories, limit: int, name: str) -> dict[int, tuple[int, int]]:
    """Segment id -> category id and a number within the class: things from 1, crowds 0, stuff from 0.

    Raises:
        ValueError: an unknown category, two crowds of one class (they would become one), or numbers up to `limit`.
    """
    seen: Counter[int] = Counter()
    crowds: set[int] = set()
    numbers = {}
    for segment in panoptic:
        kind = segment.category.id
        if kind not in categories.index_of_id:
            raise ValueError(f"{name}: segment {segment.id} has unknown category id {kind}")
        if segment.iscrowd:
            if kind in crowds:
                raise ValueError(
                    f"{name}: segment {segment.id} is the second crowd of {segment.category.name}; this format holds "
                    "one per class: `unipan data check --fix` merges them"
                )
            crowds.add(kind)
            numbers[segment.id] = (kind, 0)
            continue
        number = seen[kind] + segment.isthing
        seen[kind] += 1
        if number >= limit:
            raise ValueError(
                f"{name}: more than {limit - 1} {segment.category.name} do not fit; give a larger --divisor, or coco"
            )
        numbers[segment.id] = (kind, number)
    return numbers


def cityscapes_id(name: str, image_id: int | str) -> str:
    """CITY_123456_123456 of an image, from its id or its name. Raises ValueError if neither has it."""
    for text in (str(image_id), name.rpartition("/")[2]):
        found = re.match(r"[A-Za-z0-9-]+_\d{6}_\d{6}(?!\d)", text)
        if found is not None:
            return found[0]
    raise ValueError(f"{name}: neither it nor image id {image_id!r} is a Cityscapes image (CITY_123456_123456)")


def _cityscapes_classes(categories: Categories | tuple[Category, ...], folder: Path) -> dict[int, Category]:
    index = CITYSCAPES.index_of_name
    odd = [category.name for category in categories if category.name not in index]
    if odd:
        raise ValueError(f"{folder}: Cityscapes has no class {', '.join(odd[:6])}; rename it, or use another format")
    return {category.id: CITYSCAPES[index[category.name]] for category in categories}


def _painted(panoptic: PanopticMap, values: dict[int, int], void: int) -> np.ndarray:
    """For each pixel the value of its segment."""
    table = np.full(int(panoptic.ids.max(initial=0)) + 1, void, np.int64)
    for key, value in values.items():
        table[key] = value
    return np.asarray(table[panoptic.ids])


def _write_png(path: Path, pixels: np.ndarray) -> None:
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise ValueError(f"{path}: a picture of shape {pixels.shape} cannot be encoded")
    write_atomically(path, data.tobytes())


def _write_classes(folder: Path, categories: Categories, images: ImageRows, more: dict[str, Any]) -> Path:
    return write_rows(folder / CLASSES_FILE, {**more, "categories": categories.to_coco(), "images": images.rows})
