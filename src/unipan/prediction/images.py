"""Which images to segment, and the name and id that each gets in the JSON. No torch, so that mistakes show at once."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from unipan.files import files_below, no_file_words
from unipan.outputs import ResultFolders
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import path_inside, read_json, rows_of, unique_rows
from unipan.panoptic.image_files import IMAGE_FORMATS, out_of_reach
from unipan.prediction.pages import split_pages
from unipan.prediction.videos import Video, version_of

SUFFIXES = tuple(suffix for suffixes in IMAGE_FORMATS.values() for suffix in suffixes)
"""What counts as an image inside a folder."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
LONGEST_STEM = 255 - len(".geojson")
"""Bytes: file systems take names of 255, and some of an image's files have longer endings than itself."""
LONG_NAME = "its name is too long for the files of its result; rename it"


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video, counted from 0."""

    video: Video
    number: int


@dataclass(frozen=True)
class ImageJob:
    """One image to segment: its path, its name and id in the JSON, and which page or frame of the file it is.

    A video without a frame is one image, and so is what of a video is lost: `part` names it, and `broken` says why it
    cannot be segmented.
    """

    path: Path
    name: str
    image_id: int | str
    page: int | None = None
    frame: VideoFrame | None = None
    broken: str | None = None
    part: str | None = None

    @property
    def picture(self) -> Path | np.ndarray:
        """What is segmented: the file, or the pixels of a video's frame (ValueError where they cannot be read)."""
        if self.broken is not None:
            raise ValueError(self.broken)
        return self.path if self.frame is None else self.frame.video.frame(self.frame.number)

    @property
    def source(self) -> str:
        """What people know it by: the path of its file."""
        return str(self.path)

    def to_json(self) -> dict[str, Any]:
        """For programs: its file and name, and which page or frame of the file it is, both from 1."""
        found: dict[str, Any] = {"file": self.source, "name": self.name}
        if self.page is not None:
            found["page"] = self.page
        if self.frame is not None:
            found["frame"] = self.frame.number + 1
        return found

    @property
    def told(self) -> str:
        """What sentences call it: its file, and what is meant of it."""
        part = self.part or ("" if self.page is None else f"page {self.page}")
        return f"{self.source}, {part}," if part else self.source

    @property
    def version(self) -> list[int] | None:
        """`version_of` its file, as it is now."""
        return version_of(self.path)

    @property
    def png(self) -> PurePosixPath:
        """The name of the PNG that is written for it."""
        return PurePosixPath(self.name).with_suffix(".png")


def plan_images(
    images: Iterable[Path], like: Path | None, pages: str | None = None
) -> tuple[list[ImageJob], Categories | None]:
    """The images to segment, numbered from 1, or with the ids and names of a ground truth.

    Args:
        images: files and folders; of a video each frame is an image, called VIDEO/000001.png and so on.
        like: the ground truth's JSON, or None.
        pages: which pages of TIFF stacks are images, see `page_numbers`; None takes no stacks.

    Returns:
        the jobs, and the ground truth's categories if there is one.

    Raises:
        FileNotFoundError, ValueError: see `find_images`, `jobs_like` and `check_names`; also a broken ground truth.
    """
    given = [path for path, _ in _without_repeats((path, "") for path in images)]
    clips = [path for path in given if is_video(path)]
    closed: list[tuple[Path, str]] = []
    found = []
    if len(clips) < len(given) or not given:
        found = find_images((path for path in given if path not in clips), closed if like is None else None)
    categories = None
    page_of: dict[str, int | None] = {}
    broken: dict[Path, str] = {}
    if pages is not None:
        split, broken = split_pages(found, pages)
        found, page_of = [(path, name) for path, name, _ in split], {name: page for _, name, page in split}
    if like is None:
        jobs = [ImageJob(path, name, number, page_of.get(name)) for number, (path, name) in enumerate(found, start=1)]
        for clip in clips:
            jobs += _frames(clip, len(jobs) + 1)
        unread = "this folder cannot be read; give yourself the right to, or move it away"
        jobs += [ImageJob(path, name, len(jobs) + at, broken=unread) for at, (path, name) in enumerate(closed, start=1)]
    elif clips:
        raise ValueError(f"--like {like}: it lists images, and {clips[0]} is a video; run once for each")
    else:
        categories, entries = read_like(like)
        jobs = jobs_like(found, entries, like, page_of)
    jobs = [replace(job, broken=broken[job.path]) if job.path in broken else job for job in jobs]
    jobs = [replace(job, broken=LONG_NAME) if _is_long(job) else job for job in jobs]
    check_names(jobs)
    return jobs, categories


def _is_long(job: ImageJob) -> bool:
    """Whether a file of its result could not have its name, at which every run would end."""
    return len(os.fsencode(job.png.stem)) > LONGEST_STEM


def read_like(like: Path) -> tuple[Categories, Mapping[int | str, Mapping[str, object]]]:
    """The categories of a ground truth, and its images by id. Raises ValueError for a broken one."""
    truth = read_json(like)
    categories = Categories.from_coco(rows_of(truth, "categories", like), str(like))
    return categories, unique_rows(rows_of(truth, "images", like), "id", "image", like)


def _frames(clip: Path, first: int) -> list[ImageJob]:
    """The frames of a video, numbered from `first` on."""
    try:
        video = Video(clip)
    except ValueError as error:
        return [ImageJob(clip, f"{clip.stem}.png", first, broken=str(error))]
    jobs = [
        ImageJob(clip, f"{clip.stem}/{number + 1:06d}.png", first + number, frame=VideoFrame(video, number))
        for number in range(video.count)
    ]
    if video.lost is not None:
        rest = f"{clip.stem}/rest.png"
        jobs.append(ImageJob(clip, rest, first + video.count, broken=video.lost, part="the rest"))
    return jobs


