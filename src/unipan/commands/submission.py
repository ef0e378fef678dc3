"""`unipan predict --submission`: which images a test server wants, under which ids, and what writes them."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from unipan.commands.predict import Job, check_names, find_images
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.formats.format import DatasetWriter
from unipan.datasets.formats.submissions import CityscapesSubmissionWriter, CocoSubmissionWriter, cityscapes_id
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import read_json, rows_of, unique_rows

Server = Literal["cityscapes", "coco"]
COCO_SPLIT = "test-dev2017"
LIST = "image_info_"
"""COCO's lists of test images are image_info_SPLIT.json."""


def plan_submission(server: Server, given: Iterable[Path], like: Path | None) -> list[Job]:
    """What to segment, with the names and ids that the server knows.

    Args:
        server: whose.
        given: images and folders.
        like: COCO's list of images (no annotations are needed); images that it does not have are left out.

    Raises:
        FileNotFoundError, ValueError: see `find_images`; a broken list, one that names none of the images, or a file
            name without an id.
    """
    found = find_images(tuple(given))
    if server == "cityscapes":
        jobs = [Job(path, path.name, cityscapes_id(name, "")) for path, name in found]
    elif like is None:
        jobs = [Job(path, path.name, _number(path)) for path, _ in found]
    else:
        rows = unique_rows(rows_of(read_json(like), "images", like), "id", "image", like)
        jobs = _listed(found, rows, like)
    check_names(jobs)
    return jobs


def open_writer(server: Server, out: Path, categories: Categories, like: Path | None, algorithm: str) -> DatasetWriter:
    """What writes the submission.

    Raises:
        ValueError: the checkpoint's classes are not those of the server's dataset (of COCO, unless the list names other
            ones), or an odd algorithm name.
    """
    if server == "cityscapes":
        return CityscapesSubmissionWriter(out, categories)
    listed: list[dict[str, Any]] = []
    content = read_json(like) if like is not None else {}
    if like is not None and "categories" in content:
        listed = list(unique_rows(rows_of(content, "categories", like), "id", "category", like).values())
        check_classes(listed, categories, like)
    # COCO's own list has the 80 things alone.
    if all((row["id"], row.get("name")) in _names(coco_categories()).items() for row in listed):
        require_coco(categories)
    named = like is not None and like.stem.startswith(LIST)
    split = like.stem.removeprefix(LIST) if like is not None and named else COCO_SPLIT
    return CocoSubmissionWriter(out, categories, split, algorithm)


def check_classes(rows: Iterable[Mapping[str, Any]], categories: Categories, like: Path) -> None:
    """Raises ValueError if the list has a class that the checkpoint lacks or calls otherwise: ids would mislead."""
    names = _names(categories)
    for row in rows:
        own = names.get(row["id"])
        if own != row.get("name"):
            raise ValueError(
                f"--like {like}: its category {row['id']} is {row.get('name')!r}, in the checkpoint it is {own!r}; "
                "give a checkpoint that was trained with that dataset's ids"
            )


def require_coco(categories: Categories) -> None:
    """Raises ValueError unless the checkpoint has COCO's 133 classes under COCO's ids."""
    theirs, own = _names(coco_categories()), _names(categories)
    for key in sorted(theirs.keys() | own.keys()):
        if theirs.get(key) != own.get(key):
            raise ValueError(
                f"--submission coco: category {key} of the checkpoint is {own.get(key, 'missing')}, that of COCO "
                f"{theirs.get(key, 'missing')}; give a checkpoint with COCO's {len(theirs)} classes and ids, or with "
                "--like the list of a dataset with the checkpoint's"
            )


def _names(categories: Categories) -> dict[int, str]:
    return {category.id: category.name for category in categories}


def _number(path: Path) -> int:
    if not path.stem.isdecimal():
        raise ValueError(f"{path}: COCO's ids are the file names' digits; give --like image_info_{COCO_SPLIT}.json")
    return int(path.stem)


def _listed(found: Iterable[tuple[Path, str]], rows: Mapping[int | str, Mapping[str, Any]], like: Path) -> list[Job]:
    ids = {PurePosixPath(str(row.get("file_name"))).name: key for key, row in rows.items()}
    here = {path.name: path for path, _ in found}
    jobs = [Job(here[name], name, key) for name, key in ids.items() if name in here]
    if not jobs:
        raise ValueError(f"--like {like}: it lists none of the images given; is this the list of these images?")
    if len(jobs) < len(ids):
        missing = next(name for name in ids if name not in here)
        print(
            f"warning: {len(ids) - len(jobs)} of the {len(ids)} images in {like} are not here ({missing} ...); the "
            "server wants all",
            file=sys.stderr,
        )
    return jobs
