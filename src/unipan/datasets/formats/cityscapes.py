"""Cityscapes as it is downloaded: gtFine/SPLIT/CITY/*_gtFine_instanceIds.png and leftImg8bit/SPLIT/CITY/*.png.

The maps are those of the official preparation (cityscapesscripts, preparation/createPanopticImgs.py), which reads the
same files: a pixel of 1000 or more is class * 1000 + instance; a smaller one is a class without instances, which for a
thing class is a group (crowd); classes that the evaluation ignores are void. *_labelIds.png hold nothing more, so they
are not needed.
"""

from functools import partial
from pathlib import Path

from unipan.datasets.formats.listed import Entry, Listed
from unipan.datasets.formats.pixels import map_of_keys, read_labels
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap

INSTANCES = "_gtFine_instanceIds.png"
PHOTO = "_leftImg8bit.png"
OFFSET = 1000
"""From here on a pixel is class * OFFSET + instance."""

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
"""Label id, name, thing or not, colour of the 19 classes that are evaluated; the train id is the position."""

IGNORED = frozenset({-1, 0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30})
"""Label ids that the evaluation ignores (unlabeled, ego vehicle, ..., caravan, trailer, licence plate): void here."""

CITYSCAPES = Categories.of(Category(*row) for row in CLASSES)
CITYSCAPES_TRAIN_IDS = Categories.of(Category(train, *row[1:]) for train, row in enumerate(CLASSES))


def is_cityscapes(path: Path) -> bool:
    """Whether this is the folder above gtFine, gtFine itself, or one of its splits."""
    return path.is_dir() and ("gtFine" in (path.name, path.absolute().parent.name) or (path / "gtFine").is_dir())


def is_split(path: Path) -> bool:
    """Whether this is one split, gtFine/SPLIT."""
    return path.absolute().parent.name == "gtFine"


def cityscapes(path: Path | str, split: str | None = None, train_ids: bool = False) -> Listed:
    """Open one split; photographs are optional (without leftImg8bit/ there are only maps).

    Args:
        path: the folder that holds gtFine/ and leftImg8bit/; or gtFine itself; or gtFine/SPLIT.
        split: train, val or test; by default that of the path, else val.
        train_ids: categories carry train ids 0..18 instead of label ids 7..33 (`--use-train-id` officially).

    Raises:
        FileNotFoundError: no gtFine, no such split, no maps in it, or a photograph is missing.
    """
    root, split = _root_and_split(Path(path), split)
    folder = root / "gtFine" / split
    files = sorted(folder.glob(f"*/*{INSTANCES}"))
    if not files:
        raise FileNotFoundError(
            f"{folder}: no CITY/*{INSTANCES} here; unpack gtFine_trainvaltest.zip, or name another split "
            "(DIR/gtFine/train)"
        )
    categories = CITYSCAPES_TRAIN_IDS if train_ids else CITYSCAPES
    photos = root / "leftImg8bit" / split
    return Listed(folder, categories, [_entry(file, photos, categories) for file in files])


def cityscapes_map(path: Path, categories: Categories = CITYSCAPES) -> PanopticMap:
    """The map of one *_instanceIds.png; its pixel values stay the segment ids.

    Raises:
        FileNotFoundError, ValueError: a missing or damaged file, or a value that stands for no Cityscapes label.
    """
    by_label = {row[0]: categories[categories.index_of_name[row[1]]] for row in CLASSES}

    def describe(value: int) -> tuple[Category, bool] | None:
        label = value if value < OFFSET else value // OFFSET
        if label in IGNORED:
            return None
        if label not in by_label:
            raise ValueError(f"{path}: value {value} stands for no Cityscapes label; is this an *_instanceIds.png?")
        return by_label[label], by_label[label].isthing and value < OFFSET

    return map_of_keys(read_labels(path), describe, str(path), keep=True)


def _root_and_split(path: Path, split: str | None) -> tuple[Path, str]:
    full = path.absolute()
    if (path / "gtFine").is_dir():
        return path, split or "val"
    if full.name == "gtFine":
        return path.parent, split or "val"
    if is_split(path):
        return path.parent.parent, split or full.name
    raise FileNotFoundError(f"{path}: there is no gtFine/ here; give the folder that holds gtFine/ and leftImg8bit/")


def _entry(file: Path, photos: Path, categories: Categories) -> Entry:
    identity = file.name.removesuffix(INSTANCES)
    photo = photos / file.parent.name / f"{identity}{PHOTO}" if photos.is_dir() else None
    if photo is not None and not photo.is_file():
        raise FileNotFoundError(f"{photo}: no such photograph, but {file} has its map; unpack leftImg8bit again")
    return Entry(identity, f"{identity}{PHOTO}", photo, partial(cityscapes_map, file, categories))
