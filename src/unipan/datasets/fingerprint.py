"""What a dataset is, in a few words that a run keeps: whether a later one sees the same images and annotations."""

import hashlib
from pathlib import Path
from typing import Any

from unipan.datasets.formats.listed_dataset import ListedDataset
from unipan.datasets.panoptic_data import PanopticData, Subset


def fingerprint(data: PanopticData) -> dict[str, Any] | None:
    """How many images a dataset has, and a digest of their ids, their names and its JSON.

    The same on another computer, wherever the folder lies, and after a damaged photograph was mended. Pictures are not
    read, which would take minutes; of a format whose annotations lie in many files, the sizes of photographs stand for
    them.

    Returns:
        None for drawn scenes, which their seeds name, and for what is no dataset of files.
    """
    chosen = data.indices if isinstance(data, Subset) else range(len(data))
    whole = data.data if isinstance(data, Subset) else data
    if not isinstance(whole, ListedDataset):
        return None
    digest, in_one_file = hashlib.sha256(), whole.source.is_file()
    for index in chosen:
        row = (
            whole.image_ids[index],
            whole.file_names[index],
            None if in_one_file else _photo_size(whole.image_path(index)),
        )
        digest.update(f"{row!r}\n".encode("utf-8", "backslashreplace"))
    if in_one_file:
        with whole.source.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return {"images": len(chosen), "sha256": digest.hexdigest()}


def _photo_size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
