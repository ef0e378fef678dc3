"""The shapes of one image as a reader of polygons, boxes and masks finds them, and the map that they make."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.boxes_on_classes import map_of_boxes
from unipan.datasets.formats.class_names import background_of
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import find_image
from unipan.datasets.formats.regions import PixelRegion, Points, Size, region_of_box, region_of_mask, region_of_polygons
from unipan.datasets.formats.shapes import Layer, PaintedIds, Shape, layer_of, paint_shapes
from unipan.datasets.formats.writing import stem_of
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import short
from unipan.panoptic.maps import PanopticMap

SHAPE_OPTIONS = frozenset({"classes", "images", "overlap", "background", "as_stuff", "boxes", "class_maps"})
"""What every reader of shapes looks at."""

BOXES = "boxes without a mask (--boxes paint takes the whole box, --class-maps DIR cuts the object out of it)"
POINTS = "points and lines, which have no area"
NO_PIXELS = "shapes that cover no pixel"
FEW_CORNERS = "polygons of fewer than three corners"
MOST_PIXELS = 2**31 - 1
"""Of a map; far above any photograph, and what a broken size would allocate ends here."""


@dataclass(frozen=True)
class Drawing:
    """One image that is being read.

    Attributes:
        size: height and width.
        where: what messages call the image.
        name: its file name.
        categories: of the dataset.
        options: what was asked for; see `SHAPE_OPTIONS`.
        left_out: of the dataset.
        shapes: what was found so far.
    """

    size: Size
    where: str
    name: str
    categories: Categories
    options: FormatOptions
    left_out: LeftOut
    shapes: list[Shape] = field(default_factory=list)

    def __post_init__(self) -> None:
        height, width = self.size
        if height < 1 or width < 1 or height * width > MOST_PIXELS:
            raise ValueError(f"{self.where}: an image of {width} x {height} pixels; annotations say the size of theirs")

    def category(self, name: str) -> Category:
        """The class of a name."""
        return self.categories[self.categories.index_of_name[name]]

    @contextmanager
    def named(self, label: str) -> Generator[None, None, None]:
        """Inside, whatever is wrong with the numbers of a shape is said with the image and the shape.

        Raises:
            ValueError: see above.
        """
        try:
            yield
        except (ValueError, OverflowError) as error:
            if str(error).startswith(self.where):
                raise
            words = "a number is too large" if isinstance(error, OverflowError) else error
            raise ValueError(f"{self.where}: {label}: {words}") from error

    def add(
        self,
        label: str,
        category: Category | None,
        region: PixelRegion,
        *,
        iscrowd: bool = False,
        score: float | None = None,
        order: float = 0.0,
    ) -> None:
        """Add a shape; `category` None is a region to ignore. One without pixels is left out."""
        if not region.area:
            self.leave_out(NO_PIXELS, label)
            return
        layer = Layer.IGNORE if category is None else layer_of(category, iscrowd)
        self.shapes.append(Shape(category, region, label, layer, score, order))

    def add_box(
        self,
        label: str,
        category: Category,
        edges: tuple[float, float, float, float],
        angle: float = 0.0,
        order: float = 0.0,
    ) -> None:
        """Add an object of which only a box (left, top, right, bottom) is known, as `options.boxes` says."""
        with self.named(label):
            region = region_of_box(*edges, self.size, angle)
        self.add_box_region(label, category, region, order)

    def add_box_region(self, label: str, category: Category, region: PixelRegion, order: float = 0.0) -> None:
        """`add_box` with the pixels of the box."""
        if self.options.class_maps is not None or self.options.boxes == "paint":
            self.add(label, category, region, order=order)
            return
        self.leave_out(BOXES, label)
        if region.area:
            # Nobody knows which of its pixels are the object's: they are no background.
            self.shapes.append(Shape(None, region, label, Layer.NOT_BACKGROUND))

    def leave_out(self, reason: str, label: str) -> None:
        """Count what has no place in a map."""
        self.left_out.add(reason, f"{label} of {self.where}")

    def polygons(self, label: str, polygons: Iterable[Points]) -> PixelRegion:
        """The pixels of some polygons; those of fewer than three corners are counted and left out.

        Raises:
            ValueError: a corner is not a number.
        """
        parts = list(polygons)
        sound = [part for part in parts if len(part) >= 3]
        if len(sound) < len(parts):
            self.leave_out(FEW_CORNERS, label)
        with self.named(label):
            return region_of_polygons(sound, self.size)

    def truth(
        self, merge_stuff: bool = True, start: tuple[PaintedIds, dict[int, Category]] | None = None
    ) -> PanopticMap:
        """The map; raises as `paint_shapes`, or as `map_of_boxes` where there are class pictures."""
        background = background_of(self.categories, self.options)
        if self.options.class_maps is not None:
            picture = find_class_map(self.options.class_maps, self.name)
            return map_of_boxes(picture, self.shapes, self.size, self.categories, self.where, self.left_out, background)
        return paint_shapes(
            self.size, self.shapes, self.where, self.options.overlap, background, start=start, merge_stuff=merge_stuff
        )


def find_class_map(folder: Path, name: str) -> Path:
    """The picture of an image in a folder of class pictures. Raises FileNotFoundError."""
    stem = stem_of(name)
    found = next(
        (path for end in (".png", ".tif", ".tiff", ".npy") if (path := folder / f"{stem}{end}").is_file()), None
    )
    if found is None:
        raise FileNotFoundError(
            f"{folder / stem}.png: no such picture of classes, but --class-maps needs one per image"
        )
    return found


def numbered_pairs(points: Any, where: str) -> list[tuple[float, float]]:
    """A JSON's list of [x, y]. Raises ValueError for anything else."""
    pairs = []
    for row in points if isinstance(points, list) else [points]:
        if not (isinstance(row, list) and len(row) == 2 and all(isinstance(n, int | float) for n in row)):
            raise ValueError(f"{where}: its `points` are no list of [x, y]; found {short(points)}")
        pairs.append((float(row[0]), float(row[1])))
    return pairs


def union(regions: Sequence[PixelRegion], size: Size) -> PixelRegion:
    """All pixels of several regions."""
    if len(regions) == 1:
        return regions[0]
    mask = np.zeros(size, bool)
    for region in regions:
        mask[region.window] |= region.mask
    return region_of_mask(mask)


Finder = Callable[[str], Path | None]
"""Finds the file of an image by the name that the annotations give."""


def image_finder(given: Path | None, *places: Path) -> Finder:
    """A function that finds images in the given folder, or else in whichever of `places` has the first one.

    A name with folders is looked for whole, then by its last part alone, which cannot lead out of the folder.
    """
    chosen: list[Path] = [given] if given is not None else []

    def find(name: str) -> Path | None:
        plain = name.replace("\\", "/")
        short = plain.rsplit("/", 1)[-1]
        whole = plain if ".." not in plain.split("/") and not plain.startswith("/") and ":" not in plain else short
        for folder in chosen or places:
            for each in dict.fromkeys((whole, short)):
                if each and (folder / each).is_file():
                    if not chosen:
                        chosen.append(folder)
                    return folder / each
        if not chosen:
            return None
        return find_image(chosen[0], stem_of(short), short)

    return find
