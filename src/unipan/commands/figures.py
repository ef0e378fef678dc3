"""`unipan figures CHECKPOINT DATA --out DIR`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import CheckpointChoice, Device, Flag, Folder, JsonFile, Overwrite, entry
from unipan.terminal import tell

if TYPE_CHECKING:
    from unipan.reproduction.figures.draw import FigureSheet


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
    overwrite: Overwrite = False,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> Outcome:
    """Draw the paper's Figures 1, 6, 7, I, J and K of a checkpoint: DIR/figure-*.png, and DIR/index.html with captions.

    Examples are chosen by comparing pixels with the ground truth, never by hand; the counts are printed.

    Args:
        checkpoint: see `options.CheckpointChoice`.
        data: Images with ground truth, see `unipan evaluate --help`.
        out: Output folder, created if missing.
        images: Number of images to measure; if DATA has more, a random sample is drawn.
        seed: Seed of the random sample.
        rows: Largest number of rows of a figure.
        jpeg: Write smaller .jpg files instead of .png.
        upsnet: A checkpoint of a preset that ends in _upsnet, for the paper's Figure K; by default the argmax of Psi.
        overwrite: see `options.Overwrite`.
        device: see `options.Device`.
    """
    from unipan.commands.progress import progress_bar
    from unipan.config_values import COUNT, SEED, check_value
    from unipan.datasets.sources import open_data, use_window
    from unipan.folder_lock import folder_lock

    check_value("--seed", seed, int, SEED)
    check_value("--images", images, int, COUNT)
    check_value("--rows", rows, int, COUNT)
    _claim(out, jpeg, [checkpoint, *([upsnet] if upsnet else [])], data, overwrite, json_file)
    with folder_lock(out, "--out"):
        source, note = open_data(data)
        from unipan.inference import open_segmenter
        from unipan.reproduction.figures.draw import draw_figures, open_upsnet
        from unipan.reproduction.figures.page import FigureFolder

        segmenter = open_segmenter(checkpoint, device)
        use_window(source, segmenter.config.data)
        other = None if upsnet is None else open_upsnet(upsnet, device, source.categories)
        with progress_bar("measuring images", measured := min(images, len(source))) as step:
            sheets, left_out = draw_figures(segmenter, source, images, seed, rows, step, other)
        sample = f"{measured} of the {note}, drawn with seed {seed}" if measured < len(source) else note
        folder = FigureFolder(out, jpeg)
        figures = [_tell_figure(path, sheet) for path, sheet in zip(folder.write(sheets), sheets, strict=True)]
        tell(*left_out)
        page = folder.write_page(sheets, left_out, _subject(checkpoint, upsnet, sample), segmenter.categories)
    tell(f"all figures: {page}")
    return Outcome({"page": str(page), "figures": figures, "left_out": list(left_out)})


def _subject(checkpoint: str, upsnet: str | None, sample: str) -> str:
    """What the figures were drawn from, as the page says it."""
    rival = "" if upsnet is None else f", in Figure K with UPSNet, the checkpoint {upsnet},"
    return f"the checkpoint {checkpoint}{rival} on {sample}"


def _claim(out: Path, jpeg: bool, checkpoints: list[str], data: str, overwrite: bool, json_file: Path | None) -> None:
    """Refuse an output folder that cannot be had before anything is loaded."""
    from unipan.datasets.sources import paths_read
    from unipan.files import checkpoint_path, require_folder
    from unipan.outputs import Outputs
    from unipan.reproduction.figures.names import figure_files

    require_folder(out, "--out")
    outputs = Outputs("figures", [*map(checkpoint_path, checkpoints), *paths_read(data)], overwrite)
    outputs.claim_all([out / name for name in figure_files(jpeg)], "--out")
    outputs.claim_optional(json_file, "--json")


def _tell_figure(path: Path, sheet: "FigureSheet") -> dict[str, Any]:
    """Say what a written figure shows."""
    examples = [f"{example.name}: {example.words}" for example in sheet.examples]
    tell(f"{path}: {sheet.plan.title}", *(f"  {line}" for line in examples))
    return {"picture": str(path), "title": sheet.plan.title, "examples": examples}


main = entry(write_figures, "figures")
