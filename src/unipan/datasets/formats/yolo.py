"""`yolo`: a text file per image, a line per object, in fractions of the image's width and height.

A line is `class x1 y1 x2 y2 x3 y3 ...` (a polygon, Ultralytics' segmentation; its oriented boxes have four corners) or
`class x y width height` (a box by its centre, Darknet's format, possibly with a confidence behind it). Classes count
from 0. A file without a line, or no file at all, is an image without objects. The layouts are those of Ultralytics
(data.yaml; images/ and labels/ side by side), of Darknet (obj.names, the text beside the image) and of Label Studio
(classes.txt, images/, labels/).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import isfinite
from pathlib import Path, PurePosixPath

from unipan.datasets.formats.class_names import classes_of_names
from unipan.datasets.formats.drawing import SHAPE_OPTIONS, Drawing
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, PAINT, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset, images_below
from unipan.datasets.formats.yaml_text import YamlValue, read_yaml
from unipan.files import read_lines, read_text
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import short
from unipan.panoptic.maps import PanopticMap

YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
SPLITS = ("train", "val", "test")
NO_FILE = "images without a text file, taken as images without objects"

_BEYOND = 0.01  # of the image, which Ultralytics allows too; more is another unit


def yolo(path: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open a dataset by its folder or its data.yaml.

    Args:
        path: the folder with data.yaml or a list of class names, or the .yaml itself.
        options: `split` is train, val or test of data.yaml (by default all that are there); `images` is the folder of
            the images if the layout does not say so. `classes` gives ids and stuff to the names.

    Raises:
        FileNotFoundError, ValueError: no names of classes, no images, or (when a map is read) a broken line.
    """
    given = Path(path)
    root = given if given.is_dir() else given.parent
    yaml = given if given.is_file() else next((root / name for name in YAMLS if (root / name).is_file()), None)
    content = {} if yaml is None else read_yaml(yaml)
    source = yaml or root
    if "kpt_shape" in content:
        raise ValueError(f"{source}: these are poses (kpt_shape), which have neither masks nor boxes alone")
    names = _class_names(content, root, source)
    categories = classes_of_names(names, options, source)
    by_number = [categories[categories.index_of_name[name]] for name in names]
    left_out = LeftOut()
    entries = []
    listed = list(_listed_images(content, root, source, options))
    stems = Counter(file.stem for file, _ in listed)
    for file, folder in listed:
        name = "/".join(part for part in file.relative_to(folder).parts if part != "images")
        text = _text_beside(file) if options.images is None else _text_elsewhere(name, root, stems)
        where = str(text if text.is_file() else file)
        draw = partial(Drawing, where=where, name=name, categories=categories, options=options, left_out=left_out)
        entries.append(Entry(name, name, file, partial(_read_yolo_map, file, text, by_number, draw), (text,)))
    return ListedDataset(source, categories, entries, left_out)


def _read_yolo_map(image: Path, text: Path, classes: list[Category], draw: Callable[..., Drawing]) -> PanopticMap:
    drawing = draw(size=image_size(image))
    if not os.path.lexists(text):  # a link to nothing is not that no object is there
        drawing.left_out.add(NO_FILE, str(image))
        return drawing.truth()
    for number, line in enumerate(read_text(text).splitlines(), start=1):
        if line.strip():
            _draw_line(line.split(), f"line {number}", classes, drawing)
    return drawing.truth()


