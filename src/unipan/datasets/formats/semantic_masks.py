"""`semantic-masks`: a picture of class ids, and the instances in a second picture or as one mask each."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from unipan.arrays import Int32
from unipan.datasets.formats.class_names import classes_and_background
from unipan.datasets.formats.classes import CLASSES_FILE, ClassesFile, class_or_void
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import map_of_keys, read_label_picture, read_labels
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import (
    ListedDataset,
    find_label_picture,
    label_pictures_in,
    list_label_pictures,
)
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap

VOID_CLASS = -1
"""Stands for the numbers that were declared void."""

LOST = "instances that lie on no thing class"


def semantic_and_masks(folder: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open `folder/semantic/NAME.png` with its instances; `classes` and `images` as for `png16`.

    The instances are `folder/instances/NAME.png`, one number per thing and 0 elsewhere, or one mask per thing,
    `folder/instances/NAME/*.png`, of which later names are in front. An instance gets the thing class that most of its
    pixels have in the semantic picture, and keeps all of its pixels. Pixels of a thing class without an instance are a
    crowd. Classes 0 and 255 are void unless declared, and those of `void_classes` always. TIFF and .npy are read too.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class, or an
            instance on no thing class, unless `strays` leaves it out.
    """
    root = Path(folder)
    if not (root / "semantic").is_dir():
        raise FileNotFoundError(f"{root / 'semantic'}: no such folder; this format keeps its pictures of classes there")
    found, left_out = classes_and_background(options, root), LeftOut()
    read = partial(_read_map_of_masks, root=root, classes=found, options=options, left_out=left_out)

    def instances(path: Path) -> tuple[Path, ...]:
        picture = _instances_of(path, root)
        masks = picture.with_suffix("")
        return (picture, *(label_pictures_in(masks) if masks.is_dir() else ()))

    return list_label_pictures(root, "semantic", found, options.images, read, left_out, instances)


def _read_map_of_masks(
    path: Path, root: Path, classes: ClassesFile, options: FormatOptions, left_out: LeftOut
) -> PanopticMap:
    """The map of a semantic picture and its instances; see `semantic_and_masks`."""
    instances = _instances_of(path, root)
    semantic, numbers = read_labels(path), _read_instances(instances)
    require_one_size(instances, numbers.shape, path, semantic.shape)
    semantic = np.where(np.isin(semantic, options.void_classes), VOID_CLASS, semantic).astype(np.int32)

    def class_of(number: int, instance: int) -> tuple[Category, bool] | None:
        return None if number == VOID_CLASS else class_or_void(classes, number, instance, path)

    strays = left_out if options.strays == "leave-out" else None
    return map_of_instances(semantic, numbers, class_of, path, instances, strays, classes.background)


def _instances_of(path: Path, root: Path) -> Path:
    return find_label_picture(root / "instances" / path.relative_to(root / "semantic"))


def require_one_size(path: Path, size: tuple[int, ...], other: Path, expected: tuple[int, ...]) -> None:
    """Raises ValueError if two label pictures are not of one size."""
    if size != expected:
        raise ValueError(f"{path}: it is {size} but {other} is {expected} (height, width)")


def map_of_instances(
    semantic: Int32[np.ndarray, "H W"],
    numbers: Int32[np.ndarray, "H W"],
    class_of: Callable[[int, int], tuple[Category, bool] | None],
    path: Path,
    instances: Path,
    left_out: LeftOut | None = None,
    joined: Category | None = None,
) -> PanopticMap:
    """The map of a picture of class numbers and a picture of instance numbers, 0 where there is no instance.

    Args:
        semantic, numbers: the two pictures.
        class_of: the class of a class number and an instance (0: none) and whether it is a crowd; None for void.
        path, instances: what messages call the two.
        left_out: counts instances on no thing class, which are dropped; None refuses them.
        joined: see `map_of_keys`.

    Raises:
        ValueError: a number is negative, or an instance lies on no thing class.
    """
    if numbers.min(initial=0) < 0:
        raise ValueError(f"{instances}: it holds instance {numbers.min()}; numbers are 1 or more, 0 is no instance")
    kinds = {value: class_of(value, 0) for value in np.unique(semantic).tolist()}
    things = np.array([value for value, kind in kinds.items() if kind and kind[0].isthing], np.int32)
    # Numbers may be far apart (parcel ids have seven digits): from here on they count 0, 1, 2, ...
    found, flat = np.unique(np.append(numbers.reshape(-1), 0), return_inverse=True)
    places = flat[:-1].reshape(numbers.shape)
    # Only pixels of things vote: an outline that strays onto stuff does not change the class.
    voting = np.isin(semantic, things) & (places > 0)
    classes, column = np.unique(semantic, return_inverse=True)
    pairs, votes = np.unique(places[voting] * len(classes) + column.reshape(semantic.shape)[voting], return_counts=True)
    winners = dict(divmod(int(pair), len(classes)) for pair in pairs[np.argsort(votes, kind="stable")])
    lost = [place for place in range(1, len(found)) if place not in winners]
    if lost and left_out is None:
        raise ValueError(
            f"{instances}: instance {found[lost[0]]} lies on no thing class of {path}; remove it or relabel it "
            "(semantic-masks: --strays leave-out)"
        )
    for place in lost:
        assert left_out is not None
        left_out.add(LOST, f"{found[place]} of {instances}")
    places[np.isin(places, lost)] = 0
    table = np.zeros(len(found), np.int64)
    table[list(winners)] = list(winners.values())
    keys = np.where(places > 0, table[places], column.reshape(semantic.shape)) * len(found) + places

    def class_of_key(key: int) -> tuple[Category, bool] | None:
        kind, place = divmod(key, len(found))
        return class_of(int(classes[kind]), place)

    return map_of_keys(keys, class_of_key, str(path), joined=joined)


def _read_instances(path: Path) -> Int32[np.ndarray, "H W"]:
    folder = path.with_suffix("")
    if not folder.is_dir() or path.is_file():
        return read_labels(path)
    numbers = None
    for number, file in enumerate(label_pictures_in(folder), start=1):
        mask = read_label_picture(file)[..., 0] > 0
        if numbers is None:
            numbers = np.zeros(mask.shape, np.int32)
        if mask.shape != numbers.shape:
            raise ValueError(f"{file}: it is {mask.shape} but the masks before it are {numbers.shape} (height, width)")
        numbers[mask] = number
    if numbers is None:
        raise ValueError(f"{folder}: no mask is in this folder; write {path.name} of zeros for an empty image")
    return numbers


def _suggest_semantic_masks(path: Path) -> Words | None:
    """FROM for `unipan data convert`, if this is such a folder with its classes."""
    there = (path / CLASSES_FILE).is_file() and not (path / "panoptic.json").exists()
    folders = ("semantic", "instances")
    return (f"semantic-masks:{path}",) if there and all((path / each).is_dir() for each in folders) else None


FORMAT = Format(
    "semantic-masks",
    "`semantic/NAME.png` of class ids, and `instances/NAME.png` (a number per thing) or `instances/NAME/*.png` (a mask "
    "per thing); TIFF and .npy too. `--void-classes`, `--strays`",
    read=semantic_and_masks,
    uses=frozenset({"classes", "images", "void_classes", "strays", "background"}),
    suggest=_suggest_semantic_masks,
)
