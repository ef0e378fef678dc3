"""Annotated shapes become one panoptic map: what the readers of polygons, boxes and masks share.

From back to front: background, stuff, crowds, things, regions to ignore. Among the shapes of a layer those of a higher
`order` (CVAT's z_order) are in front; among equals `Overlap` decides, which by default refuses.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from unipan.arrays import Bool, Int32
from unipan.datasets.formats.format import Overlap
from unipan.datasets.formats.regions import PixelRegion, Size
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map

PaintedIds = Int32[np.ndarray, "H W"]


class Layer(IntEnum):
    """From back to front."""

    NOT_BACKGROUND = 0
    STUFF = 1
    CROWD = 2
    THING = 3
    IGNORE = 4


@dataclass(frozen=True)
class Shape:
    """One annotated region.

    Attributes:
        category: its class; None for void.
        region: its pixels.
        label: what messages call it, like "annotation 5".
        layer: where it lies.
        score: if it has one.
        order: within its layer; larger is in front.
    """

    category: Category | None
    region: PixelRegion
    label: str
    layer: Layer
    score: float | None = None
    order: float = 0.0


def layer_of(category: Category, iscrowd: bool = False) -> Layer:
    """Where a shape of a class lies."""
    return (Layer.CROWD if iscrowd else Layer.THING) if category.isthing else Layer.STUFF


def paint_shapes(
    size: Size,
    shapes: Iterable[Shape],
    where: str,
    overlap: Overlap = "refuse",
    background: Category | None = None,
    start: tuple[PaintedIds, dict[int, Category]] | None = None,
    merge_stuff: bool = True,
) -> PanopticMap:
    """Paint one image; a shape that others hide completely is left out.

    Args:
        size: of the image.
        shapes: in the order of the file. Where one of `Layer.NOT_BACKGROUND` lies alone, the map is void even if there
            is a background: something is there whose pixels are not known.
        where: what messages call the image.
        overlap: which of two shapes of one layer and order is in front.
        background: the stuff class of all pixels that nothing covers; None leaves them void.
        start: ids and classes that are painted already, as the lowest stuff.
        merge_stuff: shapes of one stuff class are one segment, as in COCO panoptic format.

    Raises:
        ValueError: two shapes of one layer overlap and `overlap` is `refuse`, or a score is missing.
    """
    ids, classes = start or (np.zeros(size, np.int32), {})
    canvas = _Canvas(ids, classes, np.zeros(size, bool), overlap, where)
    for layer, group in _by_layer(shapes):
        if layer in (Layer.NOT_BACKGROUND, Layer.IGNORE):
            canvas.paint_void(group)
        else:
            canvas.paint_layer(group, merge_stuff and layer == Layer.STUFF, layer)
    if background is not None:
        canvas.fill(background)
    visible = set(np.unique(ids).tolist())
    kept = {key: category for key, category in classes.items() if key in visible}
    scores = {key: score for key, score in canvas.scores.items() if key in visible}
    return panoptic_map(ids, kept, scores, canvas.crowds & visible, where)


class OverlapError(ValueError):
    """Two shapes overlap, and nobody says which is in front."""


@dataclass
class _Canvas:
    """A map that is being painted.

    Attributes:
        ids, classes: the map so far.
        void: pixels that no background may fill.
    """

    ids: PaintedIds
    classes: dict[int, Category]
    void: Bool[np.ndarray, "H W"]
    overlap: Overlap
    where: str

    def __post_init__(self) -> None:
        self.scores: dict[int, float] = {}
        self.crowds: set[int] = set()
        self.keys: dict[Category, int] = {category: key for key, category in self.classes.items()}
        self.last = max(self.classes, default=0)

    def paint_void(self, shapes: list[Shape]) -> None:
        for shape in shapes:
            self.ids[shape.region.window][shape.region.mask] = VOID_ID
            self.void[shape.region.window] |= shape.region.mask

    def paint_layer(self, shapes: list[Shape], merge: bool, layer: Layer) -> None:
        first = self.last + 1
        below = 1 if layer == Layer.STUFF else first
        # Only things have scores that say what is in front; of stuff and crowds the later ones are.
        rule: Overlap = "last" if self.overlap == "score" and layer != Layer.THING else self.overlap
        orders: dict[int, float] = {}
        for shape in _ordered(shapes, rule, self.where):
            assert shape.category is not None
            pixels, mask = self.ids[shape.region.window], shape.region.mask
            key = self.keys.get(shape.category) if merge else None
            if rule == "refuse":
                taken = pixels[mask]
                self._refuse(taken[(taken >= below) & (taken != (key or 0))], shape, orders)
            key = key or self._new(shape.category)
            pixels[mask] = key
            self.void[shape.region.window] &= ~mask
            orders[key] = shape.order
            if layer == Layer.CROWD:
                self.crowds.add(key)
            if shape.score is not None:
                self.scores[key] = shape.score

    def _refuse(self, taken: np.ndarray, shape: Shape, orders: dict[int, float]) -> None:
        """Raise ValueError if any of these ids is of the same order as the shape."""
        rivals = [key for key in np.unique(taken).tolist() if orders.get(key, 0) == shape.order]
        if rivals and shape.category is not None:
            count = int(np.isin(taken, rivals).sum())
            raise OverlapError(
                f"{self.where}: {shape.label} ({shape.category.name}) shares {count} pixels with a "
                f"{self.classes[rivals[0]].name}; say which is in front: --overlap small, score or last"
            )

    def fill(self, background: Category) -> None:
        free = (self.ids == VOID_ID) & ~self.void
        if free.any():
            self.ids[free] = self.keys.get(background) or self._new(background)

    def _new(self, category: Category) -> int:
        self.last += 1
        self.classes[self.last] = category
        self.keys[category] = self.last
        return self.last


def _by_layer(shapes: Iterable[Shape]) -> list[tuple[Layer, list[Shape]]]:
    groups: dict[Layer, list[Shape]] = {layer: [] for layer in Layer}
    for shape in shapes:
        groups[shape.layer].append(shape)
    return list(groups.items())


def _ordered(shapes: list[Shape], overlap: Overlap, where: str) -> list[Shape]:
    """From back to front."""
    if overlap == "small":
        return sorted(shapes, key=lambda each: (each.order, -each.region.area))
    if overlap == "score":
        bare = next((each for each in shapes if each.score is None), None)
        if bare is not None and len(shapes) > 1:
            raise ValueError(f"{where}: {bare.label} has no `score`; choose another --overlap")
        return sorted(shapes, key=lambda each: (each.order, 1.0 if each.score is None else each.score))
    return sorted(shapes, key=lambda each: each.order)
