"""Rows of Parquet files as images, for `predict --ray`: each has an id, and its picture or where that is. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from unipan.panoptic.categories import Categories
from unipan.prediction.images import ImageJob, check_names, jobs_like, read_like
from unipan.prediction.options import ClusterOptions
from unipan.prediction.remote import (
    PARQUET,
    ParquetRow,
    Place,
    RemoteImage,
    find_places,
    image_at,
    is_picture,
    open_store,
    split_address,
)


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
) -> tuple[list[ImageJob], Categories | None]:
    """The images at addresses, numbered from 1 or with the ids and names of a ground truth; or rows with their own ids.

    Args:
        given: addresses of files and folders, Parquet files, or folders of these.
        like: the ground truth's JSON, or None.
        options: the columns of Parquet files.

    Returns:
        the jobs, and the ground truth's categories if there is one.

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
    if tables:
        jobs = _jobs_of_rows(tables, options.image_column, options.id_column)
        if like is not None:
            jobs = [_named_like(job, entries, like) for job in jobs]
    else:
        images = [image_at(place, number) for number, place in enumerate(places, start=1)]
        jobs = list(images)
        if like is not None:
            known = jobs_like([(job.path, job.name) for job in images], entries, like)
            jobs = [replace(job, name=own.name, image_id=own.image_id) for job, own in zip(images, known, strict=True)]
    check_names(jobs)
    return jobs, categories


def _jobs_of_rows(tables: Sequence[Place], image_column: str, id_column: str) -> list[ImageJob]:
    """The images of all rows."""
    jobs: list[ImageJob] = []
    first: dict[int | str, str] = {}
    for table in tables:
        inside = _holds_pictures(table, image_column, id_column)
        for group, rows in enumerate(_read_groups(table, [id_column] if inside else [id_column, image_column])):
            for index, row in enumerate(rows):
                key = row[id_column]
                if not isinstance(key, int | str) or isinstance(key, bool):
                    raise ValueError(
                        f"{table.address}: `{id_column}` has {key!r}, and an id is a whole number or text; give "
                        "--id-column"
                    )
                if key in first:
                    raise ValueError(f"{table.address}: the id {key!r} is there twice, first in {first[key]}")
                first[key] = table.address
                where = None if inside else row[image_column]
                held = _image_in(table, key, ParquetRow(image_column, group, index))
                jobs.append(_image_named(table, key, where) if where else held)
    if not jobs:
        raise ValueError(f"{tables[0].address}: there are no rows; give a Parquet file that has some")
    return jobs


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


def _read_groups(table: Place, columns: list[str]) -> list[list[dict[str, Any]]]:
    """Some columns of each row group."""

    def read(file: Any) -> list[list[dict[str, Any]]]:
        return [file.read_row_group(group, columns=columns).to_pylist() for group in range(file.num_row_groups)]

    found: list[list[dict[str, Any]]] = _with_file(table, read)
    return found


def _with_file(table: Place, use: Callable[[Any], Any]) -> Any:
    from pyarrow.parquet import ParquetFile

    try:
        with open_store(table.store)[0].open_input_file(table.inner) as file:
            return use(ParquetFile(file))
    except (ValueError, OSError) as error:  # Arrow's own are kinds of these
        words = " ".join(str(error).split())[:300]
        raise ValueError(f"{table.address}: not a readable Parquet file ({words})") from error


def _image_in(table: Place, key: int | str, row: ParquetRow) -> RemoteImage:
    """An image that a row holds."""
    name = str(key) if is_picture(str(key)) else f"{key}.png"
    found = RemoteImage(table.path, name, key, store=table.store, stamp=table.stamp)
    return replace(found, address=f"{table.address}, row {key}", inner=table.inner, row=row)


def _image_named(table: Place, key: int | str, where: str) -> ImageJob:
    """An image that a row names: by an address, or by a path, which begins at the folder of the Parquet file."""
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
