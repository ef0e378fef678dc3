"""Boxes and a picture of classes instead of masks: the panoptic truth that the two prove.

A pixel of a thing class in exactly one box of that class is that box's. Where several boxes of its class overlap, or
none is, nobody knows whose it is: void, which losses and metrics ignore. Stuff is as the picture says.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unipan.datasets.formats.label_picture import read_labels
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.regions import Size
from unipan.datasets.formats.shapes import Layer, Shape
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, panoptic_map

VOID_CLASSES = (0, 255)
"""Void in a picture of classes, unless they are declared."""

SHARED = "boxes of which no pixel is theirs alone"
BARE = "pixels of a thing class outside every box of that class (they become void), in pictures"


def map_of_boxes(
    picture: Path,
    shapes: Iterable[Shape],
    size: Size,
    categories: Categories,
    where: str,
    left_out: LeftOut,
    background: Category | None = None,
) -> PanopticMap:
    """The map of a picture of category ids and the boxes of its things.

    Args:
        picture: of the image's size.
        shapes: of which the windows are the boxes; those of stuff are not looked at, regions to ignore become void.
        size: of the image.
        categories: of the dataset.
        where: what messages call the image.
        left_out: counts boxes without a pixel of their own, and pictures with things that no box holds.
        background: the class of 0 in the picture, where that is not declared.

    Raises:
        FileNotFoundError, ValueError: the picture is missing, damaged or of another size, or holds an undeclared class.
    """
    kinds = read_labels(picture)
    if kinds.shape != size:
        raise ValueError(f"{picture}: it is {kinds.shape} but {where} is {size} (height, width)")
    ids = np.zeros(size, np.int32)
    classes: dict[int, Category] = {}
    crowds: set[int] = set()
    boxes, used = list(shapes), set[int]()
    for number in np.unique(kinds).tolist():
        category, pixels = _class_of_pixels(number, categories, background, picture), kinds == number
        if category is None:
            continue
        if not category.isthing:
            classes[len(classes) + 1] = category
            ids[pixels] = len(classes)
            continue
        mine = [shape for shape in boxes if shape.category == category]
        owner, count = _owners(mine, size)
        if (pixels & (count == 0)).any():
            left_out.add(BARE, f"{picture} ({category.name})")
        owner[~pixels | (count != 1)] = 0
        for place in np.unique(owner[owner > 0]).tolist():
            classes[len(classes) + 1] = category
            ids[owner == place] = len(classes)
            used.add(id(mine[place - 1]))
            crowds |= {len(classes)} if mine[place - 1].layer == Layer.CROWD else set()
    for shape in boxes:
        if shape.layer == Layer.IGNORE:
            ids[shape.region.window][shape.region.mask] = 0
        elif shape.category is not None and shape.category.isthing and id(shape) not in used:
            left_out.add(SHARED, f"{shape.label} of {where}")
    visible = set(np.unique(ids).tolist())
    return panoptic_map(ids, {k: c for k, c in classes.items() if k in visible}, crowds=crowds & visible, source=where)


def _class_of_pixels(
    number: int, categories: Categories, background: Category | None, picture: Path
) -> Category | None:
    """The class of a pixel; None for void."""
    index = categories.index_of_id.get(number)
    if index is not None:
        return categories[index]
    if number not in VOID_CLASSES:
        raise ValueError(f"{picture}: class {number} is none of the categories; give them all in --classes")
    return background if number == 0 else None


def _owners(boxes: list[Shape], size: Size) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel the number (from 1) of the last box that holds it, and how many do."""
    owner, count = np.zeros(size, np.int32), np.zeros(size, np.int32)
    for place, shape in enumerate(boxes, start=1):
        owner[shape.region.window] = place
        count[shape.region.window] += 1
    return owner, count