def _draw_line(words: list[str], label: str, classes: list[Category], drawing: Drawing) -> None:
    """Draw one object. Raises ValueError for a line that is no object, or a coordinate in another unit."""
    where = f"{drawing.where}: {label}"
    try:
        number, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError as error:
        raise ValueError(f"{where}: {short(' '.join(words))} is not a class number and fractions") from error
    if not 0 <= number < len(classes):
        raise ValueError(f"{where}: class {number} is not one of the {len(classes)} names, which count from 0")
    box = len(values) in (4, 5)
    places = values[:4] if box else values[: len(values) // 2 * 2]
    if not box and len(values) < 6:
        raise ValueError(f"{where}: {len(values)} numbers behind the class; a box has 4, a polygon 6 or more")
    if not all(isfinite(v) and -_BEYOND <= v <= 1 + _BEYOND for v in places):
        worst = next(v for v in places if not (isfinite(v) and -_BEYOND <= v <= 1 + _BEYOND))
        raise ValueError(f"{where}: {worst:g} is no fraction of the image's size; divide by its width or height")
    # A number too many is the confidence, as predictions have it.
    score = values[-1] if len(values) in (5, len(places) + 1) else None
    height, width = drawing.size
    if box:
        x, y, w, h = (value * side for value, side in zip(places, (width, height) * 2, strict=True))
        drawing.add_box(label, classes[number], (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        return
    corners = [(x * width, y * height) for x, y in zip(places[::2], places[1::2], strict=True)]
    drawing.add(label, classes[number], drawing.polygons(label, [corners]), score=score)


def _class_names(content: dict[str, YamlValue], root: Path, source: Path) -> list[str]:
    """Names by number, from data.yaml or from a list beside it. Raises FileNotFoundError, ValueError."""
    found, names = content.get("names"), []
    if isinstance(found, dict):
        numbers = sorted(int(key) for key in found if key.isdigit())
        if len(numbers) != len(found) or numbers != list(range(len(numbers))):
            raise ValueError(f"{source}: the keys of `names` must be 0, 1, 2, ...; found {short(list(found))}")
        names = _texts([found[str(number)] for number in numbers], source)
    elif isinstance(found, list):
        names = _texts(found, source)
    else:
        file = next((root / name for name in NAME_LISTS if (root / name).is_file()), None)
        if file is None:
            raise FileNotFoundError(
                f"{source}: no names of classes; add `names: [a, b]` in data.yaml, or classes.txt with one a line"
            )
        names = read_lines(file)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{source}: class {twice!r} is listed twice; give each its own name")
    return names


def _texts(values: list[YamlValue], source: Path) -> list[str]:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{source}: {short(value)} is no name of a class; give one text for each")
    return [str(value) for value in values]


def _listed_images(
    content: dict[str, YamlValue], root: Path, source: Path, options: FormatOptions
) -> Iterator[tuple[Path, Path]]:
    """Every image with the folder to which its name is relative."""
    listed = {split: content[split] for split in SPLITS if content.get(split)}
    if "val" not in listed and content.get("valid"):
        listed["val"] = content["valid"]
    if options.split is not None and options.split not in listed:
        raise ValueError(f"--split {options.split}: {source} lists {', '.join(listed) or 'no splits'}")
    if options.images is not None:
        yield from ((file, options.images) for file in images_below(options.images))
        return
    base = root
    if isinstance(content.get("path"), str):
        there = [place for place in (root / str(content["path"]), root.parent / str(content["path"])) if place.is_dir()]
        base = there[0] if there else root  # it may be a path of another machine
    wanted = [options.split] if options.split else list(listed)
    found: set[Path] = set()
    for split in wanted:
        parts = listed[split]
        places = [
            place
            for part in (parts if isinstance(parts, list) else [parts])
            for place in _place_of_split(str(part), base, options.split)
        ]
        # Small examples train and validate on the same images.
        yield from ((each, base if base in each.parents else each.parent) for each in places if each not in found)
        found.update(places)
    if not found:
        yield from ((file, base) for file in images_below(base))


def _place_of_split(part: str, base: Path, wanted: str | None) -> list[Path]:
    """The images of one entry of data.yaml: a folder, or a text file that lists images."""
    plain = part.replace("\\", "/")
    inner = plain
    while inner.startswith("../"):
        inner = inner[3:]  # Roboflow writes ../train/images where train/images is meant
    place = next((base / each for each in (plain, inner) if (base / each).exists()), None)
    if place is None:
        if wanted is None:
            return []  # data.yaml often lists splits that were not downloaded
        raise FileNotFoundError(f"{base / plain}: no such folder, but data.yaml lists it")
    if place.suffix != ".txt":
        return images_below(place)
    return [_listed_image(line.replace("\\", "/"), place, base) for line in read_lines(place)]


def _listed_image(line: str, source: Path, base: Path) -> Path:
    """An image by its path, from the folder of the list on or from that of the dataset. Raises FileNotFoundError."""
    for folder in (source.parent, base):
        file = folder / line.removeprefix("./")
        if "\0" not in line and file.is_file():
            return file
    raise FileNotFoundError(
        f"{source.parent / line}: no such image, but {source} lists it; write paths from the folder of the list on, or "
        "give --images DIR"
    )


def _text_elsewhere(name: str, root: Path, stems: Mapping[str, int]) -> Path:
    """The text of an image of --images: by its path in that folder, or by its stem if no other image has it."""
    inside = PurePosixPath(name).with_suffix(".txt")
    names = [str(inside), *([inside.name] if stems[inside.stem] == 1 else [])]
    places = [folder / each for each in names for folder in (root / "labels", root)]
    return next((place for place in places if place.is_file()), places[0])


def _text_beside(image: Path) -> Path:
    """labels/ instead of the last images/ in the path, or beside the image."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
    return Path(*parts).with_suffix(".txt")


def _suggest_yolo(path: Path) -> Words | None:
    root = path if path.is_dir() else path.parent
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        return None
    if not (path.is_file() or any((root / name).is_file() for name in (*YAMLS, *NAME_LISTS))):
        return None
    try:
        data = yolo(path)
        first = next((text for text in (_first_line(data, n) for n in range(min(len(data), 50))) if text), None)
    except (ValueError, OSError):
        return None
    boxes = first is not None and len(first.split()) in (5, 6)
    return (f"yolo:{path}", *PAINT * boxes, *BACKGROUND)


def _first_line(data: ListedDataset, index: int) -> str | None:
    image = data.image_path(index)
    text = _text_beside(image)
    return next(iter(text.read_text(errors="replace").splitlines()), None) if text.is_file() else None


FORMAT = Format(
    "yolo",
    "a folder with `data.yaml` (or `classes.txt`), or the YAML: `labels/NAME.txt`, a polygon or a box a line "
    "(Ultralytics, Roboflow, Darknet). `--split`",
    read=yolo,
    uses=SHAPE_OPTIONS | {"split"},
    suggest=_suggest_yolo,
)
