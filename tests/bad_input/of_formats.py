"""What is there twice, under another name, or in another format or encoding than it says; and videos that are cut."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.bad_input.case import Case
from tests.bad_input.damage import TEXTS, on_file, put
from tests.bad_input.of_data import CHECKED, converting, write
from tests.bad_input.of_images import FOLDER
from tests.bad_input.of_scores import BASE

Change = Callable[[Path], object]


def saved_as(kind: str) -> Callable[[bytes], bytes]:
    """A picture in another format."""

    def change(data: bytes) -> bytes:
        file = BytesIO()
        Image.open(BytesIO(data)).save(file, kind)
        return file.getvalue()

    return change


def each(pattern: str, damage: Callable[[bytes], bytes]) -> Change:
    """Damage all files of a pattern."""

    def change(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.write_bytes(damage(path.read_bytes()))

    return change


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def holed(data: bytes) -> bytes:
    middle, end = len(data) // 2, len(data) * 3 // 4
    return data[:middle] + bytes(end - middle) + data[end:]


def stack_of(folder: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    """Several pages or frames in one file."""
    frames = [Image.new("RGB", (64, 48), (60 * value, 9, 9)) for value in range(4)]
    file = BytesIO()
    frames[0].save(file, "GIF" if name.endswith("gif") else "TIFF", save_all=True, append_images=frames[1:])
    (folder / name).write_bytes(damage(file.getvalue()))


def map_cases() -> Iterator[Case]:
    """Maps that are no PNGs, whatever they are called."""
    for kind in ("JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        yield replace(CHECKED, name=f"all maps: {kind} by content", change=each("gt/panoptic/*.png", saved_as(kind)))
        yield replace(
            BASE, name=f"all maps: {kind} by content", names="gt", change=each("gt/panoptic/*.png", saved_as(kind))
        )
    for kind in ("JPEG", "GIF"):
        source = converting("png16:png16", uses="png16")
        change = each("png16/panoptic/*.png", lambda data, kind=kind: saved_as(kind)(_grey(data)))
        yield replace(source, name=f"png16: all maps: {kind} by content", change=change)


def _grey(data: bytes) -> bytes:
    file = BytesIO()
    Image.open(BytesIO(data)).convert("L").save(file, "PNG")
    return file.getvalue()


def text_cases() -> Iterator[Case]:
    """Lists and names that are no UTF-8, lists of another machine, names and colours twice."""
    yolo = converting("yolo:yolo", uses="yolo")
    rows = "train: train.txt\nnames: [car, person]\n"
    for name, line in (
        ("another machine's paths", b"/home/me/images/0.png\n"),
        ("another system's paths", b"C:\\images\\0.png\n"),
        ("no UTF-8", b"images/caf\xe9.png\n"),
        ("a NUL", b"images/0\0.png\n"),
        ("an image twice", b"images/0.png\nimages/0.png\n"),
    ):
        yield replace(yolo, name=f"yolo: train.txt: {name}", change=_listed(rows, line), names="train.txt|yolo")
    shared = "train: images\nval: images\nnames: [car, person]\n"
    yield replace(yolo, name="yolo: two splits of one folder", change=write("yolo/data.yaml", shared))
    yield replace(yolo, name="yolo: classes.txt: no UTF-8", change=_names(b"caf\xe9\n"), names="classes.txt")
    deep = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60))
    bomb = f"a0: &a0 [x]\n{deep}names: *a59\n"
    yield replace(yolo, name="yolo: data.yaml: aliases of aliases", change=write("yolo/data.yaml", bomb))
    for name, value in (("as text", "1000000"), ("with a point", 1_000_000.0), ("of no image", 2)):
        source = converting("coco-instances:coco-instances/instances.json", "--overlap", "last", uses="coco-instances")
        change = on_file("coco-instances/instances.json", put("annotations.0.image_id", value))
        yield replace(source, name=f"coco-instances: image_id: {name}", change=change)
    for target in ("png16", "two-channel"):
        case = converting("gt", uses="gt")
        yield replace(
            case,
            name=f"{target}: a category id of 70000",
            arguments=("data", "convert", "gt", f"{target}:out"),
            change=_renumbered,
            names="70000",
        )


def _listed(rows: str, lines: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / "yolo" / "data.yaml").write_text(rows)
        (folder / "yolo" / "train.txt").write_bytes(lines)

    return change


def _names(data: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / "yolo" / "data.yaml").unlink()
        (folder / "yolo" / "classes.txt").write_bytes(data)

    return change


def _renumbered(folder: Path) -> None:
    path = folder / "gt" / "panoptic.json"
    content = json.loads(path.read_text())
    old, content["categories"][0]["id"] = content["categories"][0]["id"], 70_000
    for row in content["annotations"]:
        for segment in row["segments_info"]:
            if segment["category_id"] == old:
                segment["category_id"] = 70_000
    path.write_text(json.dumps(content))


def prediction_cases() -> Iterator[Case]:
    """Videos and stacks that are cut, one file twice, one name with two ids."""

    def predict(name: str, *images: str, uses: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> Case:
        words = ("predict", "net.safetensors", *images, "--out", "out", "--device", "cpu", *more)
        return replace(FOLDER, name=name, arguments=words, uses=("net.safetensors", *uses), names=images[0])

    clip = predict("a video", "clip.avi", uses=("clip.avi",))
    yield clip
    for name, damage in (("is cut", cut), ("has a hole", holed), ("is text", TEXTS["a web page"])):
        yield replace(clip, name=f"a video that {name}", change=on_file("clip.avi", damage))
    for name in ("stack.tif", "stack.gif"):
        stack = predict(f"--pages: {name}", name, more=("--pages", "all"))
        yield replace(stack, change=lambda folder, name=name: stack_of(folder, name, bytes))
        yield replace(
            stack, name=f"--pages: {name} is cut", change=lambda folder, name=name: stack_of(folder, name, cut)
        )
    yield predict("a folder and a picture of it", "photos", "photos/0.png", uses=("photos",))
    yield predict("a picture twice", "photo.png", "./photo.png", uses=("photo.png",))
    like = predict("--like: a name with two ids", "gt/images", uses=("gt",), more=("--like", "gt/panoptic.json"))
    yield replace(like, change=_listed_twice, names="gt/panoptic.json")
    yield replace(
        predict("--out is a link to nothing", "photos", uses=("photos",)),
        change=lambda folder: (folder / "out").symlink_to("nowhere"),
        about="options",
        names="--out",
    )


def _listed_twice(folder: Path) -> None:
    path = folder / "gt" / "panoptic.json"
    content = json.loads(path.read_text())
    content["images"].append({**content["images"][0], "id": 987})
    path.write_text(json.dumps(content))


def format_cases() -> Iterator[Case]:
    yield from map_cases()
    yield from text_cases()
    yield from prediction_cases()
