"""`label-images`: pictures in which every object of one class has a number, as microscopes' tools write them.

Fiji, StarDist, QuPath, ilastik and Cellpose save a number per pixel, 0 where there is no object: as TIFF of 8, 16 or 32
bits (whole numbers, or floating-point ones without a fraction), PNG or .npy. The pictures are in masks/ or labels/
beside images/, under the image's name with or without an ending such as `_masks`; or beside the images, as
NAME_masks.tif (Cellpose: NAME_cp_masks.png). Pillow reads such TIFFs; what it cannot open ends in a sentence.
"""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.datasets.formats.class_names import background_of, classes_of_names
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import map_of_keys, read_labels
from unipan.datasets.formats.listed_dataset import IMAGE_SUFFIXES, LABEL_SUFFIXES, Entry, ListedDataset, find_image
from unipan.files import files_below
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

FOLDERS = ("masks", "labels", "label_images", "instances")
MASK_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "-labels", "-mask", "_instances")
"""Behind the image's name; the first that fits is taken off."""

THING = "object"
"""The name of the class, unless `--thing` gives another."""


def label_images(path: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open the folder that holds masks/ (or labels/) and images/, or pictures and images side by side.

    Args:
        path: the folder.
        options: `thing` names the class of all objects, `background` that of 0; `images` is the folder of the images.

    Raises:
        FileNotFoundError, ValueError: no picture, a missing image, or (when a map is read) what is no label picture.
    """
    root = Path(path)
    categories = classes_of_names([options.thing or THING], options, root)
    if not categories.things:
        raise ValueError(f"--thing {options.thing or THING}: the one class cannot be the background too")
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), root)
    pictures = {file: stem for file in _files_in(folder) if (stem := _stem_of_image(file, folder == root)) is not None}
    if not pictures:
        gui = next(iter(folder.glob("*_seg.npy")), None)
        hint = "; export the masks from Cellpose as PNG or TIFF (File > Save masks)" if gui is not None else ""
        raise FileNotFoundError(f"{folder}: no label pictures here (masks/, labels/ or NAME_masks.tif){hint}")
    images = options.images or (root / "images" if (root / "images").is_dir() else None)
    images = images or (root if folder == root else None)
    entries = []
    for file, stem in pictures.items():
        image = find_image(images, stem)
        name = f"{stem}{image.suffix if image is not None else '.png'}"
        entries.append(Entry(stem, name, image, partial(_read_label_image, file, categories, options), (file,)))
    return ListedDataset(root, categories, entries)


def _read_label_image(path: Path, categories: Categories, options: FormatOptions) -> PanopticMap:
    numbers, background = read_labels(path), background_of(categories, options)
    if numbers.min(initial=0) < 0:
        raise ValueError(f"{path}: it holds {numbers.min()}; objects have numbers from 1, and 0 is none")
    thing = categories.things[0]
    empty = None if background is None else (background, False)
    return map_of_keys(numbers, lambda number: (thing, False) if number else empty, str(path))


def _files_in(folder: Path) -> list[Path]:
    return [path for path in files_below(folder, LABEL_SUFFIXES) if not path.stem.endswith("_seg")]


def _stem_of_image(file: Path, beside: bool) -> str | None:
    """The name of the image to which a picture belongs; None for an image that lies beside it."""
    ending = next((each for each in MASK_ENDINGS if file.stem.endswith(each) and file.stem != each), None)
    if ending is None:
        return None if beside else file.stem
    return file.stem.removesuffix(ending)


def _suggest_label_images(path: Path) -> Words | None:
    """Only where each picture has an image; a lone folder of TIFFs could be anything."""
    if not path.is_dir() or (path / "classes.json").is_file() or (path / "panoptic.json").is_file():
        return None
    try:
        data = label_images(path)
        numbers = read_labels_of(data)
    except (ValueError, OSError):
        return None
    if numbers is None or ((path / "images").is_dir() is False and not _beside(path)):
        return None
    return (f"label-images:{path}", "--thing", THING, *BACKGROUND)


def read_labels_of(data: ListedDataset) -> np.ndarray | None:
    """The first map's ids; None if the dataset has no images."""
    try:
        data.image_path(0)
    except ValueError:
        return None
    return data.truth(0).ids


def _beside(path: Path) -> bool:
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir())


FORMAT = Format(
    "label-images",
    "`masks/NAME.tif` (or `labels/`, or `NAME_masks.tif` beside `NAME.tif`): a number per object of one class; TIFF, "
    "PNG or .npy (Fiji, Cellpose, StarDist, QuPath). `--thing`",
    read=label_images,
    uses=frozenset({"images", "background", "thing"}),
    suggest=_suggest_label_images,
)
