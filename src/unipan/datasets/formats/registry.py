"""All formats, and `FORMAT:PATH`."""

from pathlib import Path

from unipan.datasets.formats import (
    cityscapes,
    coco_instances,
    coco_panoptic,
    huggingface,
    panoptic_json,
    png16,
    semantic_masks,
    submissions,
    two_channel,
)
from unipan.datasets.formats.format import Format, FormatOptions, PanopticDataset

FORMATS: tuple[Format, ...] = (
    coco_panoptic.FORMAT,
    cityscapes.FORMAT,
    png16.FORMAT,
    two_channel.FORMAT,
    coco_instances.FORMAT,
    semantic_masks.FORMAT,
    panoptic_json.FORMAT,
    huggingface.FORMAT,
    submissions.CITYSCAPES_PANOPTIC,
    submissions.CITYSCAPES_INSTANCE,
)
"""The first one is the default."""


def readable() -> dict[str, Format]:
    """The formats that can be read, by name and alias."""
    return {name: each for each in FORMATS if each.read for name in each.names}


def writable() -> dict[str, Format]:
    """The formats that can be written, by name and alias."""
    return {name: each for each in FORMATS if each.write for name in each.names}


def split_prefix(given: str, known: dict[str, Format]) -> tuple[str | None, Path]:
    """The two parts of `FORMAT:PATH`; None for a path alone.

    Raises:
        ValueError: the format is not known, and there is no file of that name.
    """
    name, colon, rest = given.partition(":")
    if colon and name in known:
        return name, Path(rest)
    # One letter before a colon is a drive.
    if colon and len(name) > 1 and "/" not in name and not Path(given).exists():
        raise ValueError(f"{given}: there is no format {name!r} here; choose one of {', '.join(known)}")
    return None, Path(given)


def open_dataset(given: str | Path, options: FormatOptions | None = None) -> PanopticDataset:
    """Open a dataset.

    >>> data = open_dataset("cityscapes:DIR", FormatOptions(split="train"))  # doctest: +SKIP

    Args:
        given: `FORMAT:PATH`, or a path alone, which is COCO panoptic format unless another format recognises it.
        options: see `FormatOptions`.

    Returns:
        `data[i]` is a `Sample` with image and map, `data.truth(i)` is the map alone.

    Raises:
        FileNotFoundError, ValueError: the format is unknown, or a file is missing or broken.
    """
    formats = readable()
    name, path = split_prefix(str(given), formats)
    if name is not None:
        found = formats[name]
    else:
        found = next((each for each in FORMATS if each.recognises and each.recognises(path)), FORMATS[0])
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if found.read is None:
        raise ValueError(f"{given}: the format {found.name} cannot be read; choose one of {', '.join(formats)}")
    return found.read(path, options or FormatOptions())
