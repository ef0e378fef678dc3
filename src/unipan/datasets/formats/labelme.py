"""`labelme`: a JSON per image, as LabelMe and its successors write it.

Polygons, circles, turned rectangles and masks are objects; shapes of one label and one `group_id` are parts of the same
object. A rectangle is a box. The label `__ignore__` is void, `_background_` is stuff. Coordinates are pixels from the
top left corner of the image, turned by its EXIF (https://github.com/wkentaro/labelme).
"""

from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.class_names import classes_of_names
from unipan.datasets.formats.drawing import POINTS, SHAPE_OPTIONS, Drawing, image_finder, numbered_pairs, union
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, PAINT, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.formats.regions import PixelRegion, region_of_ellipse, region_of_patch
from unipan.files import files_below
from unipan.panoptic.coco_json import Row, load_json, short
from unipan.panoptic.image_files import open_image
from unipan.panoptic.maps import PanopticMap

IGNORED_LABEL, BACKGROUND_LABEL = "__ignore__", "_background_"
"""What LabelMe's own examples begin their list of labels with."""

OTHER_JSON = "JSON files that are no annotations of LabelMe"


def labelme(path: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open a folder of JSONs, or one of them.

    The images are where `imagePath` says, beside the JSON, or in `images`.

    Raises:
        FileNotFoundError, ValueError: there is no such JSON, one is broken, or (when a map is read) a shape is.
    """
    root = Path(path)
    files = files_below(root, (".json",)) if root.is_dir() else [root]
    folder, left_out, labels = root if root.is_dir() else root.parent, LeftOut(), set[str]()
    found: list[tuple[Path, str]] = []
    for file in files:
        content = load_json(file)
        if not _is_labelme(content):
            left_out.add(OTHER_JSON, str(file))
            continue
        labels |= {label for label in (_label_of(row, file) for row in content["shapes"]) if label != IGNORED_LABEL}
        found.append((file, content["imagePath"]))
    if not found:
        raise FileNotFoundError(f"{root}: no JSON of LabelMe here (with `shapes` and `imagePath`)")
    options = options if BACKGROUND_LABEL not in labels else options.also_stuff(BACKGROUND_LABEL)
    categories = classes_of_names(sorted(labels), options, root)
    entries = []
    for file, image_name in found:
        image = image_finder(options.images, file.parent, folder, folder / "images")(image_name)
        suffix = Path(image_name.replace("\\", "/")).suffix
        name = file.relative_to(folder).with_suffix(image.suffix if image else suffix or ".jpg").as_posix()
        draw = partial(Drawing, where=str(file), name=name, categories=categories, options=options, left_out=left_out)
        entries.append(Entry(name, name, image, partial(_read_labelme_map, file, image, draw), (file,)))
    return ListedDataset(root, categories, entries, left_out)


def _is_labelme(content: Any) -> bool:
    shapes = content.get("shapes") if isinstance(content, dict) else None
    return isinstance(shapes, list) and isinstance(content.get("imagePath"), str)


def _label_of(row: Any, file: Path) -> str:
    label = row.get("label") if isinstance(row, dict) else None
    if not isinstance(label, str) or not label:
        raise ValueError(f"{file}: a shape needs a `label`; found {short(row)}")
    return label


def _read_labelme_map(file: Path, image: Path | None, draw: Callable[..., Drawing]) -> PanopticMap:
    content = load_json(file)
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        if image is None:
            raise ValueError(f"{file}: it has no `imageHeight` and `imageWidth`, and the image is not there either")
        height, width = image_size(image)
    drawing = draw(size=(height, width))
    # Parts of one object are painted together, where the first of them stands.
    groups: dict[object, list[PixelRegion]] = {}
    labels: dict[object, tuple[str, str]] = {}
    for number, row in enumerate(content["shapes"]):
        label = f"shape {number}"
        key: object = number if row.get("group_id") is None else (row["label"], repr(row["group_id"]))
        with drawing.named(label):
            for region in _regions_of_row(row, label, drawing):
                groups.setdefault(key, []).append(region)
                labels.setdefault(key, (label, row["label"]))
    for key, regions in groups.items():
        label, name = labels[key]
        category = None if name == IGNORED_LABEL else drawing.category(name)
        drawing.add(label, category, union(regions, drawing.size))
    return drawing.truth()


def _regions_of_row(row: Row, label: str, drawing: Drawing) -> Iterator[PixelRegion]:
    """The pixels of one shape; none if it was left out, or is a box and was drawn as such."""
    where = f"{drawing.where}: {label} ({row['label']})"
    kind, points = row.get("shape_type") or "polygon", numbered_pairs(row.get("points"), where)
    if kind in ("polygon", "oriented_rectangle"):
        yield drawing.polygons(label, [points])
    elif kind == "rectangle" and len(points) in (2, 4):
        xs, ys = [x for x, _ in points], [y for _, y in points]
        if row["label"] == IGNORED_LABEL:
            yield drawing.polygons(
                label, [[(min(xs), min(ys)), (max(xs), min(ys)), (max(xs), max(ys)), (min(xs), max(ys))]]
            )
        else:
            drawing.add_box(label, drawing.category(row["label"]), (min(xs), min(ys), max(xs), max(ys)))
    elif kind == "circle" and len(points) == 2:
        (x, y), (edge_x, edge_y) = points
        radius = hypot(edge_x - x, edge_y - y)
        yield region_of_ellipse(x, y, radius, radius, drawing.size)
    elif kind == "mask" and points:
        patch = _mask_of_text(row.get("mask"), where)
        yield region_of_patch(patch, int(points[0][1]), int(points[0][0]), drawing.size)
    elif kind in ("point", "points", "line", "linestrip"):
        drawing.leave_out(POINTS, label)
    else:
        raise ValueError(f"{where}: a {kind} with {len(points)} points is nothing that can be painted")


def _mask_of_text(text: Any, where: str) -> np.ndarray:
    """A mask that is stored as a PNG in base64."""
    try:
        with open_image(b64decode(text)) as picture:
            return np.asarray(picture.convert("L")) > 0
    except Exception as error:  # Pillow raises nearly anything for a damaged picture
        raise ValueError(f"{where}: its `mask` is no PNG in base64 ({error})") from error


def _suggest_labelme(path: Path) -> Words | None:
    files = [path] if path.is_file() and path.suffix == ".json" else []
    files = files or (sorted(path.rglob("*.json"))[:5] if path.is_dir() else [])
    try:
        contents = [load_json(file) for file in files]
    except (ValueError, OSError):
        return None
    shapes = [row for each in contents if _is_labelme(each) for row in each["shapes"] if isinstance(row, dict)]
    if not any(_is_labelme(each) for each in contents):
        return None
    boxes = bool(shapes) and all(row.get("shape_type") == "rectangle" for row in shapes)
    return (f"labelme:{path}", *PAINT * boxes, *BACKGROUND)


FORMAT = Format(
    "labelme",
    "a folder of LabelMe's `NAME.json`, beside the images: polygons, circles, masks, boxes, groups",
    read=labelme,
    uses=SHAPE_OPTIONS,
    suggest=_suggest_labelme,
)
