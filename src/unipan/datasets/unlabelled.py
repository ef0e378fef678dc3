"""A folder of photographs without a truth, as data: enough to compare two runs of a network, or to calibrate one."""

from functools import partial
from pathlib import Path

import numpy as np

from unipan.datasets.formats.cityscapes import is_cityscapes
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset, images_below
from unipan.datasets.formats.registry import readable, split_prefix
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sources import is_scenes, open_first, paths_read
from unipan.outputs import ResultFolders
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap

UNLABELLED = Categories((Category(0, "unlabelled", isthing=False, color=(0, 0, 0)),))
"""The class of data that has none, which no network is trained on: nothing can be scored."""


def open_images(source: str, limit: int) -> tuple[PanopticData, range, str]:
    """`open_first`, and also of a folder that holds nothing but photographs: their maps are void.

    Raises:
        FileNotFoundError, ValueError: see `open_first`.
    """
    if not _is_unlabelled(source):
        return open_first(source, limit)
    files = photographs_in(Path(source))
    data = ListedDataset(
        Path(source), UNLABELLED, [Entry(n, path.name, path, partial(_void, path)) for n, path in enumerate(files, 1)]
    )
    chosen = range(min(limit or len(files), len(files)))
    return data, chosen, f"{len(chosen)} of the {len(files)} photographs in {source}"


def images_read(source: str) -> list[Path]:
    """`paths_read` for what `open_images` opens."""
    return [Path(source)] if _is_unlabelled(source) else paths_read(source)


def photographs_in(folder: Path) -> list[Path]:
    """The images in a folder itself, in order, without what unipan wrote: folders in it may hold maps."""
    if not folder.is_dir():
        return []
    results = ResultFolders()
    return [path for path in images_below(folder) if path.parent == folder and results.author(path) is None]


def _is_unlabelled(source: str) -> bool:
    """Whether a source is a folder with photographs and no dataset."""
    if is_scenes(source):
        return False
    name, path = split_prefix(source, readable())
    plain = name is None and not (path / "panoptic.json").exists() and not is_cityscapes(path)
    return plain and bool(photographs_in(path))


def _void(path: Path) -> PanopticMap:
    return PanopticMap(np.zeros(image_size(path), np.int32), ())
