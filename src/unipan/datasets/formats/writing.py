"""What the writers share: unique ids and names, and label pictures."""

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from unipan.arrays import Integer
from unipan.files import NAN_HINT, write_atomically
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import Row, path_inside
from unipan.panoptic.maps import PanopticMap


class WrittenImages:
    """The `images` of a JSON that is being written; ids and names are unique, and names stay inside the folder.

    Attributes:
        rows: one for each image.
    """

    def __init__(self, folder: Path, categories: Categories) -> None:
        self.folder, self.categories = folder, categories
        self.rows: list[Row] = []
        self._stems: set[str] = set()
        self._ids: set[int | str] = set()

    def check(self, name: str, image_id: int | str, panoptic: PanopticMap) -> str:
        """The file name of an image without its suffix.

        Raises:
            ValueError: the id or the name was written before, the name leads out of the folder, a category is unknown,
                or a score is not finite.
        """
        path_inside(self.folder, name, self.folder)
        stem = stem_of(name)
        if stem in self._stems or image_id in self._ids:
            raise ValueError(
                f"{self.folder}: image {image_id!r} ({name}) was written already; ids and names must be unique"
            )
        for segment in panoptic:
            if segment.category.id not in self.categories.index_of_id:
                raise ValueError(f"{name}: segment {segment.id} has unknown category id {segment.category.id}")
            if not isfinite(segment.score):
                raise ValueError(
                    f"{name}: the score of segment {segment.id} is {segment.score}, not a number; {NAN_HINT}"
                )
        return stem

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> str:
        """`check`, and remember the image."""
        stem = self.check(name, image_id, panoptic)
        height, width = panoptic.ids.shape
        self._stems.add(stem)
        self._ids.add(image_id)
        self.rows.append({"id": image_id, "file_name": name, "height": height, "width": width})
        return stem


def stem_of(name: str) -> str:
    """A file name without its suffix; folders are kept."""
    return str(PurePosixPath(name).with_suffix(""))


def write_png(path: Path, pixels: Integer[np.ndarray, "H W"]) -> None:
    """Write a picture of one 8- or 16-bit channel. Raises ValueError if it cannot be encoded."""
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise ValueError(f"{path}: a picture of shape {pixels.shape} cannot be encoded")
    write_atomically(path, data.tobytes())


def paint(panoptic: PanopticMap, values: Mapping[int, int], void: int) -> Integer[np.ndarray, "H W"]:
    """The map with each segment id replaced by its value, and void by `void`."""
    table = np.full(int(panoptic.ids.max(initial=0)) + 1, void, np.int64)
    table[list(values)] = list(values.values())
    return np.asarray(table[panoptic.ids])


def instance_numbers(
    panoptic: PanopticMap, limit: int, name: str, remedy: str = "use coco"
) -> dict[int, tuple[int, int]]:
    """Segment id -> category id and instance number.

    Things count from 1 within their class. A class's first stuff segment and its crowd are 0, further stuff segments
    count from 1.

    Args:
        panoptic: the map.
        limit: the first number that does not fit.
        name: what error messages call the image.
        remedy: what they suggest if there are too many segments of a class.

    Raises:
        ValueError: two crowds of one class (which would merge), or a class of `limit` things or more.
    """
    counts: Counter[int] = Counter()
    crowds: set[int] = set()
    numbers = {}
    for segment in panoptic:
        category = segment.category.id
        if segment.iscrowd:
            if category in crowds:
                raise ValueError(
                    f"{name}: segment {segment.id} is the second crowd of {segment.category.name}; this format holds "
                    "one per class: `unipan data check --fix` merges them"
                )
            crowds.add(category)
            numbers[segment.id] = (category, 0)
            continue
        number = counts[category] + segment.isthing
        counts[category] += 1
        if number >= limit:
            raise ValueError(
                f"{name}: more than {limit - 1} segments of class {segment.category.name} do not fit; {remedy}"
            )
        numbers[segment.id] = (category, number)
    return numbers
