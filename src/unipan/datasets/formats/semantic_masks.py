"""`semantic-masks`: a picture of class ids, and the instances in a second picture or as one mask each."""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.arrays import Int32
from unipan.datasets.formats.classes import ClassesFile, class_or_void, read_classes
from unipan.datasets.formats.format import Format
from unipan.datasets.formats.label_picture import INSTANCES_PER_CLASS, map_of_keys, read_label_picture, read_labels
from unipan.datasets.formats.listed_dataset import ListedDataset, list_label_pictures
from unipan.panoptic.maps import PanopticMap


def semantic_and_masks(folder: Path | str, classes: Path | None = None, images: Path | None = None) -> ListedDataset:
    """Open `folder/semantic/NAME.png` with its instances; arguments as for `png16`.

    The instances are `folder/instances/NAME.png`, one number per thing and 0 elsewhere, or one mask per thing,
    `folder/instances/NAME/*.png`, of which later names are in front. An instance gets the thing class that most of its
    pixels have in the semantic picture, and keeps all of its pixels. Pixels of a thing class without an instance are a
    crowd. Classes 0 and 255 are void unless declared.

    Raises:
        FileNotFoundError, ValueError: no classes, no pictures, or (when a map is read) an undeclared class, or an
            instance on no thing class.
    """
    root = Path(folder)
    if not (root / "semantic").is_dir():
        raise FileNotFoundError(f"{root / 'semantic'}: no such folder; this format keeps its pictures of classes there")
    found = read_classes(classes, root)
    return list_label_pictures(root, "semantic", found, images, partial(_read_map_of_masks, root=root, classes=found))


def _read_map_of_masks(path: Path, root: Path, classes: ClassesFile) -> PanopticMap:
    return map_of_masks(path, root / "instances" / path.relative_to(root / "semantic"), classes)


def map_of_masks(path: Path, instances: Path, classes: ClassesFile) -> PanopticMap:
    """The map of a semantic picture and its instances (a picture, or a folder of masks); see `semantic_and_masks`."""
    semantic, numbers = read_labels(path), _read_instances(instances)
    if semantic.shape != numbers.shape:
        raise ValueError(f"{instances}: it is {numbers.shape} but {path} is {semantic.shape} (height, width)")
    kinds = {value: class_or_void(classes, value, 0, path) for value in np.unique(semantic).tolist()}
    things = np.array([value for value, kind in kinds.items() if kind and kind[0].isthing], np.int32)
    # Only pixels of things vote: an outline that strays onto stuff does not change the class.
    voting = np.isin(semantic, things) & (numbers > 0)
    pairs, votes = np.unique(
        numbers[voting].astype(np.int64) * INSTANCES_PER_CLASS + semantic[voting], return_counts=True
    )
    winners = dict(divmod(int(pair), INSTANCES_PER_CLASS) for pair in pairs[np.argsort(votes, kind="stable")])
    found = np.unique(numbers)
    lost = next((number for number in found[found > 0].tolist() if number not in winners), None)
    if lost is not None:
        raise ValueError(f"{instances}: instance {lost} lies on no thing class of {path}; remove it or relabel it")
    table = np.zeros(int(found.max(initial=0)) + 1, np.int64)
    table[list(winners)] = list(winners.values())
    keys = np.where(numbers > 0, table[numbers], semantic) * INSTANCES_PER_CLASS + numbers
    return map_of_keys(keys, lambda key: class_or_void(classes, *divmod(key, INSTANCES_PER_CLASS), path), str(path))


def _read_instances(path: Path) -> Int32[np.ndarray, "H W"]:
    folder = path.with_suffix("")
    if not folder.is_dir():
        return read_labels(path)
    numbers = None
    for number, file in enumerate(sorted(folder.glob("*.png")), start=1):
        mask = read_label_picture(file)[..., 0] > 0
        if numbers is None:
            numbers = np.zeros(mask.shape, np.int32)
        if mask.shape != numbers.shape:
            raise ValueError(f"{file}: it is {mask.shape} but the masks before it are {numbers.shape} (height, width)")
        numbers[mask] = number
    if numbers is None:
        raise ValueError(f"{folder}: no mask (*.png) is in this folder; write {path.name} of zeros for an empty image")
    return numbers


FORMAT = Format(
    "semantic-masks",
    "`semantic/NAME.png` of class ids, and `instances/NAME.png` (a number per thing) or `instances/NAME/*.png` (a mask "
    "per thing)",
    read=lambda path, options: semantic_and_masks(path, options.classes, options.images),
    uses=frozenset({"classes", "images", "void_classes", "strays"}),
)
