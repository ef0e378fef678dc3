"""`png16`: 16-bit PNGs whose pixels are category id * divisor + instance number."""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.datasets.formats.class_names import classes_and_background
from unipan.datasets.formats.classes import CLASSES_FILE, ClassesFile, class_or_void
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions
from unipan.datasets.formats.label_picture import map_of_keys, read_labels
from unipan.datasets.formats.listed_dataset import ListedDataset, list_label_pictures
from unipan.datasets.formats.picture_folder import suggest_pictures
from unipan.datasets.formats.writing import WrittenImages, instance_numbers, paint, write_png
from unipan.files import write_json
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap

DIVISOR = 1000
VOID_16_BIT = 65535


def png16(folder: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open `folder/panoptic/*.png`, or `folder/*.png`.

    Instance 0 of a thing class is a crowd, unless `crowds` says that instances count from 0. Void is 65535, classes 0
    and 255 where they are not declared, and `void_classes`. A value below the divisor is an instance of class 0; where
    there is no class 0 but a class of that number, `below_divisor` says which is meant (VIPSeg and Cityscapes write
    classes without instances so). A `background` is what nothing covers: 0, or 65535 and 255 where there is a class 0.

    Args:
        folder: of the dataset.
        options: `classes` is a JSON with `categories`, by default `folder/classes.json`; `images` the folder of the
            images, by default `folder/images`, if there is one; `divisor` by default that of the classes file, or else
            1000.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class.
    """
    found = classes_and_background(options, Path(folder))
    read = partial(png16_map, classes=found, divisor=options.divisor or found.divisor or DIVISOR, options=options)
    return list_label_pictures(Path(folder), "panoptic", found, options.images, read)


def png16_map(
    path: Path, classes: ClassesFile, divisor: int = DIVISOR, options: FormatOptions = DEFAULT_OPTIONS
) -> PanopticMap:
    """The map of one picture; see `png16`."""

    def class_of(value: int) -> tuple[Category, bool] | None:
        if value == VOID_16_BIT:
            return classes.uncovered(value)
        if options.below_divisor == "void" and 0 < value < divisor and 0 not in classes.categories.index_of_id:
            return None
        number, instance = _class_and_instance(value, divisor, classes, options, path)
        return class_or_void(classes, number, instance, path, options)

    return map_of_keys(read_labels(path), class_of, str(path), joined=classes.background)


def _class_and_instance(
    value: int, divisor: int, classes: ClassesFile, options: FormatOptions, path: Path
) -> tuple[int, int]:
    """The two numbers in a value. Raises ValueError where it can be read in two ways."""
    number, instance = divmod(value, divisor)
    known = classes.categories.index_of_id
    if options.below_divisor == "class":
        if number == 0:
            return value, 0
        # With a divisor of 100, 117 is a class where class 1 has no instances, as VIPSeg's stuff has none.
        if value in known:
            if number in known and classes.categories[known[number]].isthing:
                raise ValueError(
                    f"{path}: {value} is a class, and instance {instance} of class {number}; number the classes anew"
                )
            return value, 0
    elif number == 0 and instance and 0 not in known and value in known and options.below_divisor == "refuse":
        raise ValueError(
            f"{path}: {value} is below the divisor {divisor}, and there is no class 0; --below-divisor class if it is "
            f"the class {classes.categories[known[value]].name!r} without an instance, --below-divisor void if not"
        )
    return number, instance


def largest_divisor(number: int) -> int:
    """The largest divisor by which a category id fits into 16 bits; 0 where none leaves room for instances."""
    room = VOID_16_BIT // (number + 1)
    return room if room > 1 else 0


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
            room = largest_divisor(largest)
            remedy = f"give a --divisor of at most {room}" if room else "use coco"
            raise ValueError(
                f"{self.folder}: category id {largest} times {divisor} does not fit into 16 bits; {remedy}"
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
    "`panoptic/*.png`, 16 bits: category id * divisor + instance. `--divisor` (1000, or what `classes.json` says), "
    "`--below-divisor`, `--crowds`, `--void-classes`",
    read=png16,
    write=lambda folder, categories, options: Png16Writer(folder, categories, options.divisor or DIVISOR),
    stores_images=True,
    uses=frozenset({"classes", "images", "divisor", "void_classes", "crowds", "below_divisor", "background"}),
    writes_with=frozenset({"divisor"}),
    suggest=lambda path: suggest_pictures("png16", path),
)
