"""`cityscapes`: the dataset as downloaded, gtFine/SPLIT/CITY/*_gtFine_instanceIds.png and leftImg8bit/SPLIT/CITY/*.png.

The maps equal those of the official preparation (cityscapesscripts, preparation/createPanopticImgs.py), which reads the
same files: a pixel of 1000 or more is class * 1000 + instance; a smaller one is a class without instances, which for a
thing class is a group (crowd); classes that the evaluation ignores are void. *_labelIds.png contain nothing more.

Other tools write their own classes in this layout (CVAT, datumaro), without folders of cities, and images in imgsFine/.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from unipan.datasets.formats.background import with_background
from unipan.datasets.formats.class_names import classes_and_background
from unipan.datasets.formats.classes import CLASSES_FILE, ClassesFile, class_or_void
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import map_of_keys, read_labels
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap

INSTANCES_ENDING = "_gtFine_instanceIds.png"
IMAGE_ENDING = "_leftImg8bit.png"
OFFSET = 1000
"""Pixels of at least this value are class * OFFSET + instance."""

CLASSES = (
    (7, "road", False, (128, 64, 128)),
    (8, "sidewalk", False, (244, 35, 232)),
    (11, "building", False, (70, 70, 70)),
    (12, "wall", False, (102, 102, 156)),
    (13, "fence", False, (190, 153, 153)),
    (17, "pole", False, (153, 153, 153)),
    (19, "traffic light", False, (250, 170, 30)),
    (20, "traffic sign", False, (220, 220, 0)),
    (21, "vegetation", False, (107, 142, 35)),
    (22, "terrain", False, (152, 251, 152)),
    (23, "sky", False, (70, 130, 180)),
    (24, "person", True, (220, 20, 60)),
    (25, "rider", True, (255, 0, 0)),
    (26, "car", True, (0, 0, 142)),
    (27, "truck", True, (0, 0, 70)),
    (28, "bus", True, (0, 60, 100)),
    (31, "train", True, (0, 80, 100)),
    (32, "motorcycle", True, (0, 0, 230)),
    (33, "bicycle", True, (119, 11, 32)),
)
"""Label id, name, isthing and colour of the 19 evaluated classes; the position is the train id."""

IGNORED_LABELS = frozenset({-1, 0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30})
"""Label ids that the evaluation ignores (unlabeled, ego vehicle, ..., caravan, trailer, licence plate); void here."""

WITHOUT_INSTANCES = IGNORED_LABELS - {29, 30}
"""Of these no pixel has an instance: only caravans and trailers have."""

COLOR_FILES = ("label_colors.txt", "label_color.txt")
"""Names and colours of classes, as CVAT and datumaro write them."""

OFFICIAL_NAMES = frozenset({"ego vehicle", "rectification border", *(row[1] for row in CLASSES)})
"""Names that a list of classes has if their numbers are those of Cityscapes."""

CITYSCAPES = Categories.of(Category(*row) for row in CLASSES)
CITYSCAPES_TRAIN_IDS = Categories.of(Category(train, *row[1:]) for train, row in enumerate(CLASSES))


def is_cityscapes(path: Path) -> bool:
    """Whether this is the folder above gtFine, gtFine itself, or one of its splits."""
    return path.is_dir() and ("gtFine" in (path.name, path.absolute().parent.name) or (path / "gtFine").is_dir())


def is_split(path: Path) -> bool:
    """Whether this is one split, gtFine/SPLIT."""
    return path.absolute().parent.name == "gtFine"


def cityscapes_split(path: Path | str, split: str | None = None, train_ids: bool = False) -> ListedDataset:
    """`open_cityscapes` with these options."""
    return open_cityscapes(Path(path), FormatOptions(split=split, train_ids=train_ids))


def open_cityscapes(path: Path, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open one split; without leftImg8bit/ it has maps only.

    Args:
        path: the folder with gtFine/ and leftImg8bit/, or gtFine itself, or gtFine/SPLIT.
        options: `split` is train, val or test, by default that of the path, or else val; with `train_ids`, classes have
            train ids 0..18 in place of label ids 7..33 (officially `--use-train-id`). `classes` is a JSON with classes
            that are not those of Cityscapes, by default classes.json beside gtFine/; `void_classes` are for these.

    Raises:
        FileNotFoundError: there is no gtFine, no such split or no map in it, or an image is missing.
        ValueError: `train_ids` or `void_classes` do not fit the classes, or these are neither Cityscapes' nor given.
    """
    root, split = _root_and_split(path, options.split)
    folder = root / "gtFine" / split
    files = sorted([*folder.glob(f"*{INSTANCES_ENDING}"), *folder.glob(f"*/*{INSTANCES_ENDING}")])
    if not files:
        there = [each.name for each in sorted((root / "gtFine").iterdir()) if each.is_dir()]
        raise FileNotFoundError(
            f"{folder}: no *{INSTANCES_ENDING} here, nor in folders of cities; unpack gtFine_trainvaltest.zip, or name "
            f"another split ({', '.join(f'--split {each}' for each in there) or 'there is none'})"
        )
    images = root / "leftImg8bit" / split
    images = images if images.is_dir() else root / "imgsFine" / "leftImg8bit" / split
    own = _own_classes(root, options)
    if own is not None:
        read = partial(own_cityscapes_map, classes=own, options=options)
        return ListedDataset(folder, own.of_maps, [_entry(file, folder, images, read) for file in files])
    categories = CITYSCAPES_TRAIN_IDS if options.train_ids else CITYSCAPES
    read = partial(cityscapes_map, categories=categories)
    data = ListedDataset(folder, categories, [_entry(file, folder, images, read) for file in files])
    return data if options.background is None else with_background(data, options.background, folder)


