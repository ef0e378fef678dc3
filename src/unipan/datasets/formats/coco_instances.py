"""`coco-instances`, `rle`: COCO instances (polygons or run-length masks) and stuff, merged into one map.

From back to front: void, stuff, crowds, things; `Overlap` decides among things. Masks are decoded by faster-coco-eval
(the extra `eval`), with the same result as by pycocotools.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unipan.arrays import Bool, Int32
from unipan.datasets.formats.classes import read_classes
from unipan.datasets.formats.format import Format, FormatOptions, Overlap
from unipan.datasets.formats.label_picture import read_labels
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset, find_image
from unipan.datasets.formats.writing import WrittenImages, stem_of
from unipan.files import write_json
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import ImageId, Row, load_json, path_inside, rows_of, unique_rows
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.panoptic.runs import rles_of_ids

CROWD_LAYER, THING_LAYER = 1, 2
"""The layers in front of stuff."""

OTHER, OTHER_ID = "other", 183
"""COCO's stuff class for everything that is a thing: void, over which the things are painted."""


@dataclass(frozen=True)
class Layers:
    """What is painted into one image.

    Attributes:
        size: height and width.
        rows: annotations of things, and of stuff that comes as masks.
        stuff: a picture of class ids, or None.
        where: what error messages call the image.
    """

    size: tuple[int, int]
    rows: tuple[Row, ...]
    stuff: Path | None
    where: str


def coco_instances(
    json_file: Path | str,
    stuff: Path | None = None,
    classes: Path | None = None,
    images: Path | None = None,
    overlap: Overlap = "refuse",
) -> ListedDataset:
    """Open COCO instances, with stuff from a second JSON of that kind or from a folder of class pictures.

    Args:
        json_file: `images`, `annotations` (segmentation, category_id, iscrowd), `categories`; classes without
            `isthing` are things. Results (a bare list) need `classes` with `images`.
        stuff: a JSON (stuff_val2017.json; classes without `isthing` are stuff, `other` is void) or a folder of
            NAME.png whose pixels are category ids of stuff; pixels of things, 0 and 255 are void there.
        classes: a JSON whose `categories` replace those of both.
        images: folder of the images.
        overlap: see `Overlap`.

    Raises:
        FileNotFoundError, ValueError: what is missing or broken; when a map is read, also things that overlap.
    """
    source = Path(json_file)
    found, images_of, rows = _content(load_json(source), source, classes)
    picture_folder = stuff if stuff is not None and stuff.is_dir() else None
    if stuff is not None and picture_folder is None:
        more = load_json(stuff)
        if not isinstance(more, dict):
            raise ValueError(f"{stuff}: a COCO stuff JSON is an object, this one is a {type(more).__name__}")
        rows = rows + rows_of(more, "annotations", stuff)
        if classes is None:
            found = _merged(found, _categories(rows_of(more, "categories", stuff), False, stuff), source)
    by_image: dict[Any, list[Row]] = {key: [] for key in images_of}
    for row in rows:
        if not isinstance(row.get("image_id"), int | str) or row["image_id"] not in by_image:
            raise ValueError(
                f"{source}: annotation {row.get('id')!r} is of image {row.get('image_id')!r}, which is not in `images`"
            )
        by_image[row["image_id"]].append(row)
    entries = []
    for image_id, image in images_of.items():
        name, size = _name_and_size(image, source)
        stem = stem_of(name)
        picture = None if picture_folder is None else picture_folder / f"{stem}.png"
        layers = Layers(size, tuple(by_image[image_id]), picture, f"{source}: image {image_id!r}")
        read = partial(layered_map, layers, found, overlap)
        entries.append(Entry(image_id, name, find_image(images, stem, name), read))
    return ListedDataset(source, found, entries)


