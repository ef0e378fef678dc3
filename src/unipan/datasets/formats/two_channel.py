"""`two-channel`: PNGs whose first channel is the class and whose second is the instance number.

This is the two-channel format of the panoptic paper and of panopticapi. A third channel extends the instance number:
second * 256 + third, as in KITTI-STEP.

lightly-train's models return arrays of H x W x 2, class and segment, of which segment -1 is void and segments of all
classes count from 0 (task models of its EoMT, read in version 0.18). Saved with numpy.save they are read here too.
"""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.arrays import Int64
from unipan.datasets.formats.class_names import classes_and_background
from unipan.datasets.formats.classes import CLASSES_FILE, VOID_8_BIT, ClassesFile, class_or_void
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions
from unipan.datasets.formats.label_picture import INSTANCES_PER_CLASS, map_of_keys, read_label_picture
from unipan.datasets.formats.listed_dataset import ListedDataset, list_label_pictures
from unipan.datasets.formats.picture_folder import suggest_pictures
from unipan.datasets.formats.png16 import largest_divisor
from unipan.datasets.formats.writing import WrittenImages, instance_numbers, paint
from unipan.files import write_atomically, write_json
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import png_of_rgb


def two_channel(folder: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open `folder/panoptic/*.png`, or `folder/*.png`; `classes`, `images`, `void_classes` and `crowds` as for `png16`.

    Classes 0 and 255 are void unless declared; instance 0 of a thing class is a crowd. In arrays (.npy) of H x W x 2,
    segment -1 is void instead, and segment 0 is a segment.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class.
    """
    found = classes_and_background(options, Path(folder))
    read = partial(two_channel_map, classes=found, options=options)
    return list_label_pictures(Path(folder), "panoptic", found, options.images, read)


def two_channel_map(path: Path, classes: ClassesFile, options: FormatOptions = DEFAULT_OPTIONS) -> PanopticMap:
    """The map of one picture; see `two_channel`."""
    channels = read_label_picture(path).astype(np.int64)
    if channels.shape[2] == 1:
        raise ValueError(f"{path}: it has one channel; two are needed, class and instance (one number: png16)")
    if channels.shape[2] == 4 and (channels[..., 3] != 255).any():
        raise ValueError(
            f"{path}: four channels, the last of which is no plain alpha; is this a bitmask of BDD100K (`bdd100k:`)?"
        )
    if channels.shape[2] > 2 and channels.max(initial=0) > 255:
        raise ValueError(f"{path}: {channels.shape[2]} channels of 16 bits; two of 16, or three of 8 are needed")
    instance = channels[..., 1] if channels.shape[2] == 2 else channels[..., 1] * 256 + channels[..., 2]
    if path.suffix == ".npy" and channels.shape[2] == 2:
        return _array_map(channels[..., 0], instance, classes, options, path)
    keys = channels[..., 0] * INSTANCES_PER_CLASS + instance

    def class_of(key: int) -> tuple[Category, bool] | None:
        return class_or_void(classes, *divmod(key, INSTANCES_PER_CLASS), path, options)

    return map_of_keys(keys, class_of, str(path), joined=classes.background)


def _array_map(
    labels: Int64[np.ndarray, "H W"],
    segments: Int64[np.ndarray, "H W"],
    classes: ClassesFile,
    options: FormatOptions,
    path: Path,
) -> PanopticMap:
    """The map of an array of lightly-train. Raises ValueError for a segment of several classes."""
    held = segments >= 0
    pairs = np.unique(np.stack([segments[held], labels[held]]), axis=1)
    twice = np.flatnonzero(np.diff(pairs[0]) == 0)
    if twice.size:
        place = int(twice[0])
        raise ValueError(
            f"{path}: segment {pairs[0, place]} is of class {pairs[1, place]} and of class {pairs[1, place + 1]}; each "
            "has one class"
        )
    label_of = dict(zip(*pairs.tolist(), strict=True))

    def class_of(key: int) -> tuple[Category, bool] | None:
        found = classes.uncovered(0) if key < 0 else class_or_void(classes, label_of[key], 1, path, options)
        return found and (found[0], False)

    return map_of_keys(np.where(held, segments, -1), class_of, str(path), joined=classes.background)


class TwoChannelWriter:
    """Writes `folder/panoptic/*.png` (class, instance modulo 256, instance // 256) and `folder/classes.json`."""

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        """Raises ValueError for a category id above 254."""
        self.folder, self.categories = Path(folder), categories
        self._images = WrittenImages(self.folder, categories)
        self._void = VOID_8_BIT if 0 in categories.index_of_id else 0
        largest = max(category.id for category in categories)
        if largest >= VOID_8_BIT:
            remedy = "use png16 or coco" if largest_divisor(largest) else "use coco"
            raise ValueError(f"{self.folder}: category id {largest} does not fit into one channel; {remedy}")

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
    "alpha works too. `panoptic/*.npy`: the H x W x 2 arrays of lightly-train. `--crowds`, `--void-classes`",
    read=two_channel,
    write=lambda folder, categories, _: TwoChannelWriter(folder, categories),
    stores_images=True,
    uses=frozenset({"classes", "images", "void_classes", "crowds", "background"}),
    suggest=lambda path: suggest_pictures("two-channel", path),
)
