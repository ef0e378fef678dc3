"""Which photograph is which: by its bytes, since cameras give the same names again."""

import hashlib
from functools import lru_cache
from pathlib import Path


class ChangedError(ValueError):
    """Something on the disk is no longer what it was when it was read; the sentence says what, and what to do."""


def file_version(path: Path, most: int | None = None) -> str | None:
    """What tells the content of a file from any other; None if it cannot be read, is no file, or has more bytes."""
    try:
        if not path.is_file() or (most is not None and path.stat().st_size > most):
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def bytes_version(data: bytes) -> str:
    """`file_version` of a file that holds these bytes."""
    return hashlib.sha256(data).hexdigest()


def same_photo(first: Path, second: Path) -> bool:
    """Whether both are there and hold the same bytes. They are read only if they have one size, and once."""
    try:
        one, other = first.stat(), second.stat()
    except OSError:
        return False
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) and one.st_ino:
        return True
    if one.st_size != other.st_size:
        return False
    versions = [_version_at(path, (at.st_mtime_ns, at.st_size)) for path, at in ((first, one), (second, other))]
    return versions[0] is not None and versions[0] == versions[1]


@lru_cache(maxsize=100_000)
def _version_at(path: Path, _: tuple[int, int]) -> str | None:
    """`file_version`, kept as long as time and size of the file stay the same."""
    return file_version(path)
