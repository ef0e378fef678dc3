"""All formats, and `FORMAT:PATH`."""

import shlex
from pathlib import Path

from unipan.datasets.formats import (
    bdd100k,
    cityscapes,
    coco_instances,
    coco_panoptic,
    cvat,
    huggingface,
    label_images,
    label_studio,
    labelme,
    panoptic_json,
    png16,
    semantic_masks,
    submissions,
    two_channel,
    voc,
    yolo,
)
from unipan.datasets.formats.background import with_background
from unipan.datasets.formats.classes import CLASSES_FILE
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions, PanopticDataset, Words
from unipan.datasets.formats.listed_dataset import images_below
from unipan.datasets.formats.shapes import OverlapError
from unipan.datasets.formats.thing_classes import with_things
from unipan.files import local_path

FORMATS: tuple[Format, ...] = (
    coco_panoptic.FORMAT,
    cityscapes.FORMAT,
    png16.FORMAT,
    two_channel.FORMAT,
    coco_instances.FORMAT,
    yolo.FORMAT,
    labelme.FORMAT,
    cvat.FORMAT,
    voc.FORMAT,
    label_studio.FORMAT,
    label_images.FORMAT,
    bdd100k.FORMAT,
    semantic_masks.FORMAT,
    panoptic_json.FORMAT,
    huggingface.FORMAT,
    submissions.CITYSCAPES_PANOPTIC,
    submissions.CITYSCAPES_INSTANCE,
)
"""The first one is the default."""
LOOKED_AT = 10
"""Images that are read to see whether shapes overlap."""


def readable() -> dict[str, Format]:
    """The formats that can be read, by name and alias."""
    return {name: each for each in FORMATS if each.read for name in each.names}


def writable() -> dict[str, Format]:
    """The formats that can be written, by name and alias."""
    return {name: each for each in FORMATS if each.write for name in each.names}


def split_prefix(given: str, known: dict[str, Format]) -> tuple[str | None, Path]:
    """The two parts of `FORMAT:PATH`; None for a path alone.

    Raises:
        ValueError: the format is not known, and there is no file of that name; or it is an address.
    """
    path = local_path(given)
    name, colon, rest = given.partition(":")
    if colon and name in known:
        return name, Path(rest)
    # One letter before a colon is a drive.
    if colon and len(name) > 1 and "/" not in name and not path.exists():
        raise ValueError(f"{given}: there is no format {name!r} here; choose one of {', '.join(known)}")
    return None, path


def open_dataset(
    given: str | Path, options: FormatOptions = DEFAULT_OPTIONS, target: Format | None = None
) -> PanopticDataset:
    """Open a dataset.

    >>> data = open_dataset("cityscapes:DIR", FormatOptions(split="train"))  # doctest: +SKIP

    Args:
        given: `FORMAT:PATH`, or a path alone, which is COCO panoptic format unless another format recognises it.
        options: see `FormatOptions`.
        target: the format that is written next, which may use some of the options.

    Returns:
        `data[i]` is a `Sample` with image and map, `data.truth(i)` is the map alone.

    Raises:
        FileNotFoundError, ValueError: the format is unknown, a file is missing or broken, or an option has no meaning
            for the format.
    """
    formats = readable()
    name, path = split_prefix(str(given), formats)
    if name is not None:
        found = formats[name]
    else:
        found = next((each for each in FORMATS if each.recognises and each.recognises(path)), FORMATS[0])
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if name is None and found is FORMATS[0] and path.is_dir() and not (path / "panoptic.json").is_file():
        command = suggested_command(path)
        if command is not None:
            raise FileNotFoundError(f"{path}: not COCO panoptic format; name what it is: `{command}`")
        if (said := what_is_there(path)) is not None:
            raise FileNotFoundError(said)
    if found.read is None:
        raise ValueError(f"{given}: the format {found.name} cannot be read; choose one of {', '.join(formats)}")
    _require_used(options, found, target)
    data = found.read(path, options)
    if options.as_things:
        data = with_things(data, options.as_things, path)
    if options.background is None or "background" in found.uses:
        return data
    return with_background(data, options.background, path)


def _require_used(options: FormatOptions, source: Format, target: Format | None) -> None:
    """Raises ValueError for an option that neither format uses: it would be swallowed."""
    idle = options.given() - source.uses - {"background"} - (target.writes_with if target else frozenset())
    if idle:
        name = min(idle)
        users = ", ".join(each.name for each in FORMATS if name in each.uses) or "no format"
        raise ValueError(
            f"--{name.replace('_', '-')}: the format {source.name} does not use it ({users}); leave it out"
        )


def suggestion(path: Path) -> Words | None:
    """FROM and the options that make this path trainable, for `unipan data convert FROM OUT ...`, if it is known.

    Where shapes of one of the first images overlap, the smaller one is in front.
    """
    if not path.exists():
        return None
    for each in FORMATS:
        words = each.suggest(path) if each.suggest else None
        if words is not None:
            return (*words, *("--overlap", "small") * ("overlap" in each.uses and _overlaps(words)))
    return None


def _overlaps(words: Words) -> bool:
    """Whether the first images of FROM need --overlap and do not have it."""
    if "--overlap" in words or "--class-maps" in words:
        return False
    try:
        data = open_dataset(words[0], FormatOptions(crowds="things" if "--crowds" in words else "keep"))
        for index in range(min(len(data), LOOKED_AT)):
            data.truth(index)
    except OverlapError:
        return True
    except (ValueError, OSError):
        return False
    return False


def suggested_command(path: Path, out: str = "OUT") -> str | None:
    """The whole command of `suggestion`."""
    found = suggestion(path)
    if found is None:
        return None
    return shlex.join(["unipan", "data", "convert", found[0], out, *found[1:]])


def what_is_there(folder: Path) -> str | None:
    """Of a folder without panoptic.json that no format recognises: what it has, and what to do; None if nothing."""
    if not folder.is_dir() or (folder / "panoptic.json").exists():
        return None
    jsons = sorted(each for each in folder.glob("*.json") if each.name != CLASSES_FILE)
    if jsons:
        names = ", ".join(each.name for each in jsons[:3]) + f" and {len(jsons) - 3} more" * (len(jsons) > 3)
        command = shlex.join(["unipan", "data", "check", str(jsons[0])])
        return f"{folder}: no panoptic.json, but {names}; name the JSON that you mean, as in `{command}`"
    images = images_below(folder)
    if not images:
        return None
    count = f"{len(images)} image{'s' * (len(images) > 1)}"
    parts = sorted({folder / each.relative_to(folder).parts[0] for each in images})
    first = next(filter(None, (suggested_command(part) for part in parts if part.is_dir())), None)
    if first is not None:  # of a dataset in parts, such as train, valid and test
        return f"{folder}: no panoptic.json, but a folder with annotations: `{first}`"
    return (
        f"{folder}: no panoptic.json, but {count} without annotations that unipan recognises; annotate them first, "
        "or name the format (FORMAT:PATH): docs/data.md lists tools and formats"
    )
