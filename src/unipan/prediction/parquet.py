"""Rows of Parquet files as images, for `predict --ray`: each has an id, and its picture or where that is. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from unipan.panoptic.categories import Categories
from unipan.prediction.images import ImageJob, check_names, jobs_like, read_like
from unipan.prediction.options import ClusterOptions
from unipan.prediction.remote import (
    PARQUET,
    Place,
    RemoteImage,
    find_places,
    image_at,
    is_picture,
    open_store,
    split_address,
)


@dataclass(frozen=True)
class ParquetRows:
    """Parquet files whose rows hold the pictures themselves.

    Attributes:
        store: theirs, see `open_store`.
        files: their paths there.
        image_column, id_column: the columns that are read.
    """

    store: str
    files: tuple[str, ...]
    image_column: str
    id_column: str


def is_remote(given: Sequence[Path | str]) -> bool:
    """Whether the words of a command line name addresses or Parquet files; False if they are files and folders.

    Raises:
        ValueError: they name both.
    """
    kinds = {_is_remote(each) for each in given}
    if len(kinds) > 1:
        raise ValueError("--ray: files or folders, Parquet files, and addresses are different jobs; run once for each")
    return kinds == {True}


def _is_remote(given: Path | str) -> bool:
    if isinstance(given, str) or given.suffix.lower() == PARQUET:
        return True
    if not given.is_dir() or not any(given.glob(f"*{PARQUET}")):
        return False
    return not any(is_picture(each.name) for each in given.iterdir())


def plan_remote(
    given: Sequence[Path | str], like: Path | None, options: ClusterOptions
) -> tuple[list[ImageJob], Categories | None, ParquetRows | None]:
    """The images at addresses, numbered from 1 or with the ids and names of a ground truth; or rows with their own ids.

    Args:
        given: addresses of files and folders, Parquet files, or folders of these.
        like: the ground truth's JSON, or None.
        options: the columns of Parquet files.

    Returns:
        the jobs, the ground truth's categories, and the Parquet files if the pictures are in them.

    Raises:
        FileNotFoundError, ValueError: nothing is there, stores that cannot be opened, a broken Parquet file or column.
        ModuleNotFoundError: pyarrow is missing.
    """
    places = [place for each in given for place in find_places(each)]
    tables = [place for place in places if place.inner.lower().endswith(PARQUET)]
    if tables and len(tables) < len(places):
        raise ValueError("--ray: Parquet files and pictures are different jobs; run once for each")
    categories, entries = (None, {}) if like is None else read_like(like)
    jobs: list[ImageJob]
    rows = None
    if tables:
        jobs, rows = _jobs_of_rows(tables, options.image_column, options.id_column)
        if like is not None:
            jobs = [_named_like(job, entries, like) for job in jobs]
    else:
        images = [image_at(place, number) for number, place in enumerate(places, start=1)]
        jobs = list(images)
        if like is not None:
            known = jobs_like([(job.path, job.name) for job in images], entries, like)
            jobs = [replace(job, name=own.name, image_id=own.image_id) for job, own in zip(images, known, strict=True)]
    check_names(jobs)
    return jobs, categories, rows


def _jobs_of_rows(
    tables: Sequence[Place], image_column: str, id_column: str
) -> tuple[list[ImageJob], ParquetRows | None]:
    """The images of all rows; the second is None if the rows say where they are."""
    jobs: list[ImageJob] = []
    first: dict[int | str, str] = {}
    kinds = {(_holds_pictures(table, image_column, id_column), table.store) for table in tables}
    if len(kinds) > 1:
        raise ValueError(
            f"{tables[0].address}: the Parquet files are of several kinds (`{image_column}` has bytes or paths), or in "
            "several stores; run once for each"
        )
    inside = next(iter(kinds))[0]
    for table in tables:
        for row in _read_rows(table, [id_column] if inside else [id_column, image_column]):
            key = row[id_column]
            if not isinstance(key, int | str) or isinstance(key, bool):
                raise ValueError(
                    f"{table.address}: `{id_column}` has {key!r}, and an id is a whole number or text; give --id-column"
                )
            if key in first:
                raise ValueError(f"{table.address}: the id {key!r} is there twice, first in {first[key]}")
            first[key] = table.address
            jobs.append(_image_in(table, key) if inside else _image_named(table, key, row[image_column]))
    if not jobs:
        raise ValueError(f"{tables[0].address}: there are no rows; give a Parquet file that has some")
    files = tuple(table.inner for table in tables)
    return jobs, ParquetRows(tables[0].store, files, image_column, id_column) if inside else None


def _holds_pictures(table: Place, image_column: str, id_column: str) -> bool:
    """Whether a Parquet file has the bytes of pictures; False if it says where they are."""
    import pyarrow.types as kinds

    schema = _with_file(table, lambda file: file.schema_arrow)
    for option, column in (("--image-column", image_column), ("--id-column", id_column)):
        if column not in schema.names:
            raise ValueError(f"{option} {column}: {table.address} has the columns {', '.join(schema.names)}")
    kind = schema.field(image_column).type
    if kinds.is_struct(kind) and kind.get_field_index("bytes") >= 0:  # Hugging Face's datasets have bytes and a path
        return True
    if not any(test(kind) for test in (kinds.is_binary, kinds.is_large_binary, kinds.is_string, kinds.is_large_string)):
        raise ValueError(
            f"--image-column {image_column}: in {table.address} it is {kind}; pictures are bytes, or paths as text"
        )
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def _read_rows(table: Place, columns: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _with_file(table, lambda file: file.read(columns=columns).to_pylist())
    return rows


def _with_file(table: Place, use: Callable[[Any], Any]) -> Any:
    from pyarrow.parquet import ParquetFile

    try:
        with open_store(table.store)[0].open_input_file(table.inner) as file:
            return use(ParquetFile(file))
    except (ValueError, OSError) as error:  # Arrow's own are kinds of these
        words = " ".join(str(error).split())[:300]
        raise ValueError(f"{table.address}: not a readable Parquet file ({words})") from error


def _image_in(table: Place, key: int | str) -> RemoteImage:
    """An image that a row holds."""
    name = str(key) if is_picture(str(key)) else f"{key}.png"
    found = RemoteImage(table.path, name, key, store=table.store, stamp=table.stamp)
    return replace(found, address=f"{table.address}, row {key}")


def _image_named(table: Place, key: int | str, where: str | None) -> ImageJob:
    """An image that a row names: by an address, or by a path, which begins at the folder of the Parquet file."""
    if not where:
        return _image_in(table, key)  # which will be left out, as there is no picture in this row
    if "://" in where:
        store, inner = split_address(where)
        return RemoteImage(Path(where), PurePosixPath(where).name, key, address=where, store=store, inner=inner)
    relative = PurePosixPath(where)
    name = relative.name if relative.is_absolute() else where
    inner = str(PurePosixPath(table.inner).parent / relative)
    if table.store.startswith("file:"):
        return ImageJob(Path(inner), name, key)
    address = f"{table.address.rpartition('/')[0]}/{where}"
    return RemoteImage(Path(address), name, key, address=address, store=table.store, inner=inner)


def _named_like(job: ImageJob, entries: Mapping[int | str, Mapping[str, object]], like: Path) -> ImageJob:
    if job.image_id not in entries:
        raise ValueError(
            f"--like {like}: it has no image {job.image_id!r}, which {job.source} has; leave out what it does not list"
        )
    return replace(job, name=str(entries[job.image_id].get("file_name")))
