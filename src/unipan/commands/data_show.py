"""`unipan data show [FORMAT:]DATA --out DIR_OR_HTML`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import JsonFile, OptionalFile, OptionalFolder, Overwrite, entry
from unipan.terminal import tell


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
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
) -> Outcome:
    """Draw some images with their panoptic maps on one page that opens offline.

    Args:
        source: What to read; formats as in `unipan data convert`.
        out: The page to write: a file that ends in .html, or a folder for index.html.
        count: Number of images, evenly spaced.
        images: Folder of the images, if the format does not say where they are.
        panoptic: Folder of a JSON's PNGs, if it is not the JSON's path without .json.
        classes: A JSON with `categories`, for formats that do not store their classes.
        split: cityscapes: train, val or test.
        overwrite: see `options.Overwrite`.
        json_file: see `options.JsonFile`.
    """
    from unipan.datasets.doctor.page import dataset_page
    from unipan.datasets.formats.convert import open_nonempty
    from unipan.datasets.formats.format import FormatOptions
    from unipan.datasets.sources import paths_read
    from unipan.outputs import Outputs
    from unipan.visualization.pages import write_page

    if count < 1:
        raise ValueError(f"--count {count}: at least one image is needed")
    path = out if out.suffix == ".html" else out / "index.html"
    outputs = Outputs("data show", [*paths_read(source), images, panoptic, classes], overwrite)
    outputs.claim(path, "--out")
    outputs.claim_optional(json_file, "--json")
    data = open_nonempty(source, FormatOptions(images, panoptic, classes, split=split))
    write_page(path, dataset_page(data, count, source))
    tell(f"{path}: {min(count, len(data))} of {len(data)} images")
    shown = {"page": str(path), "shown": min(count, len(data)), "images": len(data)}
    return Outcome(shown)


main = entry(show, "data show")
