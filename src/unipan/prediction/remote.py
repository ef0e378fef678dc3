"""Images that are no files of this machine, for `predict --ray`: in object stores, or rows of tables. No torch.

They are read by pyarrow, and through it by fsspec where pyarrow does not know the kind of store.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from glob import has_magic
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from unipan.prediction.images import SUFFIXES, ImageJob

PARQUET = ".parquet"
WEB = ("http", "https", "ftp")
"""What cannot be asked for a list of images."""
_ROWS = 8  # that are in memory at once: each may be a large picture


@dataclass(frozen=True)
class ParquetRow:
    """A row of a Parquet file: the column that has the picture, its row group, and its place there."""

    column: str
    group: int
    index: int


@dataclass(frozen=True)
class RemoteImage(ImageJob):
    """An image that is fetched before it is read.

    Attributes:
        address: where it is, for people.
        store: the address of its store, for `open_store`.
        inner: its path there, or that of the Parquet file that holds it.
        stamp: numbers that differ where the pixels may.
        row: which one it is, if it is a row of a Parquet file.
        local: the file that it becomes.
    """

    address: str = ""
    store: str = ""
    inner: str = ""
    stamp: tuple[int, ...] = ()
    row: ParquetRow | None = None
    local: Path | None = None

    @property
    def source(self) -> str:
        """Its address."""
        return self.address

    @property
    def version(self) -> list[int]:
        """What was known of it when the images were listed."""
        return list(self.stamp)

    @property
    def picture(self) -> Path:
        """Fetches it. Raises ValueError if that fails."""
        assert self.local is not None, "a remote image is read inside `fetched`"
        self.local.write_bytes(self._read())
        return self.local

    def _read(self) -> bytes:
        try:
            if self.row is not None:
                return _reader_of(self.store, self.inner, self.row.column, self.row.group).value(self.row.index)
            with open_store(self.store)[0].open_input_file(self.inner) as file:
                return bytes(file.read())
        except Exception as error:  # each kind of store has errors of its own
            raise ValueError(f"{self.address}: it cannot be fetched ({_reason_of(error)})") from error


class _RowReader:
    """The values of one column in one row group, read forwards, as the frames of a video."""

    def __init__(self, store: str, inner: str, column: str, group: int) -> None:
        from pyarrow.parquet import ParquetFile

        self._file = ParquetFile(open_store(store)[0].open_input_file(inner))
        self._column, self._group = column, group
        self._batches: Iterator[Any] = iter(())
        self._start, self._values = 0, list[Any]()

    def value(self, index: int) -> bytes:
        if index < self._start or not self._values:
            self._batches = self._file.iter_batches(_ROWS, row_groups=[self._group], columns=[self._column])
            self._start, self._values = 0, []
        while index >= self._start + len(self._values):
            self._start += len(self._values)
            self._values = next(self._batches).column(0).to_pylist()
        found = self._values[index - self._start]
        encoded = found["bytes"] if isinstance(found, dict) else found  # Hugging Face's have bytes and a path
        if not encoded:
            raise ValueError("this row is empty")
        return bytes(encoded)


@lru_cache(maxsize=1)
def _reader_of(store: str, inner: str, column: str, group: int) -> _RowReader:
    return _RowReader(store, inner, column, group)


@contextmanager
def fetched(job: ImageJob) -> Iterator[tuple[ImageJob, Callable[[str], str]]]:
    """An image whose `picture` is a temporary file, and a function that replaces the path of that file by its address
    in a sentence; an image that is a file already comes as it is."""
    if not isinstance(job, RemoteImage):
        yield job, str
        return
    with TemporaryDirectory(prefix="unipan-") as folder:
        local = Path(folder) / PurePosixPath(job.name if job.row is not None else job.inner).name
        yield replace(job, local=local), lambda words: words.replace(str(local), job.address)


@dataclass(frozen=True)
class Place:
    """A file in a store.

    Attributes:
        store, inner: see `RemoteImage`.
        address: for people.
        name: below what was given.
        stamp: its size and time.
    """

    store: str
    inner: str
    address: str
    name: str
    stamp: tuple[int, ...]

    @property
    def path(self) -> Path:
        """For looking whether an output would replace it, which can be so on this machine alone."""
        return Path(self.inner if self.store.startswith("file:") else self.address)


@lru_cache(maxsize=64)
def open_store(store: str) -> tuple[Any, str]:
    """The pyarrow file system of a store, and the path in it where its addresses begin.

    Raises:
        ValueError: there is no such kind of store, or it cannot be opened.
        ModuleNotFoundError: pyarrow is missing.
    """
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    if store.partition("://")[0].lower() in WEB:
        raise ValueError(f"{store}: this is an address of the web, and unipan fetches nothing there; download it first")
    try:
        found: tuple[Any, str] = FileSystem.from_uri(store)
        return found
    except (ValueError, OSError):  # ArrowInvalid is a ValueError: a kind that pyarrow does not know
        from fsspec.core import url_to_fs

        try:
            other, base = url_to_fs(store)
        except (ImportError, ValueError, OSError) as error:
            raise ValueError(f"{store}: this store cannot be opened ({_reason_of(error)})") from error
        return PyFileSystem(FSSpecHandler(other)), str(base)


def split_address(address: str) -> tuple[str, str]:
    """The store of an address, and the path there. Options of the store follow `?`, as pyarrow has them.

    Raises:
        ValueError, ModuleNotFoundError: see `open_store`.
    """
    kind, _, rest = address.partition("://")
    rest, mark, options = rest.partition("?")
    host, _, path = rest.partition("/")
    store = f"{kind.lower()}://{host}/{mark}{options}"
    base = open_store(store)[1].rstrip("/")
    return store, f"{base}/{unquote(path) if kind == 'file' else path}".rstrip("/") or "/"


def find_places(given: Path | str) -> list[Place]:
    """The file at an address or path, or the pictures below a folder, sorted; or its Parquet files if it has none.

    Raises:
        FileNotFoundError, ValueError: nothing is there, or it cannot be looked at.
        ModuleNotFoundError: pyarrow is missing.
    """
    from pyarrow.fs import FileSelector, FileType

    address = given if isinstance(given, str) else given.absolute().as_uri()
    if isinstance(given, str) and has_magic(address.partition("?")[0]):
        raise ValueError(f"{address}: patterns are for files of this machine; give the folder")
    store, inner = split_address(address)
    shown = str(given).partition("?")[0].rstrip("/") if isinstance(given, str) else str(given)
    try:
        there = open_store(store)[0].get_file_info(inner)
        below = []
        if there.type == FileType.Directory:
            below = open_store(store)[0].get_file_info(FileSelector(inner, recursive=True))
    except Exception as error:  # each kind of store has errors of its own
        raise ValueError(f"{shown}: it cannot be looked at ({_reason_of(error)})") from error
    if there.type == FileType.NotFound:
        raise FileNotFoundError(f"{shown}: there is no such file or folder")
    if there.type == FileType.File:
        return [Place(store, inner, shown, PurePosixPath(inner).name, _stamp_of(there))]
    files = sorted((each for each in below if each.type == FileType.File), key=lambda each: str(each.path))
    kept = [each for each in files if is_picture(each.path)]
    kept = kept or [each for each in files if each.path.lower().endswith(PARQUET)]
    if not kept:
        raise ValueError(f"{shown}: no images in this folder (looked for {', '.join((*SUFFIXES, PARQUET))})")
    names = [PurePosixPath(each.path).relative_to(PurePosixPath(inner)).as_posix() for each in kept]
    return [
        Place(store, str(each.path), f"{shown}/{name}", name, _stamp_of(each))
        for each, name in zip(kept, names, strict=True)
    ]


def image_at(place: Place, image_id: int | str) -> RemoteImage:
    """A picture in a store."""
    found = RemoteImage(place.path, place.name, image_id)
    return replace(found, address=place.address, store=place.store, inner=place.inner, stamp=place.stamp)


def is_picture(path: str) -> bool:
    """Whether a file is a picture by its name."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def _stamp_of(found: Any) -> tuple[int, ...]:
    return (int(found.size or 0), int(found.mtime_ns or 0))


def _reason_of(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
