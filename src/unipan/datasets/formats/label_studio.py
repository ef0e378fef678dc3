"""`label-studio`: the JSON export of Label Studio, with polygons, brush strokes, ellipses and rectangles.

Coordinates are per cent of the image's width and height. A brush region is a mask: runs of the four bytes of each pixel
in the format of @thi.ng/rle-pack, the last of which is the mask. Of several annotations of a task the first one that
was not cancelled is read; predictions are not (https://labelstud.io/guide/export).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from unipan.datasets.formats.class_names import classes_of_names
from unipan.datasets.formats.drawing import POINTS, SHAPE_OPTIONS, Drawing, image_finder, numbered_pairs
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, PAINT, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import IMAGE_SUFFIXES, Entry, ListedDataset
from unipan.datasets.formats.regions import region_of_ellipse, region_of_mask, region_of_polygons, turned
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import Row, load_json, short
from unipan.panoptic.maps import PanopticMap

SHAPE_KINDS = ("polygonlabels", "brushlabels", "rectanglelabels", "ellipselabels", "keypointlabels")
BARE_KINDS = ("polygon", "brush", "rectangle", "ellipse", "keypoint")
UNNAMED = "regions without a label"
FURTHER = "further annotations of a task, of which the first is read"
BARE_TASKS = "tasks without an annotation, which are no images without objects"


def label_studio(path: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open an export ("JSON", not "JSON-MIN").

    The images are in `images`, or else in images/ or beside the JSON; they are found by the last part of their name,
    since the rest leads to a server.

    Raises:
        FileNotFoundError, ValueError: it is no such JSON, or (when a map is read) a region is broken.
    """
    source = Path(path)
    tasks = load_json(source)
    if not _is_label_studio(tasks):
        raise ValueError(f"{source}: no export of Label Studio; choose the format JSON there (not JSON-MIN)")
    left_out, names = LeftOut(), set[str]()
    found: list[tuple[Row, list[Row]]] = []
    for task in tasks:
        results = _results_of(task, left_out, source)
        if results is not None:
            names |= {label for row in results for label in _labels_of(row)}
            found.append((task, results))
    categories = classes_of_names(sorted(names), options, source)
    find = image_finder(options.images, source.parent / "images", source.parent)
    entries = []
    for task, results in found:
        name = _image_name(task, source)
        where = f"{source}: task {task.get('id')} ({name})"
        draw = partial(Drawing, where=where, name=name, categories=categories, options=options, left_out=left_out)
        file = find(name)
        entries.append(Entry(name, name, file, partial(_read_task_map, results, file, draw, where)))
    return ListedDataset(source, categories, entries, left_out)


def _is_label_studio(tasks: Any) -> bool:
    rows = tasks if isinstance(tasks, list) else []
    return (
        bool(rows)
        and all(isinstance(row, dict) and isinstance(row.get("data"), dict) for row in rows)
        and any(isinstance(row.get("annotations", row.get("completions")), list) for row in rows)
    )


def _results_of(task: Row, left_out: LeftOut, source: Path) -> list[Row] | None:
    """The regions of a task; None if nobody annotated it."""
    listed = task.get("annotations", task.get("completions")) or []
    done = [each for each in listed if isinstance(each, dict) and not each.get("was_cancelled")]
    if not done:
        left_out.add(BARE_TASKS, f"task {task.get('id')} of {source}")
        return None
    if len(done) > 1:
        left_out.add(FURTHER, f"task {task.get('id')} of {source}")
    rows = done[0].get("result")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _kind_of(row: Row) -> str | None:
    """The kind of a region; None if it is no shape with a label."""
    kind, value = row.get("type"), row.get("value")
    if not isinstance(kind, str) or not isinstance(value, dict):
        return None
    if kind == "labels":  # <Labels> beside <Polygon>, <Brush>, ...: the numbers say what it is
        kinds = {"points": SHAPE_KINDS[0], "rle": SHAPE_KINDS[1], "radiusX": SHAPE_KINDS[3], "width": SHAPE_KINDS[2]}
        return next((each for key, each in kinds.items() if key in value), None)
    return kind if kind in SHAPE_KINDS else None


def _labels_of(row: Row) -> list[str]:
    """The labels of a region; none if it is no shape, or a shape without a label."""
    labels = row["value"].get(row["type"]) if _kind_of(row) is not None else None
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _image_name(task: Row, source: Path) -> str:
    """The last part of the address of a task's image."""
    data = task["data"]
    texts = [data[key] for key in ("image", *data) if isinstance(data.get(key), str)]
    for text in texts:
        name = unquote(text.split("?d=")[-1].split("?")[0]).replace("\\", "/").rsplit("/", 1)[-1]
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            return name
    raise ValueError(f"{source}: task {task.get('id')} names no image in its `data`; found {short(data)}")