def _own_classes(root: Path, options: FormatOptions) -> ClassesFile | None:
    """Classes that are not those of Cityscapes. Raises ValueError for options that do not fit."""
    given = options.classes or (root / CLASSES_FILE if (root / CLASSES_FILE).is_file() else None)
    if given is not None:
        if options.train_ids:
            raise ValueError(f"--train-ids: {given} has classes of its own, which have no train ids; leave it out")
        return classes_and_background(replace(options, classes=given), root)
    if options.void_classes:
        raise ValueError("--void-classes: which classes of Cityscapes are void is laid down; leave it out")
    for file in (root / name for name in COLOR_FILES if (root / name).is_file()):
        lines = file.read_text(errors="replace").splitlines()
        names = {re.sub(r"^\s*(\d+\s+)*", "", line).strip() for line in lines} - {""}
        if names and not names >= OFFICIAL_NAMES:
            raise ValueError(
                f"{file}: its classes are not those of Cityscapes, and it does not say which are things; give "
                "--classes FILE, a JSON with COCO `categories` (id, name, isthing), or put it here as classes.json"
            )
    return None


def own_cityscapes_map(path: Path, classes: ClassesFile, options: FormatOptions = DEFAULT_OPTIONS) -> PanopticMap:
    """The map of one *_instanceIds.png of other classes, of which 0 and 255 are void unless declared.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged, or a class is not declared.
    """

    def class_of(value: int) -> tuple[Category, bool] | None:
        if value < OFFSET:
            return class_or_void(classes, value, 0, path, options)
        found = class_or_void(classes, value // OFFSET, 1, path, options)
        return found and (found[0], False)

    return map_of_keys(
        read_labels(path), class_of, str(path), keep=classes.background is None, joined=classes.background
    )


def cityscapes_map(path: Path, categories: Categories = CITYSCAPES) -> PanopticMap:
    """The map of one *_instanceIds.png, whose pixel values become the segment ids.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged, or a value is no Cityscapes label.
    """
    by_label = {row[0]: categories[categories.index_of_name[row[1]]] for row in CLASSES}

    def class_of(value: int) -> tuple[Category, bool] | None:
        label = value if value < OFFSET else value // OFFSET
        if value >= OFFSET and label in WITHOUT_INSTANCES:
            raise ValueError(
                f"{path}: value {value} is an instance of class {label}, which has none in Cityscapes; for classes of "
                "your own give --classes FILE, a JSON with COCO `categories` (id, name, isthing)"
            )
        if label in IGNORED_LABELS:
            return None
        if label not in by_label:
            raise ValueError(f"{path}: value {value} is no Cityscapes label; is this an *_instanceIds.png?")
        return by_label[label], by_label[label].isthing and value < OFFSET

    return map_of_keys(read_labels(path), class_of, str(path), keep=True)


def _root_and_split(path: Path, split: str | None) -> tuple[Path, str]:
    full = path.absolute()
    if (path / "gtFine").is_dir():
        return path, split or "val"
    if full.name == "gtFine":
        return path.parent, split or "val"
    if is_split(path):
        return path.parent.parent, split or full.name
    raise FileNotFoundError(f"{path}: there is no gtFine/ here; give the folder with gtFine/ and leftImg8bit/")


def _entry(file: Path, folder: Path, images: Path, read: Callable[[Path], PanopticMap]) -> Entry:
    identity = file.name.removesuffix(INSTANCES_ENDING)
    image = images / file.parent.relative_to(folder) / f"{identity}{IMAGE_ENDING}" if images.is_dir() else None
    if image is not None and not image.is_file():
        raise FileNotFoundError(f"{image}: no such image, but {file} has its map; unpack leftImg8bit again")
    return Entry(identity, f"{identity}{IMAGE_ENDING}", image, partial(read, file), (file,))


def _suggest_cityscapes(path: Path) -> Words | None:
    """FROM and options for `unipan data convert`, if this has a folder gtFine with a split."""
    if not (path / "gtFine").is_dir():
        return None
    splits = sorted(each.name for each in (path / "gtFine").iterdir() if each.is_dir())
    return (f"cityscapes:{path}", *("--split", splits[0]) * ("val" not in splits)) if splits else None


FORMAT = Format(
    "cityscapes",
    "`gtFine/SPLIT/CITY/*_gtFine_instanceIds.png` and `leftImg8bit/`, as unpacked. Recognised by its `gtFine/`. "
    "`--split` (val), `--train-ids`. `--classes` for own classes in this layout (CVAT), cities or not",
    read=open_cityscapes,
    recognises=is_cityscapes,
    uses=frozenset({"split", "train_ids", "classes", "void_classes", "background"}),
    suggest=_suggest_cityscapes,
)
