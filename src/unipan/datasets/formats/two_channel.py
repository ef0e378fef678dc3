"""`two-channel`: PNGs whose first channel is the class and whose second is the instance number.

This is the two-channel format of the panoptic paper and of panopticapi. A third channel extends the instance number:
second * 256 + third, as in KITTI-STEP.
"""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.datasets.formats.classes import CLASSES_FILE, VOID_8_BIT, ClassesFile, class_or_void, read_classes
from unipan.datasets.formats.format import Format
from unipan.datasets.formats.label_picture import INSTANCES_PER_CLASS, map_of_keys, read_label_picture
from unipan.datasets.formats.listed_dataset import ListedDataset, list_label_pictures
from unipan.datasets.formats.writing import WrittenImages, instance_numbers, paint
from unipan.files import write_atomically, write_json
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import png_of_rgb


def two_channel(folder: Path | str, classes: Path | None = None, images: Path | None = None) -> ListedDataset:
    """Open `folder/panoptic/*.png`, or `folder/*.png`; arguments as for `png16`.

    Classes 0 and 255 are void unless declared; instance 0 of a thing class is a crowd.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class.
    """
    found = read_classes(classes, Path(folder))
    return list_label_pictures(Path(folder), "panoptic", found, images, partial(two_channel_map, classes=found))


def two_channel_map(path: Path, classes: ClassesFile) -> PanopticMap:
    """The map of one picture; see `two_channel`."""
    channels = read_label_picture(path).astype(np.int64)
    if channels.shape[2] == 1:
        raise ValueError(f"{path}: it has one channel; two are needed, class and instance (one number: png16)")
    if channels.shape[2] == 4 and (channels[..., 3] != 255).any():
        raise ValueError(
            f"{path}: four channels, the last of which is no plain alpha; is this a bitmask of BDD100K (`bdd100k:`)?"
        )
    instance = channels[..., 1] if channels.shape[2] == 2 else channels[..., 1] * 256 + channels[..., 2]
    keys = channels[..., 0] * INSTANCES_PER_CLASS + instance
    return map_of_keys(keys, lambda key: class_or_void(classes, *divmod(key, INSTANCES_PER_CLASS), path), str(path))


class TwoChannelWriter:
    """Writes `folder/panoptic/*.png` (class, instance modulo 256, instance // 256) and `folder/classes.json`."""

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        """Raises ValueError for a category id above 254."""
        self.folder, self.categories = Path(folder), categories
        self._images = WrittenImages(self.folder, categories)
        self._void = VOID_8_BIT if 0 in categories.index_of_id else 0
        largest = max(category.id for category in categories)
        if largest >= VOID_8_BIT:
            raise ValueError(f"{self.folder}: category id {largest} does not fit into one channel; use png16 or coco")

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map. Raises ValueError if a class has two crowds."""
        stem = self._images.add(name, image_id, panoptic)
        numbers = instance_numbers(panoptic, INSTANCES_PER_CLASS, name)
        classes = paint(panoptic, {key: number for key, (number, _) in numbers.items()}, self._void)
        instances = paint(panoptic, {key: number for key, (_, number) in numbers.items()}, 0)
        rgb = np.stack([classes, instances % 256, instances // 256], axis=2).astype(np.uint8)
        write_atomically(self.folder / "panoptic" / f"{stem}.png", png_of_rgb(rgb))

    def close(self) -> Path:
        """Write `classes.json` and return its path."""
        content = {"categories": self.categories.to_coco(), "images": self._images.rows}
        return write_json(self.folder / CLASSES_FILE, content)


FORMAT = Format(
    "two-channel",
    "`panoptic/*.png`: class in the first channel, instance in the second; a third extends it (KITTI-STEP), and grey + "
    "alpha works too",
    read=lambda path, options: two_channel(path, options.classes, options.images),
    write=lambda folder, categories, _: TwoChannelWriter(folder, categories),
    stores_images=True,
    uses=frozenset({"classes", "images"}),
)
