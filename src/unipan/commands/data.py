"""`unipan data check|convert|show`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Flag, JsonFile, OptionalFolder

if TYPE_CHECKING:
    from unipan.datasets.doctor.findings import Diagnosis
    from unipan.datasets.formats.listed import MapData
    from unipan.datasets.formats.writers import MapWriter
    from unipan.visualization.pages import GalleryPage, ImageRow

CLEAN, FINDINGS, UNREADABLE = 0, 1, 2
"""Exit codes of `unipan data check`."""
EXAMPLES = 3
"""Findings of a kind that are printed; --json holds them all."""
LONGEST = 720
"""Pixels of the longer side of a picture on the page."""

OptionalFile = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
Overlap = Literal["refuse", "small", "score", "last"]  # that of coco_instances, imported late


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    verbs: dict[str, Callable[..., int]] = {"check": check, "convert": convert, "show": show}
    words = "Check, convert and show datasets."
    return int(tyro.extras.subcommand_cli_from_dict(verbs, prog="unipan data", description=words, args=arguments))


def check(
    source: Annotated[Positional[Path], arg(metavar="DIR_OR_JSON")],
    /,
    *,
    fix: Annotated[Path | None, arg(metavar="OUT", help_behavior_hint="")] = None,
    json_file: JsonFile = None,
    images: OptionalFolder = None,
    panoptic: OptionalFolder = None,
) -> int:
    """Look for everything that is wrong in a COCO panoptic dataset; docs/data.md lists the kinds.

    Exit status: 0 nothing is wrong, 1 there are findings, 2 there is nothing that could be read.

    Args:
        source: a folder with images/, panoptic/ and panoptic.json, or a JSON (its PNGs lie in its path without .json).
        fix: write a repaired copy to this new folder; the source stays as it is.
        json_file: write all findings here.
        images: folder of photographs, if it is not `images` beside the JSON.
        panoptic: folder of PNGs, if it is another.
    """
    from unipan.datasets.doctor.diagnose import UnreadableError, diagnose, treat
    from unipan.files import require_file, require_folder

    if json_file is not None:
        require_file(json_file, "--json")
        _require_another(json_file, source)
    if fix is not None:
        require_folder(fix, "--fix")
    try:
        with _progress("looking") as tell:
            found = diagnose(source, images, panoptic, tell)
    except UnreadableError as error:
        print(f"unipan: {error}", file=sys.stderr)
        return UNREADABLE
    print(describe(found))
    if json_file is not None:
        from unipan.commands.tables import write_json

        write_json(json_file, found.to_json())
    if fix is not None:
        with _progress("writing") as tell:
            path = treat(found, fix, tell)
        open_ones = sum(not finding.cured for finding in found.findings)
        rest = f"; {open_ones} findings cannot be mended by a program and are still in it" if open_ones else ""
        print(f"{path}: a repaired copy, {len(found.treated)} of {found.listed} images{rest}")
    return FINDINGS if found.findings else CLEAN


def _require_another(json_file: Path, source: Path) -> None:
    """The report must not take the place of what it reports on. Raises ValueError."""
    path = source / "panoptic.json" if source.is_dir() else source
    if json_file.exists() and path.exists() and json_file.samefile(path):
        raise ValueError(f"--json {json_file}: this is the dataset's own JSON; give the report another name")


def _some(data: "MapData", source: str) -> "MapData":
    """The same data. Raises ValueError if there is no image in it."""
    if not len(data):
        raise ValueError(f"{source}: it lists no images; `unipan data check` says what else is wrong with it")
    return data


def describe(found: "Diagnosis") -> str:
    """The report for the terminal: kinds with their number, the first few of each, and the remarks."""
    from unipan.datasets.doctor.findings import KINDS

    lines = []
    for kind, count in found.counts.items():
        mine = [finding for finding in found.findings if finding.kind == kind]
        cure = KINDS[kind].cure if any(finding.cured for finding in mine) else ""
        lines.append(f"{kind} ({count}): {KINDS[kind].title}")
        lines += [f"    {finding}" for finding in mine[:EXAMPLES]]
        lines += [f"    and {count - EXAMPLES} more"] * (count > EXAMPLES)
        lines.append(f"    --fix: {cure}" if cure else "    no program can mend this")
    lines += [f"note: {remark}" for remark in found.remarks]
    total = len(found.findings)
    lines.append(f"{found.source}: {found.listed} images, {total or 'no'} finding{'s' * (total != 1)}")
    return "\n".join(lines)


def convert(
    source: Annotated[Positional[str], arg(metavar="[FORMAT:]FROM")],
    target: Annotated[Positional[str], arg(metavar="[FORMAT:]TO")],
    /,
    *,
    images: OptionalFolder = None,
    panoptic: OptionalFolder = None,
    classes: OptionalFile = None,
    stuff: Annotated[Path | None, arg(metavar="FILE_OR_DIR", help_behavior_hint="")] = None,
    overlap: Overlap = "refuse",
    contiguous: Flag = False,
    divisor: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None,
    split: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None,
    train_ids: Flag = False,
    no_photos: Flag = False,
    limit: Annotated[int, arg(metavar="N")] = 0,
) -> int:
    """Read one format and write another; TO is a new folder, complete or not there at all.

    Args:
        source: what to read. Formats: coco (the default), cityscapes (shows by its gtFine/), detectron2, mmdet, id-png,
            huggingface, png16, two-channel, semantic-masks, coco-instances, rle.
        target: what to write. Formats: coco (the default), png16, two-channel, rle, cityscapes-panoptic,
            cityscapes-instance.
        images: folder of photographs, where the format does not say.
        panoptic: folder of a JSON's PNGs, if it is not the JSON's path without .json.
        classes: a JSON with `categories` (and `images`), where the format holds none.
        stuff: coco-instances: a JSON of stuff, or a folder of class pictures.
        overlap: coco-instances: which of two things that overlap lies on top.
        contiguous: category ids count the classes from 0.
        divisor: png16: pixel = category id * divisor + instance; 1000 unless the data say otherwise.
        split: cityscapes: train, val or test.
        train_ids: cityscapes: train ids instead of label ids.
        no_photos: leave the photographs out.
        limit: only the first so many images; 0 takes all.
    """
    from unipan.datasets.formats.registry import WITH_PHOTOS, WRITERS, ReadOptions, open_dataset, split_name

    if divisor is not None and divisor < 1:
        raise ValueError(f"--divisor {divisor}: it is at least 1")
    options = ReadOptions(images, panoptic, classes, stuff, overlap, contiguous, divisor, split, train_ids)
    known, out = split_name(target, WRITERS)
    name = known or "coco"
    if out.suffix == ".json":
        raise ValueError(f"{target}: every format is written into a folder; give its name, without .json")
    data = _some(open_dataset(source, options), source)
    count = min(limit, len(data)) if limit > 0 else len(data)
    photos = name in WITH_PHOTOS and not no_photos and _has_photos(data)
    written = _write(data, count, photos, out, lambda folder: WRITERS[name](folder, data.categories, options))
    print(f"{written}: {count} images as {name}" + (", with their photographs" if photos else ""))
    return 0


def _write(data: "MapData", count: int, photos: bool, out: Path, make: Callable[[Path], "MapWriter"]) -> Path:
    """The first `count` images, and what the writer left last; `out` is complete or not there at all."""
    from unipan.datasets.formats.output import new_folder

    with new_folder(out, "TO") as folder, _progress("converting") as tell:
        writer = make(folder)
        for index in range(count):
            truth = data.truth(index)
            writer.add(data.file_names[index], data.image_ids[index], truth)
            if photos:
                _copy_photo(data, index, truth.ids.shape, folder / "images")
            tell(index + 1, count)
        last = writer.close()
    return out / last.relative_to(folder)


def show(
    source: Annotated[Positional[str], arg(metavar="[FORMAT:]DATA")],
    /,
    *,
    out: Annotated[Path, arg(metavar="DIR_OR_HTML")],
    count: Annotated[int, arg(metavar="N")] = 12,
    images: OptionalFolder = None,
    panoptic: OptionalFolder = None,
    classes: OptionalFile = None,
    split: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None,
) -> int:
    """Draw some images with their truth on one page that opens offline.

    Args:
        source: what to read; formats as in `unipan data convert`.
        out: the page: a file ending in .html, or a folder that gets index.html.
        count: so many images, evenly spread.
        images: folder of photographs, where the format does not say.
        panoptic: folder of a JSON's PNGs, if it is another.
        classes: a JSON with `categories`, where the format holds none.
        split: cityscapes: train, val or test.
    """
    from unipan.datasets.formats.registry import ReadOptions, open_dataset
    from unipan.files import require_file
    from unipan.visualization.pages import write_page

    if count < 1:
        raise ValueError(f"--count {count}: at least one image is needed")
    path = out if out.suffix == ".html" else out / "index.html"
    require_file(path, "--out")
    data = _some(open_dataset(source, ReadOptions(images, panoptic, classes, split=split)), source)
    count = min(count, len(data))
    chosen = [round(step * (len(data) - 1) / max(count - 1, 1)) for step in range(count)]
    write_page(path, page_of(data, chosen, source))
    print(f"{path}: {len(chosen)} of {len(data)} images")
    return 0


def page_of(data: "MapData", chosen: list[int], source: str) -> "GalleryPage":
    """The page: for each image the photograph, the truth over it, and the things with their names."""
    from unipan import __version__
    from unipan.visualization.pages import GalleryPage

    photos, used, rows = _has_photos(data), set(), []
    for index in chosen:
        row, names = _row(data, index, photos)
        used |= names
        rows.append(row)
    legend = [(category.name, category.color) for category in data.categories if category.name in used]
    lead = f"{len(chosen)} of {len(data)} images, evenly spread; {len(data.categories.things)} thing and "
    lead += f"{len(data.categories.stuff)} stuff classes, {len(legend)} of them here. Things of a class vary in hue; "
    lead += "a crowd is one segment."
    return GalleryPage(
        title=source,
        kicker="unipan data show",
        lead=[lead],
        rows=rows,
        legend=legend,
        colophon=f"unipan {__version__}",
    )


def _row(data: "MapData", index: int, photos: bool) -> tuple["ImageRow", set[str]]:
    import numpy as np

    from unipan.visualization.flat import color_map
    from unipan.visualization.overlay import draw_boxes, overlay, shrink
    from unipan.visualization.pages import CaptionedImage, ImageRow, data_uri
    from unipan.visualization.palette import segment_colors

    if photos:
        sample = data[index]
        picture, truth = sample.image, sample.truth
    else:
        truth = data.truth(index)
        picture = np.full((*truth.ids.shape, 3), 128, np.uint8)
    colors = segment_colors(truth)
    things = [segment for segment in truth if segment.isthing]
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (each.bbox for each in things)], np.float32).reshape(-1, 4)
    labels = [segment.category.name + " (crowd)" * segment.iscrowd for segment in things]
    named = draw_boxes(picture, boxes, labels, [colors[segment.id] for segment in things])
    drawn = overlay(picture, truth) if photos else color_map(truth)
    void = float((truth.ids == 0).mean())
    crowds = sum(segment.iscrowd for segment in truth)
    note = f"things {len(things) - crowds}, crowds {crowds}, stuff segments {len(truth) - len(things)}, "
    note += f"void {100 * void:.1f} %"
    size = f"{truth.ids.shape[1]} x {truth.ids.shape[0]}"
    pictures = {"image": picture} if photos else {}
    pictures |= {"ground truth": drawn, "things": named}
    images = [CaptionedImage(title, data_uri(shrink(each, LONGEST))) for title, each in pictures.items()]
    return ImageRow(data.file_names[index], images, f"{size}; {note}"), {segment.category.name for segment in truth}


def _has_photos(data: "MapData") -> bool:
    try:
        return len(data) > 0 and bool(data.image_path(0))
    except ValueError:
        return False


def _copy_photo(data: "MapData", index: int, size: tuple[int, ...], folder: Path) -> None:
    """The photograph's own bytes under its own name. Raises ValueError if it does not fit its map."""
    from unipan.datasets.formats.pixels import photo_size
    from unipan.files import read_bytes, write_atomically

    path = data.image_path(index)
    found = photo_size(path)
    if found != tuple(size):
        raise ValueError(
            f"{path}: image {data.image_ids[index]!r} is {found[1]} x {found[0]} but its map is {size[1]} x {size[0]} "
            "(width x height); find the right pair, or leave the photographs out with --no-photos"
        )
    write_atomically(folder / data.file_names[index], read_bytes(path))


@contextmanager
def _progress(word: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error: call it with what is done, of how much."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(word, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