def is_video(path: Path) -> bool:
    """Whether a file is a video by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def require_picture(path: Path) -> None:
    """Raises ValueError that names what a file is by its name, and that it is out of reach."""
    if (volume := out_of_reach(path)) is not None:
        raise ValueError(f"{path}: {volume}")


def find_images(given: Iterable[Path], closed: list[tuple[Path, str]] | None = None) -> list[tuple[Path, str]]:
    """Each image with its name: its path below the given folder, or its file name. One that is given twice, by itself
    and with its folder for instance, is taken once. A link to nothing whose name is an image's is one that is broken.

    Args:
        given: files and folders.
        closed: gets the folders in these that cannot be read, with their names.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: no path, a folder without images, or a picture that unipan wrote. In folders those are left out.
        OSError: a folder that cannot be read, if nobody takes it.
    """
    found, results = [], ResultFolders()
    for place in given:
        if not os.path.exists(place) and not (place.is_symlink() and place.suffix.lower() in SUFFIXES):  # noqa: PTH110
            words = no_file_words(place).replace("there is no such file", "no such file or folder")
            raise FileNotFoundError(f"{place}: {words}")
        if not os.path.isdir(place):  # noqa: PTH112  Path's raises where it has no rights
            if author := results.author(place):
                raise ValueError(f"{place}: `unipan {author}` wrote this picture; give the photograph itself")
            require_picture(place)
            found.append((place, place.name))
            continue
        shut: list[Path] = []
        pictures = files_below(place, SUFFIXES, shut if closed is not None and os.access(place, os.R_OK) else None)
        below = [path for path in pictures if results.author(path) is None]
        if pictures and not below and not shut:
            raise ValueError(f"{place}: unipan wrote all pictures in this folder; give the folder of the photographs")
        if not below and not shut:
            raise ValueError(f"{place}: no images in this folder (looked for {', '.join(SUFFIXES)})")
        found += [(path, path.relative_to(place).as_posix()) for path in below]
        if closed is not None:
            closed += [(path, f"{path.relative_to(place).as_posix()}/unread") for path in shut]
    if not found and not closed:
        raise ValueError("predict: no image was given; name files or folders after the checkpoint")
    return _without_repeats(found)


def _without_repeats(found: Iterable[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Paths and names without those whose path, however it is written, is there before. Links are other paths."""
    first: dict[str, tuple[Path, str]] = {}
    for path, name in found:
        first.setdefault(os.path.abspath(path), (path, name))  # noqa: PTH100  Path's leaves `..` in it
    return list(first.values())


def is_text(name: str) -> bool:
    """Whether a name can be written in UTF-8; one from a disk of another encoding cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_names(jobs: Sequence[ImageJob]) -> None:
    """Raises ValueError if two images would be written to one PNG, one outside the output folder, or a name that JSON
    and HTML cannot hold."""
    taken: dict[PurePosixPath, ImageJob] = {}
    for job in jobs:
        path_inside(Path("panoptic"), job.name, job.path)
        if not is_text(job.name):
            raise ValueError(f"predict: {job.source}: the name of this file is no text in UTF-8; rename it")
        other = taken.setdefault(job.png, job)
        if other is not job:
            raise ValueError(
                f"predict: {other.source} and {job.source} would both be written to {job.png}; rename one of them, or "
                "run twice with different --out folders"
            )


def keys_by_name(entries: Mapping[int | str, Mapping[str, object]]) -> dict[str, list[int | str]]:
    """The ids of the images of a ground truth, by file name."""
    found: dict[str, list[int | str]] = {}
    for key, entry in entries.items():
        found.setdefault(str(entry.get("file_name")), []).append(key)
    return found


def the_one_key(name: str, keys: Mapping[str, list[int | str]], like: Path) -> int | str:
    """The id of an image. Raises ValueError if its name is listed with several."""
    if len(keys[name]) > 1:
        ids = " and ".join(repr(key) for key in keys[name][:2])
        raise ValueError(f"--like {like}: it lists {name} {len(keys[name])} times, with the ids {ids}; list it once")
    return keys[name][0]


def jobs_like(
    found: Iterable[tuple[Path, str]],
    entries: Mapping[int | str, Mapping[str, object]],
    like: Path,
    page_of: Mapping[str, int | None] = MappingProxyType({}),
) -> list[ImageJob]:
    """Images with the ids and names that a ground truth gives them.

    Args:
        found: paths and names, from `find_images`.
        entries: the ground truth's `images`, by id.
        like: its path, for errors.
        page_of: the pages of those that are pages of stacks, by name.

    Raises:
        ValueError: an image that it does not list, or a file name that it lists twice.
    """
    full = keys_by_name(entries)
    short: dict[str, list[str]] = {}
    for name in full:
        short.setdefault(PurePosixPath(name).name, []).append(name)
    jobs, missing = [], []
    for path, name in found:
        fitting = [name] if name in full else short.get(PurePosixPath(name).name, [])
        if len(fitting) > 1:
            raise ValueError(
                f"--like {like}: it lists {PurePosixPath(name).name} {len(fitting)} times; give the folder above"
            )
        if not fitting:
            missing.append(name)
            continue
        jobs.append(ImageJob(path, fitting[0], the_one_key(fitting[0], full, like), page_of.get(name)))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"--like {like}: it has no image named {missing[0]}{more}; leave out what it does not list")
    return jobs
