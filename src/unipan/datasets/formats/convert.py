"""From one format to another: all maps, and the images byte for byte."""

from collections.abc import Callable
from pathlib import Path

from unipan.datasets.formats.format import Format, FormatOptions, PanopticDataset
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.formats.listed_dataset import require_size
from unipan.datasets.formats.registry import open_dataset
from unipan.files import folder_atomically, read_bytes, write_atomically


def open_nonempty(source: str, options: FormatOptions) -> PanopticDataset:
    """`open_dataset`. Raises ValueError also for a dataset without images."""
    data = open_dataset(source, options)
    if not len(data):
        raise ValueError(f"{source}: it lists no images; `unipan data check` says what else is wrong with it")
    return data


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
) -> tuple[Path, int, bool]:
    """Write a dataset in another format; `out` is complete afterwards, or does not exist.

    Args:
        data: what to write.
        target: a format that can be written.
        out: a new folder.
        options: of the target.
        limit: only the first so many images; 0 for all.
        images: write the images too, if the data has them and the format stores them.
        progress: is told how many images are done, of how many.

    Returns:
        What the writer wrote last, the number of images, and whether the images were written too.

    Raises:
        ValueError: `out` is not empty, the format cannot store a map, or an image is not of the size of its map.
    """
    if target.write is None:
        raise ValueError(f"{target.name}: this format cannot be written; choose another")
    count = min(limit, len(data)) if limit > 0 else len(data)
    images = images and target.stores_images and has_images(data)
    with folder_atomically(out, "TO") as folder:
        writer = target.write(folder, data.categories, options)
        for index in range(count):
            truth, name, image_id = data.truth(index), data.file_names[index], data.image_ids[index]
            writer.add(name, image_id, truth)
            if images:
                path = data.image_path(index)
                require_size(path, image_id, image_size(path), truth.ids.shape)
                write_atomically(folder / "images" / name, read_bytes(path))
            progress(index + 1, count)
        last = writer.close()
    return out / last.relative_to(folder), count, images
