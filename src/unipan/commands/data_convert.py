"""`unipan data convert [FORMAT:]FROM [FORMAT:]TO`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import Flag, JsonFile, OptionalFile, OptionalFolder, entry
from unipan.commands.progress import progress_of
from unipan.datasets.formats.convert import open_nonempty, place_to_write, write_dataset
from unipan.datasets.formats.format import BelowDivisor, Boxes, Crowds, FormatOptions, Overlap, Strays
from unipan.datasets.formats.registry import FORMATS, readable, writable
from unipan.datasets.sources import paths_read
from unipan.outputs import Outputs
from unipan.terminal import tell

READABLE, WRITABLE = (
    f"Formats: {', '.join(names)}; {FORMATS[0].name} is the default." for names in (readable(), writable())
)
RECOGNISED = ", ".join(each.name for each in FORMATS if each.recognises)
Name = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
Names = Annotated[tuple[str, ...], arg(metavar="NAME ...", help_behavior_hint="")]
BELOW = "png16: what a value below the divisor means: a `class` without instances (VIPSeg), or `void`."


def convert(
    source: Annotated[
        Positional[str],
        arg(metavar="[FORMAT:]FROM", help=f"What to read. {READABLE} Recognised without FORMAT: {RECOGNISED}."),
    ],
    target: Annotated[Positional[str], arg(metavar="[FORMAT:]TO", help=f"Where to write, a new folder. {WRITABLE}")],
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
    background: Name = None,
    as_stuff: Names = (),
    boxes: Boxes = "leave-out",
    class_maps: OptionalFolder = None,
    crowds: Crowds = "keep",
    void_classes: Annotated[tuple[int, ...], arg(metavar="N ...", help_behavior_hint="")] = (),
    strays: Strays = "refuse",
    thing: Name = None,
    as_things: Names = (),
    below_divisor: Annotated[BelowDivisor, arg(help=BELOW)] = "refuse",
    no_photos: Flag = False,
    limit: Annotated[int, arg(metavar="N")] = 0,
    json_file: JsonFile = None,
) -> Outcome:
    """Read one format and write another; TO is complete afterwards, or does not exist.

    Args:
        source, target, below_divisor: see above.
        images: Folder of the images, if the format does not say where they are.
        panoptic: Folder of a JSON's PNGs, if it is not the JSON's path without .json.
        classes: A JSON with `categories` (and `images`), for formats that do not store their classes.
        stuff: coco-instances: a COCO stuff JSON, or a folder of class pictures.
        overlap: Formats of polygons, boxes and masks: which of two overlapping things is in front.
        contiguous: Category ids count the classes from 0.
        divisor: png16: pixel = category id * divisor + instance; 1000 unless the data says otherwise.
        split: cityscapes: train, val or test.
        train_ids: cityscapes: use train ids instead of label ids.
        background: Pixels that nothing covers become a stuff class of this name.
        as_stuff: These classes are stuff. If neither the format nor --classes tells, all other classes are things.
        as_things: These classes are things, although the file calls them stuff.
        boxes: What to do with an object that has a box but no mask; `paint` takes the whole box as its mask.
        class_maps: Folder of NAME.png of category ids; a thing is the pixels of its class that are in its box alone.
        crowds: `things` reads `iscrowd` 1 (coco-instances) or instance 0 (png16, two-channel) as an object.
        void_classes: Formats with pictures of classes: class numbers that are void.
        strays: semantic-masks: `leave-out` drops instances that lie on no thing class.
        thing: label-images: the name of the one class of things.
        no_photos: Do not copy the images.
        limit: Convert only the first N images; 0 converts all.
    """
    return _convert(source, target, limit, not no_photos, json_file, FormatOptions(
        images, panoptic, classes, stuff, overlap, contiguous, divisor, split, train_ids, background, as_stuff, boxes,
        class_maps, crowds, void_classes, strays, thing, as_things, below_divisor))  # fmt: skip


def _convert(
    source: str, target: str, limit: int, photos: bool, json_file: Path | None, options: FormatOptions
) -> Outcome:
    if options.divisor is not None and options.divisor < 1:
        raise ValueError(f"--divisor {options.divisor}: it must be at least 1")
    written, out = place_to_write(target)
    reads = [*paths_read(source), options.images, options.panoptic, options.classes, options.stuff, options.class_maps]
    outputs = Outputs("data convert", reads)
    outputs.claim_new_folder(out, "TO")
    outputs.claim_optional(json_file, "--json")
    data = open_nonempty(source, options, written)
    with progress_of("converting") as progress:
        made = write_dataset(data, written, out, options, limit=limit, images=photos, progress=progress)
    count = made.tally.images
    tell(f"{made.path}: {count} image{'s' * (count != 1)} as {written.name}" + ", with their photographs" * made.images)
    tell("\n".join(made.lines()))
    return Outcome(made.to_json(written.name))


main = entry(convert, "data convert")
