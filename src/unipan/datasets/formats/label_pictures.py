"""Datasets of label pictures without a JSON of segments: class and instance in one number, in two channels, in two
pictures. Classes come from `classes.json` in the folder, or from --classes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int32

from unipan.datasets.formats.classes import ClassesFile, read_classes
from unipan.datasets.formats.listed import Entry, Listed, find_photo
from unipan.datasets.formats.pixels import map_of_keys, read_channels, read_labels
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import inside
from unipan.panoptic.maps import PanopticMap

DIVISOR = 1000
VOID_8, VOID_16 = 255, 65535
CHANNEL = 65536
"""Two channels become one key: class * CHANNEL + instance."""


def png16(
    folder: Path | str, classes: Path | None = None, images: Path | None = None, divisor: int | None = None
) -> Listed:
    """16-bit PNGs whose pixels are category id * divisor + instance: `folder/panoptic/*.png` (or `folder/*.png`).

    Instance 0 of a thing class is a crowd. Void is 65535, and any value whose class is 0 or 255 where no such class
    is declared. The divisor is 1000 unless classes.json or the argument says otherwise.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or an undeclared class.
    """
    root = Path(folder)
    found = read_classes(classes, root)
    factor = divisor or found.divisor or DIVISOR
    return _listed(root, "panoptic", found, images, lambda path: partial(png16_map, path, found, factor))


def two_channel(folder: Path | str, classes: Path | None = None, images: Path | None = None) -> Listed:
    """PNGs whose first channel is the class and whose second is the instance: `folder/panoptic/*.png`.

    A third channel counts on (instance = second * 256 + third, as KITTI-STEP writes it; panopticapi leaves it 0). Class
    0 and class 255 are void unless declared; instance 0 of a thing class is a crowd.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or an undeclared class.
    """
    root = Path(folder)
    found = read_classes(classes, root)
    return _listed(root, "panoptic", found, images, lambda path: partial(two_channel_map, path, found))


def semantic_and_masks(folder: Path | str, classes: Path | None = None, images: Path | None = None) -> Listed:
    """`folder/semantic/NAME.png` holds class ids; instances are `folder/instances/NAME.png`, one number per thing (0:
    none), or one mask per thing: `folder/instances/NAME/*.png`, any value above 0; a later name lies on top.

    An instance has the thing class that most of its pixels have in the semantic picture and owns all of its pixels.
    Thing pixels without an instance are a crowd. Class 0 and class 255 are void unless declared.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, an undeclared class, or an instance on no thing.
    """
    root = Path(folder)
    found = read_classes(classes, root)

    def read(path: Path) -> Callable[[], PanopticMap]:
        inner = path.relative_to(root / "semantic")
        return partial(semantic_map, path, root / "instances" / inner, found)

    return _listed(root, "semantic", found, images, read)


def png16_map(path: Path, classes: ClassesFile, divisor: int = DIVISOR) -> PanopticMap:
    """The map of one picture; see `png16`."""
    keys = read_labels(path)

    def describe(value: int) -> tuple[Category, bool] | None:
        return None if value == VOID_16 else _describe(value // divisor, value % divisor, classes, path)

    return map_of_keys(keys, describe, str(path))


def two_channel_map(path: Path, classes: ClassesFile) -> PanopticMap:
    """The map of one picture; see `two_channel`."""
    channels = read_channels(path).astype(np.int64)
    if channels.shape[2] == 1:
        raise ValueError(f"{path}: it has one channel; two are needed, class and instance (one number: png16)")
    # An alpha channel of four is no label.
    instance = channels[..., 1] if channels.shape[2] == 2 else channels[..., 1] * 256 + channels[..., 2]
    return map_of_keys(
        channels[..., 0] * CHANNEL + instance,
        lambda key: _describe(key // CHANNEL, key % CHANNEL, classes, path),
        str(path),
    )


def semantic_map(path: Path, instances: Path, classes: ClassesFile) -> PanopticMap:
    """The map of a semantic picture and its instances (a picture, or a folder of masks); see `semantic_and_masks`."""
    semantic, numbers = read_labels(path), _instances(instances)
    if semantic.shape != numbers.shape:
        raise ValueError(f"{instances}: it is {numbers.shape} but {path} is {semantic.shape} (height, width)")
    kinds = {value: _describe(value, 0, classes, path) for value in np.unique(semantic).tolist()}
    things = np.array([value for value, kind in kinds.items() if kind and kind[0].isthing], np.int32)
    # Votes of things only: an outline that strays over stuff keeps its class.
    voted = np.isin(semantic, things) & (numbers > 0)
    pairs, votes = np.unique(numbers[voted].astype(np.int64) * CHANNEL + semantic[voted], return_counts=True)
    owner = {int(pair) // CHANNEL: int(pair) % CHANNEL for pair in pairs[np.argsort(votes, kind="stable")]}
    found = np.unique(numbers)
    lost = next((number for number in found[found > 0].tolist() if number not in owner), None)
    if lost is not None:
        raise ValueError(f"{instances}: instance {lost} lies on no thing class of {path}; remove it or relabel it")
    table = np.zeros(int(found.max(initial=0)) + 1, np.int64)
    table[list(owner)] = list(owner.values())
    keys = np.where(numbers > 0, table[numbers], semantic) * CHANNEL + numbers
    return map_of_keys(keys, lambda key: _describe(key // CHANNEL, key % CHANNEL, classes, path), str(path))


def _instances(place: Path) -> Int32[np.ndarray, "H W"]:
    folder = place.with_suffix("")
    if not folder.is_dir():
        return read_labels(place)
    numbers = None
    for number, mask in enumerate(sorted(folder.glob("*.png")), start=1):
        on = read_channels(mask)[..., 0] > 0
        if numbers is None:
            numbers = np.zeros(on.shape, np.int32)
        if on.shape != numbers.shape:
            raise ValueError(f"{mask}: it is {on.shape} but the masks beside it are {numbers.shape} (height, width)")
        numbers[on] = number
    if numbers is None:
        raise ValueError(f"{folder}: no mask (*.png) is in this folder; write {place.name} of zeros for an empty image")
    return numbers


def _describe(number: int, instance: int, classes: ClassesFile, path: Path) -> tuple[Category, bool] | None:
    index = classes.categories.index_of_id.get(number)
    if index is None:
        if number in (0, VOID_8):
            return None
        raise ValueError(f"{path}: class {number} is not in {classes.source}; declare it there, or paint it void")
    category = classes.categories[index]
    return category, category.isthing and instance == 0


def _listed(
    root: Path, part: str, classes: ClassesFile, images: Path | None, make: Callable[[Path], Callable[[], PanopticMap]]
) -> Listed:
    folder = root / part if (root / part).is_dir() or part == "semantic" else root
    photos = images or (root / "images" if (root / "images").is_dir() else None)
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.png"))}
    if not files:
        raise FileNotFoundError(f"{folder}: no *.png here; this format keeps its label pictures there")
    known = {stem_of(inside_name(row, classes)): key for key, row in classes.images.items()}
    # Where images are listed, their order is the dataset's.
    order = [stem for stem in known if stem in files] + [stem for stem in files if stem not in known]
    entries = []
    for stem in order:
        image_id = known.get(stem, stem)
        name = classes.images[image_id]["file_name"] if stem in known else None
        photo = find_photo(photos, stem, name)
        name = name or (f"{stem}{photo.suffix}" if photo else f"{stem}.png")
        entries.append(Entry(image_id, name, photo, make(files[stem])))
    return Listed(root, classes.categories, entries)


def stem_of(name: str) -> str:
    """A file name without its ending, folders kept."""
    return str(PurePosixPath(name).with_suffix(""))


def inside_name(row: dict[str, Any], classes: ClassesFile) -> str:
    """The file name of an image that a classes file lists. Raises ValueError if it has none or climbs out."""
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{classes.source}: image {row.get('id')!r} has no `file_name`; add it, or leave out `images`")
    inside(classes.source.parent, name, classes.source)
    return name