def layered_map(layers: Layers, categories: Categories, overlap: Overlap = "refuse") -> PanopticMap:
    """Paint one image; a thing that others hide completely is left out.

    Raises:
        ValueError: an unknown class, a broken mask, or with `refuse` two masks of one layer that overlap.
    """
    ids = np.zeros(layers.size, np.int32)
    segments: dict[int, Category] = {}
    if layers.stuff is not None:
        _paint_stuff(layers.stuff, ids, segments, layers, categories)
    crowds: set[int] = set()
    scores: dict[int, float] = {}
    for layer, masks in enumerate(_layers_of(layers, categories)):
        first = len(segments) + 1 if layer else 1
        # Only things have scores; of stuff and crowds the later ones are in front.
        rule: Overlap = "last" if overlap == "score" and layer < THING_LAYER else overlap
        for row, category, mask in _ordered(masks, rule, layers.where):
            taken = ids[mask][ids[mask] >= first]
            if overlap == "refuse" and len(taken):
                raise ValueError(
                    f"{layers.where}: annotation {row.get('id')!r} ({category.name}) shares {len(taken)} pixels with a "
                    f"{segments[int(taken[0])].name}; say which is in front: --overlap small, score or last"
                )
            key = len(segments) + 1
            ids[mask], segments[key] = key, category
            if layer == CROWD_LAYER:
                crowds.add(key)
            if isinstance(row.get("score"), int | float):
                scores[key] = float(row["score"])
    visible = set(np.unique(ids).tolist())
    segments = {key: category for key, category in segments.items() if key in visible}
    return panoptic_map(ids, segments, scores, crowds, layers.where)


def decode_mask(row: Row, layers: Layers) -> Bool[np.ndarray, "H W"]:
    """The mask of an annotation: polygons, or run-length encoding, compressed or not.

    Raises:
        ValueError: it is none of these, or of another size than the image.
    """
    from faster_coco_eval.core import mask as decoder

    height, width = layers.size
    shape, where = row.get("segmentation"), f"{layers.where}: annotation {row.get('id')!r}"
    size = shape.get("size") if isinstance(shape, dict) else [height, width]
    if not isinstance(shape, list | dict) or not shape or size != [height, width]:
        raise ValueError(
            f"{where}: its `segmentation` must be polygons or a run-length encoding of {height} x {width} pixels "
            f"(height x width); found {str(shape)[:60]}"
        )
    try:
        return np.asarray(decoder.decode(decoder.segmToRle(shape, width, height)), bool).reshape(height, width)
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{where}: its `segmentation` cannot be decoded ({str(error).partition(chr(10))[0]})"
        ) from error


Painted = tuple[Row, Category, Bool[np.ndarray, "H W"]]


def _layers_of(layers: Layers, categories: Categories) -> list[list[Painted]]:
    """The masks of stuff, of crowds and of things."""
    found: list[list[Painted]] = [[], [], []]
    for row in layers.rows:
        category = _category_of_row(row, categories, layers.where)
        if category is not None:
            layer = (CROWD_LAYER if row.get("iscrowd") else THING_LAYER) if category.isthing else 0
            found[layer].append((row, category, decode_mask(row, layers)))
    return found


def _ordered(masks: list[Painted], overlap: Overlap, where: str) -> list[Painted]:
    """From back to front."""
    if overlap == "small":
        return sorted(masks, key=lambda each: -int(each[2].sum()))
    if overlap == "score":
        bare = next((row for row, _, _ in masks if not isinstance(row.get("score"), int | float)), None)
        if bare is not None and len(masks) > 1:
            raise ValueError(f"{where}: annotation {bare.get('id')!r} has no `score`; choose another --overlap")
        return sorted(masks, key=lambda each: float(each[0].get("score", 1)))
    return masks


def _paint_stuff(
    path: Path, ids: Int32[np.ndarray, "H W"], segments: dict[int, Category], layers: Layers, categories: Categories
) -> None:
    """Paint a class picture into `ids` and add its segments."""
    picture = read_labels(path)
    if picture.shape != ids.shape:
        raise ValueError(f"{path}: it is {picture.shape} but {layers.where} is {ids.shape} (height, width)")
    for number in np.unique(picture).tolist():
        index = categories.index_of_id.get(number)
        if index is None and number not in (0, 255):
            raise ValueError(f"{path}: class {number} is none of the categories; give them all in --classes")
        if index is not None and not categories[index].isthing:
            ids[picture == number] = len(segments) + 1
            segments[len(segments) + 1] = categories[index]


