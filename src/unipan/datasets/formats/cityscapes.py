"""`cityscapes`: the dataset as downloaded, gtFine/SPLIT/CITY/*_gtFine_instanceIds.png and leftImg8bit/SPLIT/CITY/*.png.

The maps equal those of the official preparation (cityscapesscripts, preparation/createPanopticImgs.py), which reads the
same files: a pixel of 1000 or more is class * 1000 + instance; a smaller one is a class without instances, which for a
thing class is a group (crowd); classes that the evaluation ignores are void. *_labelIds.png contain nothing more.
"""

from functools import partial
from pathlib import Path

from unipan.datasets.formats.format import Format
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

CITYSCAPES = Categories.of(Category(*row) for row in CLASSES)
CITYSCAPES_TRAIN_IDS = Categories.of(Category(train, *row[1:]) for train, row in enumerate(CLASSES))


def is_cityscapes(path: Path) -> bool:
    """Whether this is the folder above gtFine, gtFine itself, or one of its splits."""
    return path.is_dir() and ("gtFine" in (path.name, path.absolute().parent.name) or (path / "gtFine").is_dir())


def is_split(path: Path) -> bool:
    """Whether this is one split, gtFine/SPLIT."""
    return path.absolute().parent.name == "gtFine"


def cityscapes_split(path: Path | str, split: str | None = None, train_ids: bool = False) -> ListedDataset:
    """Open one split; without leftImg8bit/ it has maps only.

    Args:
        path: the folder with gtFine/ and leftImg8bit/, or gtFine itself, or gtFine/SPLIT.
        split: train, val or test; by default that of the path, or else val.
        train_ids: use train ids 0..18 in place of label ids 7..33 (officially `--use-train-id`).

    Raises:
        FileNotFoundError: there is no gtFine, no such split or no map in it, or an image is missing.
    """
    root, split = _root_and_split(Path(path), split)
    folder = root / "gtFine" / split
    files = sorted(folder.glob(f"*/*{INSTANCES_ENDING}"))
    if not files:
        raise FileNotFoundError(
            f"{folder}: no CITY/*{INSTANCES_ENDING} here; unpack gtFine_trainvaltest.zip, or name another split "
            "(DIR/gtFine/train)"
        )
    categories = CITYSCAPES_TRAIN_IDS if train_ids else CITYSCAPES
    images = root / "leftImg8bit" / split
    return ListedDataset(folder, categories, [_entry(file, images, categories) for file in files])


def cityscapes_map(path: Path, categories: Categories = CITYSCAPES) -> PanopticMap:
    """The map of one *_instanceIds.png, whose pixel values become the segment ids.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged, or a value is no Cityscapes label.
    """
    by_label = {row[0]: categories[categories.index_of_name[row[1]]] for row in CLASSES}

    def class_of(value: int) -> tuple[Category, bool] | None:
        label = value if value < OFFSET else value // OFFSET
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


def _entry(file: Path, images: Path, categories: Categories) -> Entry:
    identity = file.name.removesuffix(INSTANCES_ENDING)
    image = images / file.parent.name / f"{identity}{IMAGE_ENDING}" if images.is_dir() else None
    if image is not None and not image.is_file():
        raise FileNotFoundError(f"{image}: no such image, but {file} has its map; unpack leftImg8bit again")
    return Entry(identity, f"{identity}{IMAGE_ENDING}", image, partial(cityscapes_map, file, categories))


FORMAT = Format(
    "cityscapes",
    "`gtFine/SPLIT/CITY/*_gtFine_instanceIds.png` and `leftImg8bit/`, as unpacked. Recognised by its `gtFine/`. "
    "`--split` (val), `--train-ids`",
    read=lambda path, options: cityscapes_split(path, options.split, options.train_ids),
    recognises=is_cityscapes,
    uses=frozenset({"split", "train_ids"}),
)
