"""`png16`: 16-bit PNGs whose pixels are category id * divisor + instance number."""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.datasets.formats.classes import CLASSES_FILE, ClassesFile, class_or_void, read_classes
from unipan.datasets.formats.format import Format
from unipan.datasets.formats.label_picture import map_of_keys, read_labels
from unipan.datasets.formats.listed_dataset import ListedDataset, list_label_pictures
from unipan.datasets.formats.writing import WrittenImages, instance_numbers, paint, write_png
from unipan.files import write_json
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap

DIVISOR = 1000
VOID_16_BIT = 65535


def png16(
    folder: Path | str, classes: Path | None = None, images: Path | None = None, divisor: int | None = None
) -> ListedDataset:
    """Open `folder/panoptic/*.png`, or `folder/*.png`.

    Instance 0 of a thing class is a crowd. Void is 65535, and classes 0 and 255 where they are not declared.

    Args:
        folder: of the dataset.
        classes: a JSON with `categories`; by default `folder/classes.json`.
        images: folder of the images; by default `folder/images`, if there is one.
        divisor: by default that of the classes file, or else 1000.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class.
    """
    found = read_classes(classes, Path(folder))
    read = partial(png16_map, classes=found, divisor=divisor or found.divisor or DIVISOR)
    return list_label_pictures(Path(folder), "panoptic", found, images, read)


def png16_map(path: Path, classes: ClassesFile, divisor: int = DIVISOR) -> PanopticMap:
    """The map of one picture; see `png16`."""

    def class_of(value: int) -> tuple[Category, bool] | None:
        return None if value == VOID_16_BIT else class_or_void(classes, value // divisor, value % divisor, path)

    return map_of_keys(read_labels(path), class_of, str(path))


class Png16Writer:
    """Writes `folder/panoptic/*.png` and `folder/classes.json`.

    Things count from 1 within their class; crowds and stuff are instance 0. Void is 0, or 65535 if there is a class 0.
    """

    def __init__(self, folder: Path | str, categories: Categories, divisor: int = DIVISOR) -> None:
        """Raises ValueError if a category id times the divisor does not fit into 16 bits."""
        self.folder, self.categories, self.divisor = Path(folder), categories, divisor
        self._images = WrittenImages(self.folder, categories)
        self._void = VOID_16_BIT if 0 in categories.index_of_id else 0
        largest = max(category.id for category in categories)
        if (largest + 1) * divisor > VOID_16_BIT:
            raise ValueError(
                f"{self.folder}: category id {largest} times {divisor} does not fit into 16 bits; give a --divisor "
                f"of at most {VOID_16_BIT // (largest + 1)}"
            )

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map. Raises ValueError if a class has as many things as the divisor, or two crowds."""
        stem = self._images.add(name, image_id, panoptic)
        remedy = "give a larger --divisor, or use coco"
        numbers = instance_numbers(panoptic, self.divisor, name, remedy)
        painted = paint(panoptic, {key: c * self.divisor + n for key, (c, n) in numbers.items()}, self._void)
        write_png(self.folder / "panoptic" / f"{stem}.png", painted.astype(np.uint16))

    def close(self) -> Path:
        """Write `classes.json` and return its path."""
        content = {"divisor": self.divisor, "categories": self.categories.to_coco(), "images": self._images.rows}
        return write_json(self.folder / CLASSES_FILE, content)


FORMAT = Format(
    "png16",
    "`panoptic/*.png`, 16 bits: category id * divisor + instance. `--divisor` (1000, or what `classes.json` says)",
    read=lambda path, options: png16(path, options.classes, options.images, options.divisor),
    write=lambda folder, categories, options: Png16Writer(folder, categories, options.divisor or DIVISOR),
    stores_images=True,
    uses=frozenset({"classes", "images", "divisor"}),
    writes_with=frozenset({"divisor"}),
)
