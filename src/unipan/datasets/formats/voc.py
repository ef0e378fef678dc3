"""`voc`: Pascal VOC, with SegmentationClass/ and SegmentationObject/, or with the boxes of Annotations/ alone.

In SegmentationClass a pixel is the number of its class, 0 the background and 255 void; in SegmentationObject the number
of its object. Pictures with a palette hold these numbers, pictures of three channels their colours, which labelmap.txt
lists (as CVAT and datumaro write it) and which otherwise are those of VOC. A box counts pixels from 1 and includes both
edges (development kit of VOC 2012, section 4). Roboflow's XML lies beside the images and may hold polygons.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from unipan.arrays import Int32
from unipan.datasets.formats.class_names import background_of, classes_of_names
from unipan.datasets.formats.cvat import read_xml, whole_number
from unipan.datasets.formats.drawing import SHAPE_OPTIONS, Drawing, Finder, image_finder
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, PAINT, Format, FormatOptions, Words
from unipan.datasets.formats.label_picture import image_size, read_label_picture
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.formats.semantic_masks import map_of_instances, require_one_size
from unipan.files import read_lines
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap

VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of VOC 2007 to 2012, by number."""

VOID_NUMBER = 255
SIZE_KEYS = ("height", "width")
NO_XML = "images without an XML, taken as images without objects"