def _read_task_map(results: list[Row], image: Path | None, draw: Callable[..., Drawing], where: str) -> PanopticMap:
    sizes = {(row.get("original_height"), row.get("original_width")) for row in results if _labels_of(row)}
    size = next((each for each in sizes if all(isinstance(side, int) and side > 0 for side in each)), None)
    if size is None:
        if image is None:
            raise ValueError(f"{where}: it has no regions and no image, so its size is not known; give --images DIR")
        size = image_size(image)
    drawing = draw(size=size)
    named = {row.get("id") for row in results if _labels_of(row)}
    for row in results:
        labels = _labels_of(row)
        label = f"region {row.get('id')}"
        kind = _kind_of(row)
        if not labels or kind is None:
            if kind is not None or (row.get("type") in BARE_KINDS and row.get("id") not in named):
                drawing.leave_out(UNNAMED, label)
            continue
        if row.get("image_rotation"):
            raise ValueError(f"{where}: {label} was drawn on a turned image (image_rotation); turn the image itself")
        if len(labels) > 1:
            raise ValueError(f"{where}: {label} has {len(labels)} labels ({', '.join(labels)}); leave one")
        with drawing.named(label):
            _draw_region(kind, row["value"], label, drawing.category(labels[0]), drawing)
    return drawing.truth()


def _draw_region(kind: str, value: Row, label: str, category: Category, drawing: Drawing) -> None:
    height, width = drawing.size
    where = f"{drawing.where}: {label}"
    if kind == "keypointlabels":
        drawing.leave_out(POINTS, label)
    elif kind == "brushlabels":
        drawing.add(label, category, region_of_mask(_brush_mask(value.get("rle"), drawing.size, where)))
    elif kind == "polygonlabels":
        points = numbered_pairs(value.get("points"), where)
        corners = [(x * width / 100, y * height / 100) for x, y in points]
        drawing.add(label, category, drawing.polygons(label, [corners]))
    elif kind == "ellipselabels":
        x, y, rx, ry = _per_cent(value, ("x", "y", "radiusX", "radiusY"), drawing.size, where)
        drawing.add(label, category, region_of_ellipse(x, y, rx, ry, drawing.size, _angle(value)))
    else:
        x, y, w, h = _per_cent(value, ("x", "y", "width", "height"), drawing.size, where)
        angle = _angle(value)
        if not angle:
            drawing.add_box(label, category, (x, y, x + w, y + h))
            return
        # It is turned about its top left corner, unlike anybody else's boxes.
        corners = [turned(*corner, x, y, angle) for corner in ((x, y), (x + w, y), (x + w, y + h), (x, y + h))]
        drawing.add_box_region(label, category, region_of_polygons([corners], drawing.size))


def _per_cent(value: Row, keys: tuple[str, ...], size: tuple[int, int], where: str) -> Iterator[float]:
    """Numbers in pixels, by turns of the width and of the height."""
    for key, side in zip(keys, (size[1], size[0]) * 2, strict=True):
        if not isinstance(value.get(key), int | float):
            raise ValueError(f"{where}: its `{key}` is {value.get(key)!r}, not a number")
        yield float(value[key]) * side / 100


def _angle(value: Row) -> float:
    """By how many degrees a region is turned. Raises ValueError if that is no number."""
    given = value.get("rotation") or 0
    if not isinstance(given, int | float):
        raise ValueError(f"its `rotation` is {short(given)}, not a number")
    return float(given)


def _brush_mask(rle: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """The mask of a brush region: where the last of the four bytes of a pixel is not 0."""
    if not isinstance(rle, list) or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in rle):
        raise ValueError(f"{where}: its `rle` is no list of bytes")
    try:
        values = unpack_runs(rle)
    except IndexError as error:
        raise ValueError(f"{where}: its `rle` ends too early") from error
    if len(values) != 4 * size[0] * size[1]:
        raise ValueError(f"{where}: its `rle` has {len(values)} bytes, not 4 for each of {size[1]} x {size[0]} pixels")
    return np.asarray(values.reshape(*size, 4)[..., 3] > 0)


def unpack_runs(data: Iterable[int]) -> np.ndarray:
    """The values that @thi.ng/rle-pack packed.

    First 32 bits with their number, 5 with the width of a value, 4 times 4 with the width of a length; then packets of
    one bit (repeated or not), 2 bits that choose the width of the length, the length, and one value or so many. Widths
    and lengths are stored less one.

    Raises:
        IndexError: the data ends too early.
    """
    bits = np.unpackbits(np.array(list(data), np.uint8))
    weights = 1 << np.arange(32, dtype=np.int64)[::-1]
    place = 0

    def take(width: int) -> int:
        nonlocal place
        place += width
        if place > len(bits):
            raise IndexError(place)
        return int(bits[place - width : place] @ weights[-width:])

    count, word = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    found: list[np.ndarray] = []
    done = 0
    while done < count:
        repeated = take(1)
        length = min(take(widths[take(2)]) + 1, count - done)
        if repeated:
            found.append(np.full(length, take(word), np.int64))
        else:
            if place + length * word > len(bits):
                raise IndexError(place)
            found.append(bits[place : place + length * word].reshape(length, word) @ weights[-word:])
            place += length * word
        done += length
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _suggest_label_studio(path: Path) -> Words | None:
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        tasks = load_json(path)
    except (ValueError, OSError):
        return None
    if not _is_label_studio(tasks):
        return None
    quiet = LeftOut()
    kinds = {row.get("type") for task in tasks for row in _results_of(task, quiet, path) or [] if _labels_of(row)}
    return (f"label-studio:{path}", *PAINT * (kinds == {"rectanglelabels"}), *BACKGROUND)


FORMAT = Format(
    "label-studio",
    "Label Studio's export `JSON`: polygons, brush strokes, ellipses, rectangles (`--images DIR`)",
    read=label_studio,
    uses=SHAPE_OPTIONS,
    suggest=_suggest_label_studio,
)
