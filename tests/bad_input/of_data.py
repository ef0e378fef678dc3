"""`unipan data check`, `convert` and `show`: every format's files, and what is wrong with whole folders."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import (
    NAMES,
    NEUTRAL,
    PNGS,
    SPECIAL,
    TEXTS,
    Bytes,
    field_damages,
    in_place_of,
    on_file,
    put,
    unreadable,
)
from tests.bad_input.of_scores import FIELDS, ROWS, first_png
from unipan.datasets.doctor.diagnose import UnreadableError, diagnose

CHECK = ("data", "check", "gt", "--fix", "out", "--json", "findings.json")
FEW_TEXTS = ("empty", "cut in the middle", "byte order mark", "a list", "deeply nested", "NUL bytes", "a PNG", "NaN")
FEW = ("missing", "null", "text", "huge", "a list")


def repaired(folder: Path, said: str) -> str:
    """Of the repaired copy: how many images, and how many findings are left."""
    if not (folder / "out" / "panoptic.json").exists():
        return "no copy"
    try:
        again = diagnose(folder / "out")
    except UnreadableError as error:
        return f"unreadable: {error}"[:60]
    return f"{len(again.kept)} images, {len(again.findings)} findings left"


def converted(folder: Path, said: str) -> str:
    """The images and segments of what was written."""
    content = json.loads((folder / "out" / "panoptic.json").read_text())
    segments = [row for each in content["annotations"] for row in each["segments_info"]]
    crowds = sum(bool(row["iscrowd"]) for row in segments)
    return f"{len(content['images'])} images, {len(segments)} segments, {crowds} crowds"


CHECKED = Case("data check", AS_IT_IS, CHECK, ("gt",), makes=("out", "findings.json"), result=repaired, names="gt")


def check_cases() -> Iterator[Case]:
    yield CHECKED
    file = "gt/panoptic.json"
    fields = dict(field_damages(dict.fromkeys(FIELDS, FEW)))
    for name, damage in {**TEXTS, **ROWS, **fields}.items():
        yield replace(CHECKED, name=name, change=on_file(file, damage), same=name in NEUTRAL)
    for what in SPECIAL:
        yield replace(CHECKED, name=f"panoptic.json: {what}", change=in_place_of(file, what))
        yield replace(
            CHECKED,
            name=f"a PNG: {what}",
            change=lambda folder, what=what: in_place_of(str(first_png(folder, "gt").relative_to(folder)), what)(
                folder
            ),
        )
        yield replace(
            CHECKED,
            name=f"an image: {what}",
            change=lambda folder, what=what: in_place_of(_first_image(folder), what)(folder),
        )
    for name, damage in PNGS.items():
        yield replace(CHECKED, name=f"a PNG: {name}", change=lambda folder, damage=damage: _on_png(folder, damage))
        yield replace(
            CHECKED,
            name=f"an image: {name}",
            change=lambda folder, damage=damage: on_file(_first_image(folder), damage)(folder),
        )
    for name, value in NAMES.items():
        yield replace(CHECKED, name=f"an image called {name}", change=on_file(file, put("images.0.file_name", value)))
        yield replace(CHECKED, name=f"a map called {name}", change=on_file(file, put("annotations.0.file_name", value)))
    for part in ("images", "panoptic"):
        for what in ("nothing", "a folder", "a file", "a pipe"):
            yield replace(CHECKED, name=f"{part}/: {what}", change=in_place_of(f"gt/{part}", what))
    yield replace(CHECKED, name="not ours to read", change=unreadable(file), mortal=True)
    yield replace(CHECKED, name="a folder not ours to read", change=unreadable("gt/panoptic"), mortal=True)


def _first_image(folder: Path) -> str:
    return str(sorted((folder / "gt" / "images").iterdir())[0].relative_to(folder))


def _on_png(folder: Path, damage: Bytes) -> None:
    path = first_png(folder, "gt")
    path.write_bytes(damage(path.read_bytes()))


INSTANCES = {
    "images.0.id": FEW,
    "images.0.width": FEW,
    "images.0.height": ("negative", "half", "text"),
    "images.0.file_name": FEW,
    "annotations.0": ("null", "text", "a list"),
    "annotations.0.image_id": FEW,
    "annotations.0.category_id": FEW,
    "annotations.0.segmentation": ("*",),
    "annotations.0.bbox": FEW,
    "annotations.0.iscrowd": ("*",),
    "categories.0.id": FEW,
    "categories.0.name": FEW,
}
SHAPES = {
    "two corners": [[1, 1, 5, 5]],
    "odd": [[1, 1, 5, 5, 9]],
    "outside": [[500, 500, 600, 500, 600, 600]],
    "far outside": [[1e300, 1, 5, -1e300, 9, 9]],
    "texts": [["a", "b", "c", "d", "e", "f"]],
    "nothing in it": [[]],
    "no area": [[5, 5, 5, 5, 5, 5]],
    "of a thousand kilometres": [[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]],
    "RLE of another size": {"size": [9, 9], "counts": [81]},
    "RLE without counts": {"size": [64, 96]},
    "RLE of too much": {"size": [64, 96], "counts": [10**15]},
    "RLE with negative runs": {"size": [64, 96], "counts": [-5, 6149]},
    "RLE text that is none": {"size": [64, 96], "counts": "\x7f\x7f~~~"},
    "RLE of a huge size": {"size": [10**9, 10**9], "counts": [10**18]},
}
LABELME = {
    "shapes": FEW,
    "shapes.0": ("null", "text", "a list"),
    "shapes.0.label": FEW,
    "shapes.0.points": FEW,
    "shapes.0.points.0": FEW,
    "shapes.0.points.0.0": ("null", "text", "huge", "NaN", "1e999"),
    "shapes.0.shape_type": FEW,
    "shapes.0.group_id": ("text", "a list", "half"),
    "imagePath": FEW,
    "imageHeight": ("null", "text", "negative", "huge"),
}
YOLO_ROWS = {
    "empty": "",
    "blank lines": "\n\n",
    "a text": "car 0.1 0.1 0.5 0.5 0.5 0.6\n",
    "a class that is not named": "7 0.1 0.1 0.5 0.1 0.5 0.6\n",
    "a negative class": "-1 0.1 0.1 0.5 0.1 0.5 0.6\n",
    "half a class": "0.5 0.1 0.1 0.5 0.1 0.5 0.6\n",
    "NaN": "0 nan 0.1 0.5 0.1 0.5 0.6\n",
    "infinity": "0 inf 0.1 0.5 0.1 0.5 0.6\n",
    "in pixels": "0 10 10 50 10 50 40\n",
    "odd": "0 0.1 0.1 0.5 0.1 0.5\n",
    "class alone": "0\n",
    "a box": "0 0.5 0.5 0.2 0.2\n",
    "commas": "0,0.1,0.1,0.5,0.1,0.5,0.6\n",
    "binary": "\0\x01\x02",
    "a huge number": f"{10**30} 0.1 0.1 0.5 0.1 0.5 0.6\n",
}
YAMLS = {
    "empty": "",
    "a text": "names",
    "a list": "- a\n- b\n",
    "no names": "path: .\ntrain: images\n",
    "names of nothing": "train: images\nnames:\n",
    "names of numbers": "train: images\nnames: [1, 2]\n",
    "names of lists": "train: images\nnames: [[a], [b]]\n",
    "ids of text": "train: images\nnames: {a: car}\n",
    "a name twice": "train: images\nnames: [car, car]\n",
    "broken": "train: [images\nnames: {",
    "tabs": "train:\timages\n\tnames: [car]\n",
    "code": "train: images\nnames: !!python/object/apply:os.system ['touch hacked']\n",
    "a thousand laughs": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\n"
    "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\nnames: *f\n",
    "a folder that is missing": "train: gone\nnames: [car, person]\n",
}
XMLS: dict[str, Bytes] = {
    **{name: TEXTS[name] for name in ("empty", "cut in the middle", "NUL bytes", "a web page", "a text", "gzip")},
    "no images": lambda data: b"<annotations/>",
    "another root": lambda data: b"<x/>",
    "size is text": lambda data: data.replace(b'width="96"', b'width="wide"'),
    "no size": lambda data: data.replace(b'width="96" height="64"', b""),
    "no name": lambda data: data.replace(b'name="0.png"', b""),
    "no label": lambda data: data.replace(b'label="car"', b""),
    "points are text": lambda data: data.replace(b"8,8;50,8", b"a,b;c"),
    "points are NaN": lambda data: data.replace(b"8,8;50,8", b"nan,8;inf,8"),
    "two points": lambda data: data.replace(b"8,8;50,8;50,40", b"8,8;50,8"),
    "no points": lambda data: data.replace(b'points="8,8;50,8;50,40"', b""),
    "z is text": lambda data: data.replace(b'z_order="0"', b'z_order="top"'),
    "a billion laughs": lambda data: b'<!DOCTYPE x [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a;" * 10 if n == 1 else b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]>" + data.replace(b'<?xml version="1.0" encoding="utf-8"?>', b"").replace(b'label="car"', b'label="&a9;"'),
    "a file of the system": lambda data: b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    + data.replace(b'<?xml version="1.0" encoding="utf-8"?>', b"").replace(b'label="car"', b'label="&f;"'),
    "deeply nested": lambda data: b"<a>" * 100_000 + b"</a>" * 100_000,
    "a mask of nonsense": lambda data: data.replace(
        b"<polygon", b'<mask label="car" rle="9, x" left="a" top="0" width="3" height="3"></mask><polygon'
    ),
}  # fmt: skip


def converting(source: str, *more: str, uses: str) -> Case:
    """A conversion of one format into COCO panoptic."""
    arguments = ("data", "convert", source, "out", *more)
    return Case("data convert", source, arguments, (uses,), makes=("out",), result=converted, names=uses)


def write(path: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_text(text)


def convert_cases() -> Iterator[Case]:
    coco = converting("gt", uses="gt")
    yield coco
    for name in FEW_TEXTS:
        yield replace(coco, name=f"gt: {name}", change=on_file("gt/panoptic.json", TEXTS[name]))
    for name, value in NAMES.items():
        yield replace(
            coco,
            name=f"gt: an image called {name}",
            change=on_file("gt/panoptic.json", put("images.0.file_name", value)),
        )
    for what in SPECIAL:
        yield replace(
            coco,
            name=f"gt: an image: {what}",
            change=lambda folder, what=what: in_place_of(_first_image(folder), what)(folder),
        )
    for source in ("png16", "two-channel", "coco-instances", "rle"):
        yield from _written_format(source)
    yield from _drawn_formats()
    for source in ("cityscapes", "voc", "bdd100k", "label-studio", "label-images", "semantic-masks", "huggingface"):
        case = converting(f"{source}:gt", uses="gt")
        yield replace(case, name=f"{source}: a folder of another format")
        yield replace(
            case,
            name=f"{source}: a missing folder",
            arguments=("data", "convert", f"{source}:gone", "out"),
            names="gone",
        )
        yield replace(
            case,
            name=f"{source}: a file",
            arguments=("data", "convert", f"{source}:text.txt", "out"),
            uses=("text.txt",),
            names="text.txt",
        )
        yield replace(case, name=f"{source}: an empty folder", change=in_place_of("gt", "a folder"))


def _written_format(source: str) -> Iterator[Case]:
    place = {"coco-instances": "coco-instances/instances.json", "rle": "rle/instances.json"}.get(source, source)
    more = ("--overlap", "last") if source == "coco-instances" else ()
    case = converting(f"{source}:{place}", *more, uses=source)
    yield case
    if source in ("png16", "two-channel"):
        for name in (
            "empty",
            "cut in the middle",
            "black",
            "white",
            "noise",
            "1 bit",
            "50000 x 50000",
            "text",
            "a JPEG",
        ):
            yield replace(
                case,
                name=f"{source}: a picture: {name}",
                change=lambda folder, name=name: _each_png(folder / source, name),
            )
        for name in FEW_TEXTS:
            yield replace(
                case,
                name=f"{source}: its classes: {name}",
                change=lambda folder, name=name: _each_json(folder / source, TEXTS[name]),
            )
        return
    for name in FEW_TEXTS:
        yield replace(case, name=f"{source}: {name}", change=on_file(place, TEXTS[name]))
    fields = INSTANCES if source == "coco-instances" else {"annotations.0.segmentation": ("*",)}
    for name, damage in field_damages(fields):
        yield replace(case, name=f"{source}: {name}", change=on_file(place, damage))
    for name, shape in SHAPES.items():
        yield replace(
            case, name=f"{source}: a shape: {name}", change=on_file(place, put("annotations.0.segmentation", shape))
        )


def _each_png(folder: Path, name: str) -> None:
    path = sorted(path for path in folder.rglob("*.png") if "images" not in path.parts)[0]
    path.write_bytes(PNGS[name](path.read_bytes()))


def _each_json(folder: Path, damage: Bytes) -> None:
    for path in folder.rglob("*.json"):
        path.write_bytes(damage(path.read_bytes()))


def _drawn_formats() -> Iterator[Case]:
    yolo = converting("yolo:yolo/data.yaml", uses="yolo")
    yield yolo
    for name, text in YOLO_ROWS.items():
        yield replace(yolo, name=f"yolo: rows: {name}", change=write("yolo/labels/0.txt", text))
    for name, text in YAMLS.items():
        yield replace(
            yolo, name=f"yolo: data.yaml: {name}", change=write("yolo/data.yaml", text), names="yolo|gone|etc"
        )
    labelme = converting("labelme:labelme", uses="labelme")
    yield labelme
    for name in FEW_TEXTS:
        yield replace(labelme, name=f"labelme: {name}", change=on_file("labelme/0.json", TEXTS[name]))
    for name, damage in field_damages(LABELME):
        yield replace(labelme, name=f"labelme: {name}", change=on_file("labelme/0.json", damage))
    for name, value in NAMES.items():
        yield replace(
            labelme, name=f"labelme: a photo called {name}", change=on_file("labelme/0.json", put("imagePath", value))
        )
    cvat = converting("cvat:cvat/annotations.xml", uses="cvat")
    yield cvat
    for name, damage in XMLS.items():
        yield replace(cvat, name=f"cvat: {name}", change=on_file("cvat/annotations.xml", damage))


def show_cases() -> Iterator[Case]:
    case = Case("data show", AS_IT_IS, ("data", "show", "gt", "--out", "page"), ("gt",), makes=("page",), names="gt")
    yield case
    for name in FEW_TEXTS:
        yield replace(case, name=name, change=on_file("gt/panoptic.json", TEXTS[name]))
    for name, damage in PNGS.items():
        yield replace(case, name=f"a PNG: {name}", change=lambda folder, damage=damage: _on_png(folder, damage))
    for name, value in (("markup", "[b]x[/x]"), ("a script", "<script>alert(1)</script>"), ("red", "\x1b[31m")):
        yield replace(
            case, name=f"a class called {name}", change=on_file("gt/panoptic.json", put("categories.0.name", value))
        )


def data_cases() -> Iterator[Case]:
    yield from check_cases()
    yield from convert_cases()
    yield from show_cases()
