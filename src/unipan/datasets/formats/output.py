"""What all writers of datasets share: JSON that any reader takes, and sentences that name the place asked for."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from unipan.files import folder_atomically, write_atomically
from unipan.panoptic.maps import PanopticMap


def write_rows(path: Path, content: dict[str, Any]) -> Path:
    """A JSON file, whole or not at all; returns its path. Raises ValueError for a number that JSON does not have."""
    try:
        text = json.dumps(content, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: it would hold NaN or Infinity, which JSON does not have; {MENDS}") from error
    write_atomically(path, text.encode())
    return path


MENDS = "`unipan data check --fix` takes such numbers out"


def require_scores(panoptic: PanopticMap, name: str) -> None:
    """Raises ValueError for a segment whose score is NaN or infinite."""
    for segment in panoptic:
        if not isfinite(segment.score):
            raise ValueError(
                f"{name}: the score of segment {segment.id} is {segment.score}, which is no number; {MENDS}"
            )


@contextmanager
def new_folder(path: Path, option: str) -> Generator[Path, None, None]:
    """`folder_atomically`, whose errors name `path` where they would name the folder beside it."""
    with folder_atomically(path, option) as folder:
        try:
            yield folder
        except (ValueError, OSError) as error:
            if str(folder) not in str(error):
                raise
            kind = ValueError if isinstance(error, ValueError) else OSError
            raise kind(str(error).replace(str(folder), str(path))) from error
