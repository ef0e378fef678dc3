"""From one format to another: all maps, and the images byte for byte."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipan.datasets.formats.drawing import BOXES
from unipan.datasets.formats.format import DEFAULT_OPTIONS, Format, FormatOptions, PanopticDataset
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.listed_dataset import require_size
from unipan.datasets.formats.registry import FORMATS, open_dataset, split_prefix, writable
from unipan.datasets.formats.tally import Tally
from unipan.files import folder_atomically, read_bytes, write_atomically


@dataclass(frozen=True)
class Conversion:
    """What `write_dataset` wrote.

    Attributes:
        path: what the writer wrote last.
        images: whether the images were written too.
        tally: what is in the maps.
        left_out: what is not.
    """

    path: Path
    images: bool
    tally: Tally
    left_out: LeftOut

    def lines(self) -> list[str]:
        """What was made, what was left out, and warnings."""
        return [self.tally.summary(), *(f"left out: {line}" for line in self.left_out.lines()), *self.tally.warnings()]

    def to_json(self, written: str) -> dict[str, Any]:
        """The same for programs; `written` is the name of the format."""
        tally = self.tally
        return {
            "path": str(self.path),
            "format": written,
            "images": tally.images,
            "photographs": self.images,
            "segments": {"things": dict(tally.things), "stuff": dict(tally.stuff), "crowds": dict(tally.crowds)},
            "void": tally.void / max(tally.pixels, 1),
            "left_out": list(self.left_out.lines()),
            "warnings": tally.warnings(),
        }


def open_nonempty(
    source: str, options: FormatOptions = DEFAULT_OPTIONS, target: Format | None = None
) -> PanopticDataset:
    """`open_dataset`. Raises ValueError also for a dataset without images."""
    data = open_dataset(source, options, target)
    if not len(data):
        raise ValueError(f"{source}: it lists no images; `unipan data check` says what else is wrong with it")
    return data


def place_to_write(target: str | Path) -> tuple[Format, Path]:
    """The format and the folder of `[FORMAT:]TO`, as `unipan data convert` takes it.

    Raises:
        ValueError: no such format can be written, or it is the name of a file.
    """
    name, out = split_prefix(str(target), writable())
    if out.suffix == ".json":
        raise ValueError(f"{target}: every format is written into a folder; give its name, without .json")
    return writable()[name or FORMATS[0].name], out


def convert_dataset(
    source: PanopticDataset | str | Path,
    target: str | Path,
    options: FormatOptions = DEFAULT_OPTIONS,
    *,
    limit: int = 0,
    images: bool = True,
) -> Conversion:
    """Write a dataset in another format, as `unipan data convert` does.

    >>> made = convert_dataset("cityscapes:DIR", "my_data", FormatOptions(split="train"))  # doctest: +SKIP

    Args:
        source: `[FORMAT:]FROM`, or what `open_dataset` has opened.
        target: `[FORMAT:]TO`, a new folder; COCO panoptic format unless it says otherwise.
        options: of both formats.
        limit: only the first so many images; 0 for all.
        images: write the images too, if the data has them and the format stores them.

    Raises:
        FileNotFoundError: something is missing.
        ValueError: what is wrong with the data, the options or the target; nothing is left there then.
    """
    if options.divisor is not None and options.divisor < 1:
        raise ValueError(f"divisor {options.divisor}: it must be at least 1")
    if not isinstance(target, str | Path):
        raise ValueError(f"target: a {type(target).__name__} is no place; give [FORMAT:]TO")
    written, out = place_to_write(target)
    data = open_nonempty(str(source), options, written) if isinstance(source, str | Path) else source
    if not isinstance(data, PanopticDataset):
        raise ValueError(
            f"source: a {type(source).__name__} is no dataset; give [FORMAT:]FROM, or what open_dataset returns"
        )
    return write_dataset(data, written, out, options, limit=limit, images=images)


def has_images(data: PanopticDataset) -> bool:
    """Whether the dataset has images and not maps alone."""
    try:
        return bool(data.image_path(0))
    except ValueError:
        return False


def write_dataset(
    data: PanopticDataset,
    target: Format,
    out: Path,
    options: FormatOptions,
    *,
    limit: int = 0,
    images: bool = True,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Conversion:
    """Write a dataset in another format; `out` is complete afterwards, or does not exist.

    Args:
        data: what to write.
        target: a format that can be written.
        out: a new folder.
        options: of the target.
        limit: only the first so many images; 0 for all.
        images: write the images too, if the data has them and the format stores them.
        progress: is told how many images are done, of how many.

    Raises:
        ValueError: `out` is not empty, the format cannot store a map, an image is not of the size of its map, or all
            objects are boxes and were left out.
    """
    if target.write is None:
        raise ValueError(f"{target.name}: this format cannot be written; choose another")
    count = min(limit, len(data)) if limit > 0 else len(data)
    images = images and target.stores_images and has_images(data)
    tally, left_out = Tally(data.categories), getattr(data, "left_out", LeftOut())
    with folder_atomically(out, "TO") as folder:
        writer = target.write(folder, data.categories, options)
        for index in range(count):
            truth, name, image_id = data.truth(index), data.file_names[index], data.image_ids[index]
            writer.add(name, image_id, truth)
            tally.add(name, truth)
            if images:
                path = data.image_path(index)
                require_size(path, image_id, image_size(path), truth.ids.shape)
                write_atomically(folder / "images" / name, read_bytes(path))
            progress(index + 1, count)
        if left_out.count(BOXES) and not tally.things and not tally.crowds:
            raise ValueError(
                f"{getattr(data, 'source', out)}: {left_out.count(BOXES)} boxes and not one mask; --boxes paint takes "
                "the whole box as the object, --class-maps DIR makes objects of boxes and pictures of classes"
            )
        last = writer.close()
    return Conversion(out / last.relative_to(folder), images, tally, left_out)
