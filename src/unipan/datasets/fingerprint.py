"""What a dataset is, in a few words that a run keeps: whether a later one sees the same images and annotations."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unipan.datasets.formats.listed_dataset import ListedDataset
from unipan.datasets.panoptic_data import PanopticData, Subset

MOST_FILES, MOST_BYTES = 20_000, 2**30
"""Of annotations that are read; of more, sizes stand for the content, so that a training does not wait for minutes."""


def fingerprint(data: PanopticData) -> dict[str, Any] | None:
    """How many images a dataset has, and a digest of their ids, their names and their annotations.

    The same on another computer, wherever the folder lies and however old its files are, and after a damaged photograph
    was mended: photographs are not read, which would take minutes.

    Returns:
        None for drawn scenes, which their seeds name, and for what is no dataset of files.
    """
    chosen = data.indices if isinstance(data, Subset) else range(len(data))
    whole = data.data if isinstance(data, Subset) else data
    if not isinstance(whole, ListedDataset):
        return None
    digest, in_one_file = hashlib.sha256(), whole.source.is_file()
    files = [whole.annotation_files(index) for index in chosen]
    sizes = [[_bytes_of_annotation(path) for path in some] for some in files]
    every = [size or 0 for some in sizes for size in some]
    read = len(every) <= MOST_FILES and sum(every) <= MOST_BYTES
    for index, paths, bytes_of in zip(chosen, files, sizes, strict=True):
        known: Sequence[object] = [_digest_of_annotation(path) for path in paths] if read else bytes_of
        if not paths and not in_one_file:
            known = [_bytes_of_annotation(whole.image_path(index))]
        digest.update(
            f"{(whole.image_ids[index], whole.file_names[index], known)!r}\n".encode("utf-8", "backslashreplace")
        )
    if in_one_file:
        digest.update(_digest_of_annotation(whole.source) or b"")
    return {"images": len(chosen), "sha256": digest.hexdigest()}


def _bytes_of_annotation(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _digest_of_annotation(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
