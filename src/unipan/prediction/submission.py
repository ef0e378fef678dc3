"""Submissions to test servers: which images they want, under which ids, and the writer of what they take."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.datasets.formats.format import DatasetWriter
from unipan.datasets.formats.submissions import (
    CityscapesSubmissionWriter,
    CocoSubmissionWriter,
    cityscapes_id,
    coco_stem,
)
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import read_json, rows_of, unique_rows
from unipan.prediction.images import ImageJob, check_names, find_images, keys_by_name, the_one_key

Server = Literal["cityscapes", "coco"]
COCO_SPLIT = "test-dev2017"
COCO_LIST_PREFIX = "image_info_"
"""COCO's lists of test images are image_info_SPLIT.json."""


def plan_submission(
    server: Server, images: Iterable[Path], like: Path | None, warn: Callable[[str], None] = print
) -> list[ImageJob]:
    """The images to segment, with the names and ids that the server knows.

    Args:
        server: whose test set.
        images: files and folders.
        like: COCO's list of images (no annotations are needed); images that it does not list are left out.
        warn: gets a sentence if some of the listed images are missing.

    Raises:
        FileNotFoundError, ValueError: see `find_images`; a broken list, one that names none of the images, or a file
            name without an id.
    """
    found = find_images(images)
    if server == "cityscapes":
        jobs = [ImageJob(path, path.name, cityscapes_id(name, "")) for path, name in found]
    elif like is None:
        jobs = [ImageJob(path, path.name, _id_in_name(path)) for path, _ in found]
    else:
        rows = unique_rows(rows_of(read_json(like), "images", like), "id", "image", like)
        ids = keys_by_name(
            {key: {"file_name": PurePosixPath(str(row.get("file_name"))).name} for key, row in rows.items()}
        )
        here = _by_name(path for path, _ in found)
        jobs = [ImageJob(here[name], name, the_one_key(name, ids, like)) for name in ids if name in here]
        if not jobs:
            raise ValueError(f"--like {like}: it lists none of the images given; is this the list of these images?")
        if missing := [name for name in ids if name not in here]:
            warn(
                f"warning: {len(missing)} of the {len(ids)} images in {like} are missing ({missing[0]} ...); the "
                "server wants all of them"
            )
    check_names(jobs)
    return jobs


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Paths by their last part. Raises ValueError if two files share it."""
    found: dict[str, Path] = {}
    for path in paths:
        other = found.setdefault(path.name, path)
        if other != path:
            raise ValueError(
                f"--submission: {other} and {path} have one name, by which the server knows them; give one"
            )
    return found


def submission_files(server: Server, jobs: Iterable[ImageJob], like: Path | None, algorithm: str) -> list[str]:
    """The names of all files that the writer of `open_writer` may write; one that ends in `/` is a folder."""
    if server == "coco":
        stem = coco_stem(_split_of(like), algorithm)
        return [f"{stem}.json", f"{stem}.zip", *(f"{stem}/{job.png}" for job in jobs)]
    keys = [str(job.image_id) for job in jobs]
    names = ["panoptic.zip", "instance.zip", "panoptic/cityscapes_panoptic_test.json"]
    names += [f"panoptic/cityscapes_panoptic_test/{key}_panoptic.png" for key in keys]
    return [*names, *(f"instance/{key}_pred{end}" for key in keys for end in (".txt", "/"))]


def map_file(server: Server | None, job: ImageJob, like: Path | None, algorithm: str) -> str:
    """The name of the PNG with an image's panoptic map that the writer of `open_writer` writes."""
    if server is None:
        return f"panoptic/{job.png}"
    if server == "coco":
        return f"{coco_stem(_split_of(like), algorithm)}/{job.png}"
    return f"panoptic/cityscapes_panoptic_test/{job.image_id}_panoptic.png"


def open_writer(
    server: Server | None, out: Path, categories: Categories, like: Path | None, algorithm: str
) -> DatasetWriter:
    """The writer of a submission, or of COCO panoptic format with scores.

    Args:
        server: that takes the submission; None if this is none.
        out: output folder.
        categories: the checkpoint's.
        like: COCO's list of images, or that of another dataset in its format.
        algorithm: part of the file names of a submission to COCO.

    Raises:
        ValueError: the checkpoint's classes are not those of the server's dataset, or an algorithm name that cannot be
            part of a file name.
    """
    if server is None:
        return PanopticWriter(out, categories, scores=True)
    if server == "cityscapes":
        return CityscapesSubmissionWriter(out, categories)
    content = read_json(like) if like is not None else {}
    listed: list[Mapping[str, Any]] = []
    if like is not None and "categories" in content:
        listed = list(unique_rows(rows_of(content, "categories", like), "id", "category", like).values())
        _check_listed(listed, categories, like)
    # COCO's own list has the 80 things alone; another dataset's list has other classes and was checked above.
    coco = _names(coco_categories())
    if all((row["id"], row.get("name")) in coco.items() for row in listed):
        _check_coco(categories, coco)
    return CocoSubmissionWriter(out, categories, _split_of(like), algorithm)


def _split_of(like: Path | None) -> str:
    """The split that a list of COCO's is named after; test-dev without one."""
    named = like is not None and like.stem.startswith(COCO_LIST_PREFIX)
    return like.stem.removeprefix(COCO_LIST_PREFIX) if like is not None and named else COCO_SPLIT


def _check_listed(rows: Iterable[Mapping[str, Any]], categories: Categories, like: Path) -> None:
    """Raises ValueError if the checkpoint lacks a class of the list or names it differently."""
    names = _names(categories)
    for row in rows:
        own = names.get(row["id"])
        if own != row.get("name"):
            raise ValueError(
                f"--like {like}: its category {row['id']} is {row.get('name')!r}, in the checkpoint it is {own!r}; "
                "give a checkpoint that was trained with that dataset's ids"
            )


def _check_coco(categories: Categories, theirs: Mapping[int, str]) -> None:
    """Raises ValueError unless the checkpoint has COCO's 133 classes under COCO's ids."""
    own = _names(categories)
    for key in sorted(theirs.keys() | own.keys()):
        if theirs.get(key) != own.get(key):
            raise ValueError(
                f"--submission coco: category {key} of the checkpoint is {own.get(key, 'missing')}, that of COCO "
                f"{theirs.get(key, 'missing')}; give a checkpoint with COCO's {len(theirs)} classes and ids, or with "
                "--like the list of a dataset that has the checkpoint's"
            )


def _names(categories: Categories) -> dict[int, str]:
    return {category.id: category.name for category in categories}


def _id_in_name(path: Path) -> int:
    if not path.stem.isdecimal():
        raise ValueError(
            f"{path}: COCO's ids are the digits of the file name; give --like {COCO_LIST_PREFIX}{COCO_SPLIT}.json"
        )
    return int(path.stem)
