"""`coco-instances`, `rle`: COCO instances (polygons or run-length masks) and stuff, merged into one map.

From back to front: void or a background, stuff, crowds, things; `Overlap` decides among things. Masks are decoded by
faster-coco-eval, with the same result as by pycocotools.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.class_names import with_roles
from unipan.datasets.formats.classes import read_classes
from unipan.datasets.formats.drawing import SHAPE_OPTIONS, Drawing, Finder, image_finder
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, PAINT, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import read_labels
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.formats.regions import PixelRegion, Size, region_of_mask
from unipan.datasets.formats.rle_writer import RleWriter
from unipan.datasets.formats.shapes import PaintedIds
from unipan.datasets.formats.writing import stem_of
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import ImageId, Row, leads_outside, load_json, rows_of, short, unique_rows, whole
from unipan.panoptic.coco_parser import says_crowd
from unipan.panoptic.maps import PanopticMap

OTHER, OTHER_ID = "other", 183
"""COCO's stuff class for everything that is a thing: void, over which the things are painted."""

ROOT_CLASS = "classes that are only the heading of the others (Roboflow's project)"


def coco_instances(json_file: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open COCO instances, with stuff from a second JSON of that kind or from a folder of class pictures.

    Args:
        json_file: `images`, `annotations` (segmentation, category_id, iscrowd), `categories`; classes without
            `isthing` are things. Results (a bare list) need `classes` with `images`. Or a folder with one such JSON.
        options: `stuff` is a JSON (stuff_val2017.json; classes without `isthing` are stuff, `other` is void) or a
            folder of NAME.png whose pixels are category ids of stuff; pixels of things, 0 and 255 are void there.
            `classes` is a JSON whose `categories` replace those of both. `images` is by default the folder of the JSON
            or `images` in it, if the images are there. With `crowds` "things", `iscrowd` means nothing.

    Raises:
        FileNotFoundError, ValueError: what is missing or broken; when a map is read, also things that overlap.
    """
    source = coco_json_in(Path(json_file))
    left_out, content = LeftOut(), load_json(source)
    found, images_of, rows = _content(content, source, options.classes, left_out)
    # Our own JSON keeps every segment of stuff apart; where nobody says what is stuff, one class is one segment.
    merge = not (isinstance(content, dict) and any("isthing" in row for row in content.get("categories", [])))
    stuff = options.stuff
    picture_folder = stuff if stuff is not None and stuff.is_dir() else None
    if stuff is not None and picture_folder is None:
        more = load_json(stuff)
        if not isinstance(more, dict):
            raise ValueError(f"{stuff}: a COCO stuff JSON is an object, this one is a {type(more).__name__}")
        rows = rows + rows_of(more, "annotations", stuff)
        if options.classes is None:
            found = _merged(found, _categories(rows_of(more, "categories", stuff), False, stuff), source)
    found = with_roles(found, options, source)
    by_image: dict[Any, list[Row]] = {key: [] for key in images_of}
    for row in rows:
        if type(row.get("image_id")) not in (int, str) or row["image_id"] not in by_image:
            raise ValueError(
                f"{source}: annotation {row.get('id')!r} is of image {short(row.get('image_id'))}, "
                f"{_why_not_listed(row.get('image_id'), by_image)}"
            )
        by_image[row["image_id"]].append(row)
    find = image_finder(options.images, source.parent, source.parent / "images")
    entries = []
    for image_id, image in images_of.items():
        name, size, path = _image_of_row(image, source, find)
        drawing = partial(Drawing, size, f"{source}: image {image_id!r}", name, found, options, left_out)
        picture = None if picture_folder is None else picture_folder / f"{stem_of(name)}.png"
        read = partial(_read_layers, drawing, tuple(by_image[image_id]), picture, merge)
        entries.append(Entry(image_id, name, path, read, () if picture is None else (picture,)))
    return ListedDataset(source, found, entries, left_out)


def _why_not_listed(image_id: Any, listed: Mapping[Any, object]) -> str:
    """The end of a sentence on an image id that `images` does not have, or has in another spelling."""
    number = whole(image_id)
    other = next((each for each in (number, str(number)) if number is not None and each in listed), None)
    if other is None:
        return "which is not in `images`"
    return f"but `images` has it as {other!r}; write the same number, or the same text, in both places"


def coco_json_in(path: Path) -> Path:
    """The JSON itself, or the one JSON of COCO instances in a folder, as Roboflow and Label Studio export it.

    Raises:
        FileNotFoundError, ValueError: the folder has none, or several.
    """
    if not path.is_dir():
        return path
    names = ("_annotations.coco.json", "instances.json", "result.json", "annotations.json", "instances_default.json")
    found = [path / name for name in names if (path / name).is_file()] or sorted(path.glob("*.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise FileNotFoundError(f"{path}: no JSON of COCO instances here; name the file")
    raise ValueError(f"{path}: {found[0].name} and {found[1].name} are here; name the JSON that you mean")


def _read_layers(make: "partial[Drawing]", rows: tuple[Row, ...], picture: Path | None, merge: bool) -> PanopticMap:
    """Paint one image. Raises ValueError for an unknown class, a broken mask, or masks that overlap."""
    drawing = make()
    for row in rows:
        with drawing.named(f"annotation {row.get('id')!r}"):
            _draw_row(row, drawing)
    start = None if picture is None else _stuff_of_picture(picture, drawing)
    return drawing.truth(merge, start)


def _draw_row(row: Row, drawing: Drawing) -> None:
    category = _category_of_row(row, drawing.categories, drawing.where)
    if category is None:
        return
    label = f"annotation {row.get('id')!r}"
    crowd = says_crowd(row.get("iscrowd")) and drawing.options.crowds == "keep"
    score = row.get("score")
    region = region_of_segmentation(row, drawing)
    if region is not None:
        score = float(score) if isinstance(score, int | float) else None
        drawing.add(label, category, region, iscrowd=crowd, score=score)
        return
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box):
        x, y, width, height = (float(side) for side in box)
        drawing.add_box(label, category, (x, y, x + width, y + height))
    else:
        drawing.leave_out("annotations with neither mask nor box", label)


def region_of_segmentation(row: Row, drawing: Drawing) -> PixelRegion | None:
    """The pixels of an annotation: polygons (or one alone), or run-length encoding, compressed or not; None if it has
    no segmentation, or polygons of fewer than three corners alone.

    Raises:
        ValueError: it is none of these, or of another size than the image.
    """
    from faster_coco_eval.core import mask as decoder

    height, width = drawing.size
    shape, label = row.get("segmentation"), f"annotation {row.get('id')!r}"
    if shape is None or shape == []:
        return None
    where = f"{drawing.where}: {label}"
    if not isinstance(shape, list | dict) or (isinstance(shape, dict) and shape.get("size") != [height, width]):
        raise ValueError(
            f"{where}: its `segmentation` must be polygons or a run-length encoding of {height} x {width} pixels "
            f"(height x width); found {str(shape)[:60]}"
        )
    if isinstance(shape, list):
        parts = shape if isinstance(shape[0], list) else [shape]
        polygons = [_corners(part, where) for part in parts]
        region = drawing.polygons(label, polygons)
        return region if any(len(part) >= 3 for part in polygons) else None
    _check_counts(shape.get("counts"), height * width, where)
    try:
        mask = np.asarray(decoder.decode(decoder.segmToRle(shape, width, height)), bool).reshape(height, width)
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{where}: its `segmentation` cannot be decoded ({str(error).partition(chr(10))[0]})"
        ) from error
    return region_of_mask(mask)


def _check_counts(counts: Any, pixels: int, where: str) -> None:
    """Raises ValueError for run lengths that the decoder would not take, or explain in its own words."""
    if isinstance(counts, str):
        return
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError(
            f"{where}: its `counts` are neither text nor a list of whole numbers from 0 on; found {short(counts)}"
        )
    if sum(counts) != pixels:
        raise ValueError(f"{where}: its `counts` add up to {sum(counts)} pixels, and the image has {pixels}")


def _corners(part: Any, where: str) -> list[tuple[float, float]]:
    """The corners of one polygon, written as x, y, x, y, ..."""
    numbers = isinstance(part, list) and all(isinstance(n, int | float) for n in part)
    if not numbers or len(part) % 2:
        raise ValueError(
            f"{where}: its `segmentation` cannot be decoded: a polygon is a list of numbers x, y, x, y, ...; "
            f"found {short(part)}"
        )
    return [(float(x), float(y)) for x, y in zip(part[::2], part[1::2], strict=True)]


def _stuff_of_picture(path: Path, drawing: Drawing) -> tuple[PaintedIds, dict[int, Category]]:
    """The ids and classes of a class picture."""
    picture, categories = read_labels(path), drawing.categories
    if picture.shape != drawing.size:
        raise ValueError(f"{path}: it is {picture.shape} but {drawing.where} is {drawing.size} (height, width)")
    ids, segments = np.zeros(drawing.size, np.int32), dict[int, Category]()
    for number in np.unique(picture).tolist():
        index = categories.index_of_id.get(number)
        if index is None and number not in (0, 255):
            raise ValueError(f"{path}: class {number} is none of the categories; give them all in --classes")
        if index is not None and not categories[index].isthing:
            ids[picture == number] = len(segments) + 1
            segments[len(segments) + 1] = categories[index]
    return ids, segments


def _content(
    content: Any, source: Path, classes: Path | None, left_out: LeftOut
) -> tuple[Categories, dict[ImageId, Row], list[Row]]:
    """Categories, images by id, and annotations of a JSON of instances, or of bare results with a classes file."""
    if isinstance(content, list):
        if classes is None:
            raise ValueError(f"{source}: bare results hold neither images nor classes; give --classes GT.json")
        given = read_classes(classes, source.parent)
        return given.categories, given.images, rows_of({"annotations": content}, "annotations", source)
    if not isinstance(content, dict):
        raise ValueError(f"{source}: a COCO JSON is an object, this one is a {type(content).__name__}")
    images = unique_rows(rows_of(content, "images", source), "id", "image", source)
    rows = rows_of(content, "annotations", source)
    if classes is not None:
        return read_classes(classes, source.parent).categories, images, rows
    listed = rows_of(content, "categories", source)
    heading = _headings(listed, rows)
    for row in heading:
        left_out.add(ROOT_CLASS, f"{row.get('name')} ({source})")
    return _categories([row for row in listed if row not in heading], True, source), images, rows


def _headings(categories: list[Row], annotations: list[Row]) -> list[Row]:
    """Classes without annotations and without `isthing` that are the supercategory of all others."""
    used = {row.get("category_id") for row in annotations if isinstance(row.get("category_id"), int)}
    idle = [row for row in categories if whole(row.get("id")) not in used and "isthing" not in row and row.get("name")]
    return [
        row
        for row in idle
        if len(categories) > 1
        and all(other is row or other.get("supercategory") == row["name"] for other in categories)
        and row.get("supercategory") != row["name"]
    ]


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


def _image_of_row(image: Row, source: Path, find: Finder) -> tuple[str, Size, Path | None]:
    """Name, size and file of an image. A name that leads elsewhere counts only if its last part is found."""
    name, height, width = image.get("file_name"), image.get("height"), image.get("width")
    if not isinstance(name, str) or not isinstance(height, int) or not isinstance(width, int):
        raise ValueError(f"{source}: image {image.get('id')!r} needs `file_name`, `height` and `width`")
    if height < 1 or width < 1:
        raise ValueError(f"{source}: image {image['id']!r} is {height} x {width}; it has no pixels")
    path = find(name)
    if leads_outside(name) or "\\" in name:
        if path is None:
            raise ValueError(
                f"{source}: file name {name!r} leads out of {source.parent}; give --images DIR, where the images are"
            )
        name = path.name
    return name, (height, width), path


def _suggest_coco_instances(path: Path) -> Words | None:
    """FROM and options for `unipan data convert`, if this is a JSON of COCO instances or a folder with one."""
    try:
        source = coco_json_in(path)
        content = load_json(source) if source.suffix == ".json" and source.is_file() else None
    except (ValueError, OSError):
        return None
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list) or not isinstance(rows, list):
        return None
    first = next((row for row in rows if isinstance(row, dict)), {})
    if "segments_info" in first or not ({"segmentation", "bbox"} & set(first) or not rows):
        return None
    categories = content.get("categories")
    stuff = isinstance(categories, list) and any(isinstance(c, dict) and c.get("isthing") == 0 for c in categories)
    crowds = bool(rows) and all(isinstance(r, dict) and says_crowd(r.get("iscrowd")) for r in rows)
    boxes = bool(rows) and not any(isinstance(r, dict) and r.get("segmentation") for r in rows)
    options = ("--crowds", "things") * crowds + PAINT * boxes
    return (f"coco-instances:{source}", *options, *BACKGROUND * (not stuff))


FORMAT = Format(
    "coco-instances",
    "COCO instances: polygons or run-length masks, with or without stuff (`--stuff`, `--overlap`, `--background`). "
    "Written: `instances.json` with a run-length mask for every segment, stuff included",
    read=coco_instances,
    write=lambda folder, categories, _: RleWriter(folder, categories),
    aliases=("rle",),
    uses=SHAPE_OPTIONS | {"stuff", "crowds"},
    suggest=_suggest_coco_instances,
)