class ClassColors(dict[int, int]):
    """Colour -> class number.

    Attributes:
        shared: colours of several classes, with their numbers.
    """

    def __init__(self, rows: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__(rows)
        self.shared: dict[int, tuple[int, int]] = {}

    def claim(self, color: int, number: int) -> None:
        """Give a colour to a class."""
        if self.setdefault(color, number) != number:
            self.shared[color] = (self[color], number)


def voc(path: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open the folder with JPEGImages/ and SegmentationObject/ or Annotations/, or a folder of XMLs beside images.

    Args:
        path: the folder; VOCdevkit/VOC2012 for instance.
        options: `split` is the name of a list in ImageSets/Segmentation (or ImageSets/Main). Masks are read where there
            is SegmentationObject/, unless there are `class_maps`, which need the boxes.

    Raises:
        FileNotFoundError, ValueError: there is neither, a file is missing, or (when a map is read) one is broken.
    """
    root, left_out = Path(path), LeftOut()
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; give the one with JPEGImages/ and Annotations/")
    find = image_finder(options.images, root / "JPEGImages", root / "images", root)
    objects = root / "SegmentationObject"
    if objects.is_dir() and options.class_maps is None:
        return _of_pictures(root, objects, find, options, left_out)
    return _of_boxes(root, find, options, left_out)


def _of_pictures(root: Path, objects: Path, find: Finder, options: FormatOptions, left_out: LeftOut) -> ListedDataset:
    numbered, colors = _numbered_names(root)
    wanted = list(numbered.values())
    has_background = 0 in numbered and numbered[0] == "background" and options.background is not None
    names = wanted if has_background else [name for name in wanted if name != "background"]
    categories = classes_of_names(names, options, root, {name: number for number, name in numbered.items()})
    classes = {
        number: None if name not in categories.index_of_name else categories[categories.index_of_name[name]]
        for number, name in numbered.items()
    }
    classes[0] = background_of(categories, options) if numbered.get(0, "background") == "background" else classes[0]
    entries = []
    for stem in _stems(root, "Segmentation", options) or sorted(file.stem for file in objects.glob("*.png")):
        image = find(f"{stem}.jpg")
        name = image.name if image is not None else f"{stem}.jpg"
        kinds, numbers = root / "SegmentationClass" / f"{stem}.png", objects / f"{stem}.png"
        entries.append(
            Entry(stem, name, image, partial(_read_voc_map, kinds, numbers, classes, colors), (kinds, numbers))
        )
    return ListedDataset(root, categories, entries, left_out)


def _read_voc_map(kinds: Path, numbers: Path, classes: dict[int, Category | None], colors: ClassColors) -> PanopticMap:
    semantic = _numbers_of_picture(kinds, colors)
    instances = _numbers_of_picture(numbers, ClassColors((color, place) for place, color in enumerate(voc_colors())))
    require_one_size(numbers, instances.shape, kinds, semantic.shape)
    instances[instances == VOID_NUMBER] = 0
    # Datumaro numbers every mask; what lies on stuff alone is no object.
    stuff = np.isin(semantic, [number for number, category in classes.items() if category and not category.isthing])
    instances[np.isin(instances, np.setdiff1d(instances[stuff], instances[~stuff]))] = 0

    def class_of(number: int, instance: int) -> tuple[Category, bool] | None:
        if number == VOID_NUMBER:
            return None
        if number not in classes:
            raise ValueError(f"{kinds}: class {number} has no name; list it in labelmap.txt")
        category = classes[number]
        return None if category is None else (category, category.isthing and instance == 0)

    return map_of_instances(semantic, instances, class_of, kinds, numbers)


def _numbers_of_picture(path: Path, colors: ClassColors) -> Int32[np.ndarray, "H W"]:
    """The numbers of a picture with a palette, or those of its colours."""
    channels = read_label_picture(path)
    if channels.shape[2] < 3:
        return np.ascontiguousarray(channels[..., 0], np.int32)
    keys = channels[..., 0] * 65536 + channels[..., 1] * 256 + channels[..., 2]
    found, place = np.unique(keys, return_inverse=True)
    for key in map(int, found):
        rgb = (key >> 16, key >> 8 & 255, key & 255)
        if key not in colors:
            raise ValueError(f"{path}: the colour {rgb} is of no class; list it in labelmap.txt")
        if key in colors.shared:
            one, other = colors.shared[key]
            raise ValueError(
                f"{path}: the colour {rgb} is that of classes {one} and {other} of labelmap.txt, which count "
                "from 0; give each its own, here and there"
            )
    return np.array([colors[int(key)] for key in found], np.int32)[place].reshape(keys.shape)


def voc_colors() -> list[int]:
    """VOC's 256 colours as R * 65536 + G * 256 + B: the bits of the number, dealt out to the channels from above."""
    found = []
    for number in range(256):
        red = green = blue = 0
        rest = number
        for bit in range(7, -1, -1):
            red |= (rest & 1) << bit
            green |= (rest >> 1 & 1) << bit
            blue |= (rest >> 2 & 1) << bit
            rest >>= 3
        found.append(red << 16 | green << 8 | blue)
    return found


def _numbered_names(root: Path) -> tuple[dict[int, str], ClassColors]:
    """Class number -> name, and colour -> class number. Raises ValueError for a broken labelmap.txt."""
    file = root / "labelmap.txt"
    if not file.is_file():
        return dict(enumerate(VOC_NAMES)), ClassColors((color, number) for number, color in enumerate(voc_colors()))
    names, colors = dict[int, str](), ClassColors()
    for line in read_lines(file):
        if line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        if not rest.partition(":")[0].strip():  # datumaro writes no colour where it took VOC's
            colors.claim(voc_colors()[len(names)], len(names))
            names[len(names)] = name
            continue
        try:
            red, green, blue = (int(value) for value in rest.partition(":")[0].split(","))
        except ValueError as error:
            raise ValueError(f"{file}: {line!r} is not `name:red,green,blue:parts:actions`") from error
        colors.claim(red << 16 | green << 8 | blue, len(names))
        names[len(names)] = name
    colors.setdefault(voc_colors()[VOID_NUMBER], VOID_NUMBER)
    return names, colors


def _of_boxes(root: Path, find: Finder, options: FormatOptions, left_out: LeftOut) -> ListedDataset:
    folder = root / "Annotations" if (root / "Annotations").is_dir() else root
    stems = _stems(root, "Main", options)
    files = [folder / f"{stem}.xml" for stem in stems] or sorted(folder.rglob("*.xml"))
    found: list[tuple[Path, Element]] = []
    names = set[str]()
    for file in files:
        tree = read_xml(file)
        if tree.tag != "annotation":
            raise ValueError(f"{file}: no annotation of VOC; its root is <{tree.tag}>")
        names |= {_name_of(each, number, str(file)) for number, each in enumerate(tree.findall("object"))}
        found.append((file, tree))
    if not found:
        raise FileNotFoundError(f"{root}: neither SegmentationObject/ nor XMLs in Annotations/ are here")
    numbered, _ = _numbered_names(root)
    by_name = {name: number for number, name in numbered.items()}
    listed = sorted(names, key=lambda name: (by_name.get(name, len(by_name)), name))
    categories = classes_of_names(listed, options, root, by_name)
    entries = []
    for file, tree in found:
        stem = file.relative_to(folder).with_suffix("").as_posix()
        given = tree.findtext("filename", "") or f"{stem}.jpg"
        image = find(given if Path(given).stem == Path(stem).name else f"{stem}{Path(given).suffix or '.jpg'}")
        name = f"{stem}{image.suffix if image is not None else Path(given).suffix or '.jpg'}"
        draw = partial(Drawing, where=str(file), name=name, categories=categories, options=options, left_out=left_out)
        entries.append(Entry(stem, name, image, partial(_read_xml_map, tree, image, categories, draw), (file,)))
    return ListedDataset(root, categories, entries, left_out)


def _read_xml_map(
    tree: Element, image: Path | None, categories: Categories, draw: Callable[..., Drawing]
) -> PanopticMap:
    where = str(draw(size=(1, 1)).where)
    size = tuple(
        whole_number(tree.findtext(f"size/{side}", "").strip() or "0", f"<{side}>", where) for side in SIZE_KEYS
    )
    if 0 in size:
        if image is None:
            raise ValueError(f"{where}: it has no <size>, and the image is not there either")
        size = image_size(image)
    drawing = draw(size=size)
    for number, each in enumerate(tree.findall("object")):
        label, category = f"object {number}", categories[categories.index_of_name[_name_of(each, number, where)]]
        polygon = each.find("polygon")
        try:
            if polygon is not None:
                corners = _corners_of(polygon)
                drawing.add(label, category, drawing.polygons(label, [corners]))
                continue
            edges = [float(each.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax")]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{drawing.where}: {label} has neither a <bndbox> nor a <polygon> of numbers") from error
        drawing.add_box(label, category, (edges[0] - 1, edges[1] - 1, edges[2], edges[3]))
    return drawing.truth()


def _name_of(row: Element, number: int, where: str) -> str:
    name = row.findtext("name", "")
    if not name:
        raise ValueError(f"{where}: object {number} has no <name>; write its class there, or delete the object")
    return name


def _corners_of(polygon: Element) -> list[tuple[float, float]]:
    """<x1/><y1/><x2/><y2/>..., as Roboflow writes them."""
    count = len(polygon) // 2
    return [(float(polygon.findtext(f"x{n}", "")), float(polygon.findtext(f"y{n}", ""))) for n in range(1, count + 1)]


def _stems(root: Path, part: str, options: FormatOptions) -> list[str]:
    """The names of a split; none if no split is wanted. Raises FileNotFoundError."""
    if options.split is None:
        return []
    places = [root / "ImageSets" / each / f"{options.split}.txt" for each in (part, "Main", "Segmentation")]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"--split {options.split}: {places[0]} is not there")
    return [line.split()[0] for line in read_lines(file)]


def _suggest_voc(path: Path) -> Words | None:
    if not path.is_dir():
        return None
    if (path / "SegmentationObject").is_dir():
        return (f"voc:{path}", *BACKGROUND)
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    first = next(iter(sorted(folder.glob("*.xml"))), None)
    try:
        tree = None if first is None else read_xml(first)
    except (ValueError, OSError):
        return None
    if tree is None or tree.tag != "annotation":
        return None
    boxes = tree.find("object/polygon") is None
    if boxes and (path / "SegmentationClass").is_dir():
        return (f"voc:{path}", "--class-maps", str(path / "SegmentationClass"), *BACKGROUND)
    return (f"voc:{path}", *PAINT * boxes, *BACKGROUND)


FORMAT = Format(
    "voc",
    "Pascal VOC: `SegmentationClass/` and `SegmentationObject/` (palette, or colours of `labelmap.txt`), or the boxes "
    "of `Annotations/*.xml`. `--split`",
    read=voc,
    uses=SHAPE_OPTIONS | {"split"},
    suggest=_suggest_voc,
)
