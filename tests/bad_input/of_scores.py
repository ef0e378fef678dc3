"""`unipan pq`: both JSONs and their PNGs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import (
    NAMES,
    NEUTRAL,
    PIXELS_KEPT,
    PNGS,
    SPECIAL,
    TEXTS,
    Bytes,
    copy_row,
    doubled_key,
    field_damages,
    in_place_of,
    on_file,
    put,
    unreadable,
)

PQ = ("pq", "gt", "pred", "--json", "scores.json", "--threads", "1")
SOME = ("missing", "null", "text", "negative", "half", "huge", "a list", "NaN")
FIELDS = {
    "images": ("*",),
    "annotations": ("*",),
    "categories": ("*",),
    "images.0": ("null", "text", "a list", "an object"),
    "images.0.id": ("*",),
    "images.0.file_name": SOME,
    "images.0.width": SOME,
    "images.0.height": ("huge", "negative"),
    "annotations.0": ("null", "text", "a list", "an object"),
    "annotations.0.image_id": ("*",),
    "annotations.0.file_name": SOME,
    "annotations.0.segments_info": ("*",),
    "annotations.0.segments_info.0": ("null", "text", "a list", "an object"),
    "annotations.0.segments_info.0.id": ("*",),
    "annotations.0.segments_info.0.category_id": ("*",),
    "annotations.0.segments_info.0.iscrowd": ("*",),
    "annotations.0.segments_info.0.area": SOME,
    "annotations.0.segments_info.0.bbox": SOME,
    "categories.0": ("null", "text", "a list", "an object"),
    "categories.0.id": ("*",),
    "categories.0.name": SOME,
    "categories.0.isthing": ("*",),
    "categories.0.color": SOME,
}
ROWS = {
    "an image twice": copy_row("images"),
    "an annotation twice": copy_row("annotations"),
    "a category twice": copy_row("categories"),
    "a category's name twice": copy_row("categories", id=99),
    "a category's id twice": copy_row("categories", name="other"),
    "an annotation of no image": copy_row("annotations", image_id=987),
    "an image without annotation": copy_row("images", id=987, file_name="other.png"),
    "the key images twice": doubled_key("images", "[]"),
    "an id twice": doubled_key("images.0.id", "7"),
}


def score(folder: Path, said: str) -> str:
    """The strict PQ, and how many images it is of."""
    strict = json.loads((folder / "scores.json").read_text())["strict"]
    return f"PQ {strict['All']['pq']:.6f}" if strict["All"] else "PQ null"


BASE = Case("pq", AS_IT_IS, PQ, ("gt", "pred"), makes=("scores.json",), result=score)


def first_png(folder: Path, side: str) -> Path:
    return sorted((folder / side / "panoptic").iterdir())[0]


def score_cases() -> Iterator[Case]:
    yield BASE
    yield from json_cases()
    yield from png_cases()
    yield from option_cases_of_scores()


def json_cases() -> Iterator[Case]:
    """Both JSONs."""
    for side in ("gt", "pred"):
        file = f"{side}/panoptic.json"
        known = replace(BASE, names="gt/panoptic|pred/panoptic" if side == "gt" else "pred/panoptic")
        damages = {**TEXTS, **ROWS, **dict(field_damages(FIELDS))}
        if side == "pred":  # read by the same parser: every third
            damages = dict([*damages.items()][::3])
        for name, damage in damages.items():
            yield replace(known, name=f"{file}: {name}", change=on_file(file, damage), same=name in NEUTRAL)
        for what in SPECIAL:
            yield replace(known, name=f"{file}: {what}", change=in_place_of(file, what))
        yield replace(known, name=f"{file}: not ours to read", change=unreadable(file), mortal=True)
        for name, value in NAMES.items():
            yield replace(
                known, name=f"{file}: a map called {name}", change=on_file(file, put("annotations.0.file_name", value))
            )


def png_cases() -> Iterator[Case]:
    """A PNG of each side, and their folder."""
    for name, damage in PNGS.items():
        yield png_case(name, lambda folder, damage=damage: _damage_png(folder, "gt", damage), name in PIXELS_KEPT)
    for name in [*PNGS][::3]:
        damage = PNGS[name]
        case = png_case(name, lambda folder, damage=damage: _damage_png(folder, "pred", damage), name in PIXELS_KEPT)
        yield replace(case, name=f"a PNG of the predictions: {name}")
    for what in SPECIAL:
        yield png_case(
            what, lambda folder, what=what: in_place_of(str(first_png(folder, "gt").relative_to(folder)), what)(folder)
        )
    yield replace(png_case("not ours to read", lambda folder: first_png(folder, "gt").chmod(0)), mortal=True)
    for what in ("nothing", "a file", "a pipe"):
        yield replace(BASE, name=f"gt/panoptic: {what}", change=in_place_of("gt/panoptic", what), names="gt/panoptic")


def option_cases_of_scores() -> Iterator[Case]:
    """Broken PNGs and odd names with options that read or write more."""
    lenient = replace(BASE, arguments=(*PQ, "--lenient"))
    for name in ("black", "white", "noise", "empty", "cut in the middle", "a row less"):
        damage = PNGS[name]
        yield replace(
            lenient,
            name=f"--lenient: a PNG: {name}",
            change=lambda folder, damage=damage: _damage_png(folder, "pred", damage),
            names="pred/panoptic",
        )
    explain = replace(BASE, arguments=(*PQ, "--explain", "--html", "page", "--csv", "images.csv"))
    explain = replace(explain, makes=("scores.json", "page", "images.csv"))
    for name in ("black", "one pixel", "empty", "a row less"):
        yield replace(
            explain,
            name=f"--explain --html: a PNG: {name}",
            change=lambda folder, name=name: _damage_png(folder, "pred", PNGS[name]),
            names="pred/panoptic",
        )
    for name, value in (("red", "\x1b[31mred"), ("markup", "[b]x[/b][/x]"), ("a script", "<script>alert(1)</script>")):
        yield replace(
            explain,
            name=f"--explain --html: a class called {name}",
            change=lambda folder, value=value: [
                on_file(f"{side}/panoptic.json", put("categories.0.name", value))(folder) for side in ("gt", "pred")
            ],
            same=True,
            names="x",
        )


def png_case(name: str, change: Callable[[Path], object], same: bool = False) -> Case:
    return replace(BASE, name=f"a PNG: {name}", change=change, names="gt/panoptic|pred/panoptic", same=same)


def _damage_png(folder: Path, side: str, damage: Bytes) -> None:
    path = first_png(folder, side)
    path.write_bytes(damage(path.read_bytes()))
