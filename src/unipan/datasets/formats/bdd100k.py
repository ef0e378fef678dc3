"""`bdd100k`: bitmasks of BDD100K: R is the class, G four bits of attributes, B * 256 + A the number of the object.

The bits are, from the highest, truncated, occluded, crowd and ignored (https://doc.bdd100k.com/format.html).
"""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.datasets.formats.class_names import classes_and_background
from unipan.datasets.formats.classes import ClassesFile, class_or_void
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions
from unipan.datasets.formats.label_picture import map_of_keys, read_label_picture
from unipan.datasets.formats.listed_dataset import ListedDataset, list_label_pictures
from unipan.datasets.formats.picture_folder import suggest_pictures
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap

CROWD_BIT, IGNORED_BIT = 2, 1


def bdd100k(folder: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open `folder/panoptic/*.png`, or `folder/*.png`; `classes` and `images` as for `png16`.

    Objects with the crowd bit, or without a number, are a crowd; those with the ignored bit are void, and so are
    classes 0 and 255 unless they are declared, and those of `void_classes`. Stuff is one segment, whatever its number.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class.
    """
    found = classes_and_background(options, Path(folder))
    read = partial(bdd100k_map, classes=found, options=options)
    return list_label_pictures(Path(folder), "panoptic", found, options.images, read)


def bdd100k_map(path: Path, classes: ClassesFile, options: FormatOptions = DEFAULT_OPTIONS) -> PanopticMap:
    """The map of one bitmask; see `bdd100k`."""
    channels = read_label_picture(path).astype(np.int64)
    if channels.shape[2] != 4:
        raise ValueError(f"{path}: it has {channels.shape[2]} channels; a bitmask of BDD100K has four")
    if channels.max(initial=0) > 255:
        raise ValueError(f"{path}: its channels have 16 bits; those of a bitmask of BDD100K have 8")
    kinds, attributes = channels[..., 0], channels[..., 1]
    numbers = channels[..., 2] * 256 + channels[..., 3]
    crowd, ignored = (attributes & CROWD_BIT) > 0, (attributes & IGNORED_BIT) > 0
    stuff = [category.id for category in classes.categories.stuff]
    numbers[crowd | np.isin(kinds, stuff)] = 0
    keys = np.where(ignored, -1, kinds * 65536 + numbers)

    def class_of(key: int) -> tuple[Category, bool] | None:
        return None if key < 0 else class_or_void(classes, *divmod(key, 65536), path, options)

    return map_of_keys(keys, class_of, str(path), joined=classes.background)


FORMAT = Format(
    "bdd100k",
    "`panoptic/*.png`, BDD100K's bitmasks: R class, G attributes, B * 256 + A instance",
    read=bdd100k,
    uses=frozenset({"classes", "images", "void_classes", "background"}),
    suggest=lambda path: suggest_pictures("bdd100k", path),
)
