"""`unipan figures CHECKPOINT DATA --out DIR`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Checkpoint, Device, Flag, Folder

if TYPE_CHECKING:
    from unipan.inference import Segmenter
    from unipan.panoptic.categories import Categories
    from unipan.reproduction.figures import FigureSheet
    from unipan.visualization.pages import FiguresPage

JPEG_QUALITY = 75


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    tyro.cli(figures, prog="unipan figures", args=arguments)
    return 0


def figures(
    checkpoint: Checkpoint,
    data: Annotated[Positional[str], arg(metavar="DATA")] = "scenes",
    /,
    *,
    out: Folder = Path("runs/figures"),
    images: Annotated[int, arg(metavar="N")] = 50,
    seed: int = 0,
    rows: Annotated[int, arg(metavar="N")] = 4,
    jpeg: Flag = False,
    upsnet: Annotated[str | None, arg(metavar="CHECKPOINT", help_behavior_hint="")] = None,
    device: Device = "auto",
) -> None:
    """Draw the paper's Figures 1, 6, 7, I, J and K of a checkpoint: DIR/figure-*.png, and DIR/index.html with captions.

    What is shown is chosen by counting pixels against the truth, never by hand; the counts are printed.

    Args:
        checkpoint: see `options.Checkpoint`.
        data: images with their truth, see `unipan evaluate --help`.
        out: folder, made if missing.
        images: how many images to measure; where DATA has more, so many are drawn by the seed.
        seed: of that draw.
        rows: of a figure, at most.
        jpeg: smaller files, .jpg in the place of .png.
        upsnet: a checkpoint of a preset that ends in _upsnet, to stand in Figure K as in the paper; without it the
            argmax of Psi stands there.
        device: see `options.Device`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from unipan.datasets.sources import open_data
    from unipan.files import require_folder
    from unipan.inference import open_segmenter
    from unipan.reproduction.figures import draw_figures
    from unipan.visualization.pages import write_page

    if images < 1 or rows < 1:
        raise ValueError(f"figures: --images {images} and --rows {rows} leave nothing to draw; give 1 or more")
    require_folder(out, "--out")
    segmenter = open_segmenter(checkpoint, device)
    source, note = open_data(data)
    other = None if upsnet is None else open_upsnet(upsnet, device, source.categories)
    measured = min(images, len(source))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring images", total=measured)
        sheets, left_out = draw_figures(segmenter, source, images, seed, rows, lambda: progress.advance(task), other)
    for each in sheets:
        write_figure(each, out, jpeg)
    for sentence in left_out:
        print(sentence)
    drawn = f"{measured} of the {note}, drawn with seed {seed}" if measured < len(source) else note
    beside = "" if upsnet is None else f", in Figure K beside UPSNet, the checkpoint {upsnet},"
    page = page_of(segmenter, sheets, left_out, f"the checkpoint {checkpoint}{beside} on {drawn}", jpeg)
    write_page(out / "index.html", page)
    print(f"all figures: {out / 'index.html'}")


def open_upsnet(checkpoint: str, device: str, categories: "Categories") -> "Segmenter":
    """A network for Figure K. Raises ValueError if it was not trained as UPSNet, or on other classes."""
    from unipan.analysis.evaluate import check_classes
    from unipan.config import check_fusion
    from unipan.inference import open_segmenter

    segmenter = open_segmenter(checkpoint, device)
    try:
        check_fusion(segmenter.config, "upsnet")
        check_classes(segmenter.categories, categories)
    except ValueError as error:
        raise ValueError(f"--upsnet {checkpoint}: {error}") from error
    return segmenter


def write_figure(sheet: "FigureSheet", out: Path, jpeg: bool) -> None:
    """A figure's picture, and on the terminal what was counted."""
    from unipan.files import write_atomically

    file = out / file_of(sheet, jpeg)
    write_atomically(file, encode(sheet, jpeg))
    print(f"{file}: {sheet.plan.title}")
    for example in sheet.examples:
        print(f"  {example.name}: {example.words}")


def file_of(sheet: "FigureSheet", jpeg: bool) -> str:
    """The name of a figure's picture."""
    return f"figure-{sheet.plan.number}.{'jpg' if jpeg else 'png'}"


def encode(sheet: "FigureSheet", jpeg: bool) -> bytes:
    """A figure as the bytes of a PNG or JPEG."""
    import io

    from PIL import Image

    file = io.BytesIO()
    picture = Image.fromarray(sheet.picture)
    if jpeg:
        picture.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    else:
        picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def page_of(
    segmenter: "Segmenter", sheets: "list[FigureSheet]", left_out: list[str], subject: str, jpeg: bool
) -> "FiguresPage":
    """Everything on the page, as plain values."""
    from unipan import __version__
    from unipan.visualization.pages import FigureEntry, FiguresPage

    entries = []
    for each in sheets:
        plan, (height, width) = each.plan, each.picture.shape[:2]
        rows = [(example.name, example.words.replace("Psi", "Ψ")) for example in each.examples]
        entry = FigureEntry(
            plan.number, plan.section, plan.title, plan.text, file_of(each, jpeg), (width, height), rows
        )
        entries.append(entry)
    return FiguresPage(
        title="The paper’s figures, from this checkpoint",
        kicker="unipan figures",
        lead=(
            f"Drawn from {subject}. The figures have the paper’s numbers and show what it shows there.",
            "No example was picked by hand. Each image was measured against its truth, and those that show most of "
            "what a figure is about stand in it: gains only, but for Figure K, which shows losses too. What was "
            "counted stands below each picture. A pixel of an object counts as right where it lies in the predicted "
            "segment of the object’s class that shares most pixels with it.",
        ),
        left_out=left_out,
        figures=entries,
        legend=[(category.name, category.color) for category in segmenter.categories],
        colophon=(
            f"Written by unipan {__version__}. The page needs nothing but the pictures beside it. After Q. Li, X. Qi, "
            "P. H. S. Torr, Unifying Training and Inference for Panoptic Segmentation, CVPR 2020."
        ),
    )
