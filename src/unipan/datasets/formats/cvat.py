"""`cvat`: the XML "CVAT for images 1.1", with all shapes of an image below it.

Coordinates are pixels from the top left corner of the upright image. A shape of a higher `z_order` is in front. Shapes
of one label and one `group_id` are parts of the same object, as in CVAT's own export to COCO. Masks are lengths of
runs, row after row within their box, zeros first (https://docs.cvat.ai/docs/other/xml_format).
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from unipan.datasets.formats.class_names import classes_of_names
from unipan.datasets.formats.drawing import POINTS, SHAPE_OPTIONS, Drawing, Finder, image_finder, union
from unipan.datasets.formats.format import BACKGROUND, DEFAULT_OPTIONS, PAINT, Format, FormatOptions, Words
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.formats.regions import PixelRegion, bits_of_runs, region_of_ellipse, region_of_patch
from unipan.files import read_bytes
from unipan.panoptic.coco_json import short
from unipan.panoptic.maps import PanopticMap

WITHOUT_AREA = ("polyline", "points", "skeleton", "cuboid", "tag")


def cvat(path: Path | str, options: FormatOptions = DEFAULT_OPTIONS) -> ListedDataset:
    """Open annotations.xml, or the folder with it.

    The images are in `images`, or else in images/ (and images/SUBSET/) or beside the XML.

    Raises:
        FileNotFoundError, ValueError: the XML is missing, broken or of video; when a map is read also a broken shape.
    """
    source = _xml_in(Path(path))
    root = read_xml(source)
    if root.tag != "annotations" or root.find("image") is None:
        video = root.find("track") is not None
        raise ValueError(
            f"{source}: "
            + ("tracks of a video; export it as `CVAT for images 1.1`" if video else "no XML of `CVAT for images 1.1`")
        )
    images = root.findall("image")
    declared = [each.findtext("name", "") for each in root.iterfind("meta//labels/label")]
    used = [shape.get("label", "") for image in images for shape in image if shape.tag not in ("tag", "skeleton")]
    categories = classes_of_names([name for name in (*declared, *used) if name], options, source)
    left_out, folder = LeftOut(), source.parent
    finders: dict[str, Finder] = {}
    entries = []
    for image in images:
        name, subset = image.get("name", ""), image.get("subset", "")
        places = (folder / "images", folder / "images" / subset, folder)
        file = finders.setdefault(subset, image_finder(options.images, *places))(name)
        plain = name.replace("\\", "/").lstrip("/")
        where = f"{source}: image {image.get('id')} ({name})"
        if not plain:
            raise ValueError(f"{where}: it has no `name`; export the task again")
        draw = partial(Drawing, where=where, name=plain, categories=categories, options=options, left_out=left_out)
        entries.append(Entry(plain, plain, file, partial(_read_cvat_map, image, where, draw)))
    return ListedDataset(source, categories, entries, left_out)


def _xml_in(path: Path) -> Path:
    """annotations.xml of a folder, or the one XML in it; a file itself."""
    found = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    return found[0] if len(found) == 1 else path / "annotations.xml"


def read_xml(path: Path) -> Element:
    """The root of an XML file. Raises FileNotFoundError, ValueError, naming the file."""
    try:
        return ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: not readable as XML ({error}); it may be cut short, copy it again") from error


def number_of(element: Element, key: str, where: str, missing: float | None = None) -> float:
    """An attribute as a number. Raises ValueError if it is none."""
    text = element.get(key)
    try:
        if text is None and missing is not None:
            return missing
        return float(text or "")
    except ValueError as error:
        raise ValueError(f"{where}: its `{key}` is {text!r}, not a number") from error


def whole_number(text: str, what: str, where: str) -> int:
    """A text as a whole number, which may be written as 256.0. Raises ValueError if it is none."""
    try:
        number = float(text)
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{where}: its {what} is {short(text)}, not a whole number")


def _whole_attribute(element: Element, key: str, where: str) -> int:
    return whole_number(element.get(key) or "", f"`{key}`", where)


def _read_cvat_map(image: Element, where: str, draw: Callable[..., Drawing]) -> PanopticMap:
    drawing = draw(size=tuple(_whole_attribute(image, side, where) for side in ("height", "width")))
    groups: dict[object, list[PixelRegion]] = {}
    first: dict[object, tuple[str, str, float]] = {}
    for number, shape in enumerate(image):
        label, name = f"{shape.tag} {number}", shape.get("label", "")
        if shape.tag in WITHOUT_AREA:
            if shape.tag != "tag":  # a tag is of the whole image
                drawing.leave_out(POINTS, label)
            continue
        order = number_of(shape, "z_order", f"{drawing.where}: {label}", 0.0)
        group = shape.get("group_id", "0")
        key: object = number if group == "0" else (name, group)
        with drawing.named(label):
            for region in _regions_of_shape(shape, label, order, drawing):
                groups.setdefault(key, []).append(region)
                first.setdefault(key, (label, name, order))
    for key, regions in groups.items():
        label, name, order = first[key]
        drawing.add(label, drawing.category(name), union(regions, drawing.size), order=order)
    return drawing.truth()


def _regions_of_shape(shape: Element, label: str, order: float, drawing: Drawing) -> Iterator[PixelRegion]:
    """The pixels of a shape; none if it is a box, which is drawn as such."""
    where = f"{drawing.where}: {label}"
    if shape.tag == "polygon":
        try:
            pairs = [point.split(",") for point in shape.get("points", "").split(";") if point]
            corners = [(float(x), float(y)) for x, y in pairs]
        except ValueError as error:
            raise ValueError(f"{where}: its `points` are no pairs of numbers x,y;x,y;...") from error
        yield drawing.polygons(label, [corners])
    elif shape.tag == "box":
        left, top, right, bottom = (number_of(shape, key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
        angle = number_of(shape, "rotation", where, 0.0)
        drawing.add_box(label, drawing.category(shape.get("label", "")), (left, top, right, bottom), angle, order)
    elif shape.tag == "ellipse":
        x, y, rx, ry = (number_of(shape, key, where) for key in ("cx", "cy", "rx", "ry"))
        yield region_of_ellipse(x, y, rx, ry, drawing.size, number_of(shape, "rotation", where, 0.0))
    elif shape.tag == "mask":
        left, top, width, height = (_whole_attribute(shape, key, where) for key in ("left", "top", "width", "height"))
        try:
            counts = [int(word) for word in shape.get("rle", "").split(",")]
            patch = bits_of_runs(counts, height, width)
        except ValueError as error:
            raise ValueError(f"{where}: its `rle` cannot be decoded: {error}") from error
        yield region_of_patch(patch, top, left, drawing.size)
    else:
        raise ValueError(f"{where}: a shape of this kind is not known")


def _suggest_cvat(path: Path) -> Words | None:
    source = _xml_in(path)
    if source.suffix != ".xml" or not source.is_file():
        return None
    try:
        root = read_xml(source)
    except (ValueError, OSError):
        return None
    if root.tag != "annotations" or root.find("image") is None:
        return None
    kinds = {shape.tag for image in root.findall("image") for shape in image} - {*WITHOUT_AREA}
    return (f"cvat:{path}", *PAINT * (kinds == {"box"}), *BACKGROUND)


FORMAT = Format(
    "cvat",
    "`annotations.xml` of `CVAT for images 1.1` and `images/`: polygons, masks, ellipses, boxes, groups; `z_order` "
    "says what is in front",
    read=cvat,
    uses=SHAPE_OPTIONS,
    suggest=_suggest_cvat,
)