def _content(content: Any, source: Path, classes: Path | None) -> tuple[Categories, dict[ImageId, Row], list[Row]]:
    """Categories, images by id, and annotations of a JSON of instances, or of bare results with a classes file."""
    if isinstance(content, list):
        if classes is None:
            raise ValueError(f"{source}: bare results hold neither images nor classes; give --classes GT.json")
        given = read_classes(classes, source.parent)
        return given.categories, given.images, rows_of({"annotations": content}, "annotations", source)
    if not isinstance(content, dict):
        raise ValueError(f"{source}: a COCO JSON is an object, this one is a {type(content).__name__}")
    images = unique_rows(rows_of(content, "images", source), "id", "image", source)
    if classes is not None:
        found = read_classes(classes, source.parent).categories
    else:
        found = _categories(rows_of(content, "categories", source), True, source)
    return found, images, rows_of(content, "annotations", source)


def _categories(rows: list[Row], things: bool, source: Path) -> Categories:
    """Categories whose `isthing` may be missing: COCO's instances are all things, its stuff is none."""
    kept = [row for row in rows if things or "isthing" in row or row.get("name") != OTHER]
    return Categories.from_coco([{"isthing": int(things), **row} for row in kept], str(source))


def _merged(one: Categories, other: Categories, source: Path) -> Categories:
    known = {category.id for category in one}
    try:
        return Categories.of([*one, *(category for category in other if category.id not in known)])
    except ValueError as error:
        raise ValueError(f"{source}: its classes and those of the stuff do not fit together: {error}") from error


def _category_of_row(row: Row, categories: Categories, where: str) -> Category | None:
    number = row.get("category_id")
    index = categories.index_of_id.get(number) if isinstance(number, int) else None
    if index is None and number != OTHER_ID:
        raise ValueError(f"{where}: annotation {row.get('id')!r} has unknown category id {number!r}")
    return None if index is None else categories[index]


def _name_and_size(image: Row, source: Path) -> tuple[str, tuple[int, int]]:
    name, height, width = image.get("file_name"), image.get("height"), image.get("width")
    if not isinstance(name, str) or not isinstance(height, int) or not isinstance(width, int):
        raise ValueError(f"{source}: image {image.get('id')!r} needs `file_name`, `height` and `width`")
    if height < 1 or width < 1:
        raise ValueError(f"{source}: image {image['id']!r} is {height} x {width}; it has no pixels")
    path_inside(source.parent, name, source)
    return name, (height, width)


class RleWriter:
    """Writes `folder/instances.json`: COCO's instance format with a run-length mask for every segment, stuff included.

    Categories have `isthing`. `coco_instances` and pycocotools read it.
    """

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        self.folder, self.categories = Path(folder), categories
        self._images = WrittenImages(self.folder, categories)
        self._annotations: list[Row] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Encode one map."""
        self._images.add(name, image_id, panoptic)
        masks = rles_of_ids(panoptic.ids, [segment.id for segment in panoptic])
        for segment, mask in zip(panoptic, masks, strict=True):
            row = {**segment.to_coco(), "id": len(self._annotations) + 1, "image_id": image_id, "segmentation": mask}
            self._annotations.append(row)

    def close(self) -> Path:
        """Write the JSON and return its path."""
        content = {
            "images": self._images.rows,
            "annotations": self._annotations,
            "categories": self.categories.to_coco(),
        }
        return write_json(self.folder / "instances.json", content)


def _read_coco_instances(path: Path, options: FormatOptions) -> ListedDataset:
    return coco_instances(path, options.stuff, options.classes, options.images, options.overlap)


FORMAT = Format(
    "coco-instances",
    "COCO instances: polygons or run-length masks, with or without stuff (`--stuff`, `--overlap`). "
    "Written: `instances.json` with a run-length mask for every segment, stuff included",
    read=_read_coco_instances,
    write=lambda folder, categories, _: RleWriter(folder, categories),
    aliases=("rle",),
)
