"""Pages, tiles and precision: options of `unipan predict`, `Segmenter.in_tiles`, and `read_image(page=...)`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, PICTURES, on_file, saved
from tests.bad_input.of_images import ALONE, predicted
from tests.bad_input.of_options import NUMBERS

PAGES = ("", "0", "4", "-1", "x", "1-", "-", "2-1", "1,,2", "1;2", "1-2-3", " ", "²", str(HUGE), f"1-{HUGE}",
         "9" * 5000, "2", "1-3", "all", "ALL", "3,1", "1,1", "٢")  # fmt: skip
"""Of a stack of three; the last ones are right."""


def stack(folder: Path) -> None:
    """`stack.tif`, three pages of 32 x 32 pixels."""
    pages = [Image.fromarray(np.full((32, 32), 60 * number, np.uint8)) for number in (1, 2, 3)]
    (folder / "stack.tif").write_bytes(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))


def picture_cases() -> Iterator[Case]:
    yield from _paged()
    yield from _tiled()
    yield from _of_read_image()
    yield from _of_in_tiles()


def _paged() -> Iterator[Case]:
    arguments = ("predict", "net.safetensors", "stack.tif", "--out", "out", "--device", "cpu", "--pages")
    paged = replace(ALONE, uses=("net.safetensors", "photo.png"), change=stack, about="options", names="--pages")
    for pages in PAGES:
        yield replace(paged, name=f"--pages {pages[:12]}", arguments=(*arguments, pages))
    for name, pictures in (("of one page", "photo.png"), ("of nothing", "gone.tif"), ("of a folder", ".")):
        line = (*arguments[:2], pictures, *arguments[3:], "all")
        yield replace(paged, name=f"--pages {name}", arguments=line, names="--pages|gone.tif|--out", result=predicted)
    for damage in ("empty", "cut in the middle", "something behind"):
        yield replace(
            paged, name=f"--pages of a stack: {damage}", arguments=(*arguments, "all"), names="stack.tif|--pages",
            change=lambda folder, damage=damage: _damaged_stack(folder, damage), about="input",
        )  # fmt: skip
    yield replace(paged, name="--pages and --submission", names="--", arguments=(
        *arguments, "all", "--submission", "cityscapes"))  # fmt: skip


def _damaged_stack(folder: Path, damage: str) -> None:
    from tests.bad_input.damage import TEXTS

    stack(folder)
    on_file("stack.tif", TEXTS[damage])(folder)


def _tiled() -> Iterator[Case]:
    tiled = replace(ALONE, arguments=(*ALONE.arguments, "--tiles", "--tile-side", "64"), about="options")
    yield replace(tiled, name="--tiles", names="photo.png")
    slow = {("--scale", "1.5")}
    more = {
        "--scale": ("17", "1e-300", "-0.0", "0.01"),
        "--tile-side": ("63", "65", "1000"),
        "--reach": ("nowhere", "EVERYWHERE"),
    }
    for option in ("--scale", "--tile-side", "--reach"):
        for value in (*NUMBERS[::2], *more[option]):
            if (option, value) not in slow:
                arguments = tuple(word for word in tiled.arguments if option != "--tile-side" or word != "64")
                arguments = tuple(word for word in arguments if word != option)
                yield replace(
                    tiled, name=f"--tiles {option} {value[:12]}", arguments=(*arguments, option, value),
                    names=f"{option}|{option.removeprefix('--').rpartition('-')[2]}",
                )  # fmt: skip
        yield replace(
            ALONE, name=f"{option} without --tiles", arguments=(*ALONE.arguments, option, "2"), about="options",
            names="--tiles",
        )  # fmt: skip
    for more_words, names in (
        ("--fusion heuristic", "--fusion"), ("--fusion upsnet", "fusion upsnet"), ("--precision bf16", "--precision"),
        ("--runtime onnx", "onnx"), ("--device meta", "--device"), ("--pages all", "--pages"),
    ):  # fmt: skip
        yield replace(
            tiled, name=f"--tiles {more_words}", arguments=(*tiled.arguments, *more_words.split()), names=names
        )
    for name in [*PICTURES][2::10]:
        case = replace(tiled, name=f"--tiles: {name}", change=on_file("photo.png", PICTURES[name]), about="input")
        yield replace(case, names="photo.png")
    for option, values in {"--precision": ("16", "x", "64"), "--runtime": ("x", "tensorrt", "ONNX")}.items():
        for value in values:
            arguments = (*ALONE.arguments, option, value)
            yield replace(ALONE, name=f"{option} {value}", arguments=arguments, about="options", names=option)
    yield replace(ALONE, name="--precision bf16", arguments=(*ALONE.arguments, "--precision", "bf16"))


ODD: tuple[Any, ...] = (
    None,
    0,
    -1,
    4,
    1.5,
    "x",
    "2",
    True,
    HUGE,
    -HUGE,
    float("nan"),
    [],
    [1],
    np.array(2),
    np.int64(2),
)


def _of_read_image() -> Iterator[Case]:
    from unipan.panoptic.images import read_image

    def read(page: Any, path: Any = "stack.tif") -> str:
        pixels = read_image(path, page=page)
        return f"{pixels.shape} {pixels.mean():.0f}"

    base = Case("read_image", AS_IT_IS, uses=("photo.png",), change=stack, names="stack.tif", call=lambda _: read(2))
    yield base
    for page in ODD:
        yield replace(base, name=f"page={page!r}"[:24], call=lambda _, page=page: read(page), names="page")
    for page in (None, 1, 2):
        yield replace(
            base, name=f"page={page} of a PNG", call=lambda _, page=page: read(page, "photo.png"), names="photo.png"
        )  # fmt: skip
    for path in ("gone.tif", ".", "", "/dev/null", "a\0b.tif", "n" * 300):
        yield replace(
            base, name=f"page=1 of {path!r}"[:24], call=lambda _, path=path: read(1, path),
            names=path[:40].replace("\0", "\0") or "folder",
        )  # fmt: skip


def _of_in_tiles() -> Iterator[Case]:
    def tiled(image: Any = "photo.png", **options: Any) -> str:
        import unipan

        found = unipan.Segmenter.load("net.safetensors").in_tiles(image, **{"side": 64, **options})
        return f"{len(found)} segments, {found.ids.shape}"

    base = Case(
        "Segmenter.in_tiles", AS_IT_IS, uses=("net.safetensors", "photo.png"), torch=True, call=lambda _: tiled(),
        names="photo.png",
    )  # fmt: skip
    yield base
    options: dict[str, tuple[Any, ...]] = {
        "side": (None, 0, -64, 63, 64.0, 64.5, "x", "64", HUGE, float("nan"), True, [64], np.int64(64)),
        "scale": (None, 0, -1, "x", float("nan"), float("inf"), 17, 1e-300, HUGE, [1], True, np.float32(0.5), 0.01),
        "reach": (None, "everywhere", "nowhere", -1, 0, 1.5, float("nan"), HUGE, [], True, np.int64(3), "8"),
        "fusion": ("heuristic", "x", 3, ""),
        "page": (0, 1, 2, "x", 1.5),
    }
    for name, values in options.items():
        for value in values[::2]:
            yield replace(
                base, name=f"{name}={value!r}"[:24], call=lambda _, n=name, v=value: tiled(**{n: v}),
                names=f"tiles|{name}|argument",
            )  # fmt: skip
    from tests.bad_input.of_python import odd_images_of_arrays

    for name, value in [*odd_images_of_arrays().items()][::3]:
        yield replace(base, name=f"an image: {name}", names="image", call=lambda _, value=value: tiled(value))
