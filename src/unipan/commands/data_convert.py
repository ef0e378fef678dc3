"""`unipan data convert [FORMAT:]FROM [FORMAT:]TO`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.options import Flag, OptionalFile, OptionalFolder, entry
from unipan.commands.progress import progress_of
from unipan.datasets.formats.convert import open_nonempty, write_dataset
from unipan.datasets.formats.format import FormatOptions, Overlap
from unipan.datasets.formats.registry import FORMATS, readable, split_prefix, writable
from unipan.datasets.sources import paths_read
from unipan.outputs import Outputs

READABLE, WRITABLE = (
    f"Formats: {', '.join(names)}; {FORMATS[0].name} is the default." for names in (readable(), writable())
)
RECOGNISED = ", ".join(each.name for each in FORMATS if each.recognises)
Name = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]


def convert(
    source: Annotated[
        Positional[str],
        arg(metavar="[FORMAT:]FROM", help=f"What to read. {READABLE} Recognised without FORMAT: {RECOGNISED}."),
    ],
    target: Annotated[Positional[str], arg(metavar="[FORMAT:]TO", help=f"What to write, a new folder. {WRITABLE}")],
    /,
    *,
    images: OptionalFolder = None,
    panoptic: OptionalFolder = None,
    classes: OptionalFile = None,
    stuff: Annotated[Path | None, arg(metavar="FILE_OR_DIR", help_behavior_hint="")] = None,
    overlap: Overlap = "refuse",
    contiguous: Flag = False,
    divisor: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None,
    split: Name = None,
    train_ids: Flag = False,
    no_photos: Flag = False,
    limit: Annotated[int, arg(metavar="N")] = 0,
) -> None:
    """Read one format and write another; TO is complete afterwards, or does not exist.

    Args:
        source: see above.
        target: see above.
        images: folder of the images, if the format does not say where they are.
        panoptic: folder of a JSON's PNGs, if it is not the JSON's path without .json.
        classes: a JSON with `categories` (and `images`), for formats that do not store their classes.
        stuff: coco-instances: a JSON of stuff, or a folder of class pictures.
        overlap: coco-instances: which of two overlapping things is in front.
        contiguous: category ids count the classes from 0.
        divisor: png16: pixel = category id * divisor + instance; 1000 unless the data says otherwise.
        split: cityscapes: train, val or test.
        train_ids: cityscapes: use train ids in place of label ids.
        no_photos: leave the images out.
        limit: convert only the first so many images; 0 converts all.
    """
    if divisor is not None and divisor < 1:
        raise ValueError(f"--divisor {divisor}: it must be at least 1")
    options = FormatOptions(images, panoptic, classes, stuff, overlap, contiguous, divisor, split, train_ids)
    given, out = split_prefix(target, writable())
    name = given or FORMATS[0].name
    if out.suffix == ".json":
        raise ValueError(f"{target}: every format is written into a folder; give its name, without .json")
    reads = [*paths_read(source), images, panoptic, classes, stuff]
    Outputs("data convert", reads).claim_new_folder(out, "TO")
    data = open_nonempty(source, options)
    with progress_of("converting") as progress:
        path, count, with_images = write_dataset(
            data, writable()[name], out, options, limit=limit, images=not no_photos, progress=progress
        )
    print(f"{path}: {count} image{'s' * (count != 1)} as {name}" + (", with their photographs" if with_images else ""))


main = entry(convert, "data convert")
