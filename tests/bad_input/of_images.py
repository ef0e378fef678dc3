"""`unipan predict` and `affinity`: photographs, and what may lie beside them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import NAMES, PICTURES, SPECIAL, TEXTS, in_place_of, on_file, put, unreadable

USES = ("net.safetensors", "photos")
PREDICT = ("predict", "net.safetensors", "photos", "--out", "out", "--device", "cpu")


def predicted(folder: Path, said: str) -> str:
    """How many images the prediction lists, and whether each has its map."""
    content = json.loads((folder / "out" / "panoptic.json").read_text())
    maps = sum((folder / "out" / "panoptic" / row["file_name"]).is_file() for row in content["annotations"])
    sizes = "+".join(f"{row['width']}x{row['height']}" for row in content["images"])
    return f"{len(content['images'])} images, {maps} maps, {sizes}"


FOLDER = Case("predict", AS_IT_IS, PREDICT, USES, makes=("out",), result=predicted, torch=True, names="photos")
ALONE = replace(
    FOLDER,
    arguments=("predict", "net.safetensors", "photo.png", "--out", "out", "--device", "cpu"),
    uses=("net.safetensors", "photo.png"),
    names="photo.png",
)
AFFINITY = Case(
    "affinity",
    AS_IT_IS,
    ("affinity", "net.safetensors", "photo.png", "--pixel", "3", "4", "--out", "map.png", "--device", "cpu"),
    ("net.safetensors", "photo.png"),
    makes=("map.png",),
    torch=True,
    names="photo.png",
)


def image_cases() -> Iterator[Case]:
    yield FOLDER
    yield replace(ALONE, name="one picture")
    for name, damage in PICTURES.items():
        yield replace(FOLDER, name=f"one of two: {name}", change=on_file("photos/0.png", damage))
    for name in [*PICTURES][::5]:
        yield replace(ALONE, name=f"one picture: {name}", change=on_file("photo.png", PICTURES[name]))
    for what in SPECIAL:
        yield replace(FOLDER, name=f"one of two: {what}", change=in_place_of("photos/0.png", what))
        yield replace(ALONE, name=f"one picture: {what}", change=in_place_of("photo.png", what))
    yield replace(FOLDER, name="one of two is not ours to read", change=unreadable("photos/0.png"), mortal=True)
    yield replace(FOLDER, name="a folder in it is not ours to read", change=_locked, mortal=True)
    for more in ((), ("--overwrite",)):
        yield replace(
            FOLDER, name=" ".join(["--out is the dataset of the images", *more]), uses=("net.safetensors", "gt"),
            arguments=("predict", "net.safetensors", "gt/images", "--out", "gt", *more), about="options",
            names="panoptic.json",
        )  # fmt: skip
    yield replace(FOLDER, name="an empty folder", change=in_place_of("photos", "a folder"))
    yield replace(
        FOLDER,
        name="a folder of text",
        change=lambda folder: [path.write_text("x") for path in (folder / "photos").iterdir()],
    )
    for name, value in (
        ("red", "\x1b[31mred.png"),
        ("markup", "[b]x[x].png"),
        ("two lines", "a\nb.png"),
        ("no UTF-8", "\udcff.png"),
    ):
        yield replace(
            FOLDER, name=f"a file called {name}", change=lambda folder, value=value: _renamed(folder / "photos", value)
        )
        yield replace(
            FOLDER,
            name=f"a broken file called {name}",
            change=lambda folder, value=value: _renamed(folder / "photos", value).write_text("x"),
        )
    yield replace(FOLDER, name="two names that differ in their end", change=lambda folder: _copied(folder, "0.jpg"))
    yield replace(
        FOLDER, name="a link to the folder above", change=lambda folder: (folder / "photos" / "up").symlink_to("..")
    )
    yield from _like_cases()
    yield AFFINITY
    for name in [*PICTURES][1::6]:
        yield replace(AFFINITY, name=name, change=on_file("photo.png", PICTURES[name]))
    for x, y in (("-1", "0"), ("0", "-1"), ("96", "0"), ("0", "64"), (str(10**30), "0")):
        yield replace(
            AFFINITY,
            name=f"pixel {x} {y}"[:20],
            arguments=("affinity", "net.safetensors", "photo.png", f"--pixel={x}", y, "--out", "map.png"),
            about="options",
            names="pixel",
        )


def _locked(folder: Path) -> None:
    (folder / "photos" / "locked").mkdir()
    (folder / "photos" / "locked").chmod(0)


def _renamed(folder: Path, name: str) -> Path:
    return (folder / "0.png").rename(folder / name)


def _copied(folder: Path, name: str) -> None:
    (folder / "photos" / name).write_bytes((folder / "photos" / "0.png").read_bytes())


def _like_cases() -> Iterator[Case]:
    """The ground truth whose ids and classes the prediction takes."""
    like = replace(
        FOLDER,
        arguments=(*PREDICT[:2], "gt/images", *PREDICT[3:], "--like", "gt/panoptic.json"),
        uses=("net.safetensors", "gt"),
        names="gt/panoptic.json|classes",
    )
    yield replace(like, name="--like")
    for name in [*TEXTS][::3]:
        yield replace(like, name=f"--like: {name}", change=on_file("gt/panoptic.json", TEXTS[name]))
    for where in ("images.0.id", "images.0.file_name", "categories.0.id", "categories.0.name", "categories.0.isthing"):
        for value in (None, "text", -1, 1.5, 10**30, []):
            yield replace(
                like, name=f"--like: {where}: {str(value)[:9]}", change=on_file("gt/panoptic.json", put(where, value))
            )
    for name, value in NAMES.items():
        yield replace(
            like,
            name=f"--like: a file called {name}",
            change=on_file("gt/panoptic.json", put("images.0.file_name", value)),
        )
