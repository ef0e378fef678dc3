"""`unipan figures CHECKPOINT DATA --out DIR`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.options import CheckpointChoice, Device, Flag, Folder, entry


def write_figures(
    checkpoint: CheckpointChoice,
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

    Examples are chosen by counting pixels against the truth, never by hand; the counts are printed.

    Args:
        checkpoint: see `options.CheckpointChoice`.
        data: images with their truth, see `unipan evaluate --help`.
        out: output folder, made if missing.
        images: how many images to measure; if DATA has more, a random sample.
        seed: of that sample.
        rows: of a figure, at most.
        jpeg: write smaller .jpg files instead of .png.
        upsnet: a checkpoint of a preset that ends in _upsnet, for Figure K as in the paper; without it the argmax of
            Psi takes its place.
        device: see `options.Device`.
    """
    from unipan.commands.progress import progress_bar
    from unipan.datasets.sources import open_data, use_window
    from unipan.files import checkpoint_path, require_folder

    if images < 1 or rows < 1:
        raise ValueError(f"figures: --images {images} and --rows {rows} leave nothing to draw; give 1 or more")
    require_folder(out, "--out")
    for path in (checkpoint, *([upsnet] if upsnet else [])):
        checkpoint_path(path)
    source, note = open_data(data)
    from unipan.inference import open_segmenter
    from unipan.reproduction.figures.draw import draw_figures, open_upsnet
    from unipan.reproduction.figures.page import FigureFolder

    segmenter = open_segmenter(checkpoint, device)
    use_window(source, segmenter.config.data)
    other = None if upsnet is None else open_upsnet(upsnet, device, source.categories)
    measured = min(images, len(source))
    with progress_bar("measuring images", measured) as step:
        sheets, left_out = draw_figures(segmenter, source, images, seed, rows, step, other)
    drawn = f"{measured} of the {note}, drawn with seed {seed}" if measured < len(source) else note
    rival = "" if upsnet is None else f", in Figure K with UPSNet, the checkpoint {upsnet},"
    folder = FigureFolder(out, jpeg)
    for sheet in sheets:
        print(f"{folder.write(sheet)}: {sheet.plan.title}")
        for example in sheet.examples:
            print(f"  {example.name}: {example.words}")
    print("\n".join(left_out), end="\n" * bool(left_out))
    page = folder.write_page(sheets, left_out, f"the checkpoint {checkpoint}{rival} on {drawn}", segmenter.categories)
    print(f"all figures: {page}")


main = entry(write_figures, "figures")
