"""What a folder has beside the images that are segmented, and that a user may believe to be among them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from unipan.files import files_below, is_programs_folder
from unipan.outputs import ResultFolders
from unipan.panoptic.image_files import NO_PICTURES
from unipan.prediction.images import SUFFIXES, VIDEO_SUFFIXES

UNREAD_SUFFIXES = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".psd", ".svg", ".eps", ".pdf"),
    *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"),
    *(suffix for suffixes in NO_PICTURES.values() for suffix in suffixes if suffix.count(".") == 1),
)
"""Of pictures, photographs as cameras store them, and volumes, in formats that are not read."""


def passed_over_notes(given: Iterable[Path]) -> Iterator[str]:
    """A sentence for each folder and kind of what is not segmented: links to folders, pictures in folders of programs,
    videos, formats that are not read."""
    results = ResultFolders()
    for folder in (path for path in given if path.is_dir()):
        links: list[Path] = []
        hidden: list[Path] = []
        videos: list[Path] = []
        unread: list[Path] = []
        for place, folders, names in os.walk(folder):
            links += [path for name in folders if (path := Path(place, name)).is_symlink()]
            programs = [Path(place, name) for name in folders if is_programs_folder(name)]
            hidden += [path for path in programs if not path.is_symlink() and files_below(path, SUFFIXES, [])]
            folders[:] = [name for name in folders if not is_programs_folder(name)]
            for name in names:
                kind = PurePath(name).suffix.lower()
                if kind in UNREAD_SUFFIXES:
                    unread.append(Path(place, name))
                elif kind in VIDEO_SUFFIXES and results.author(Path(place, name)) is None:
                    videos.append(Path(place, name))
        if links:
            yield f"note: {_and_more(links)}: a link to a folder is not followed; give the folder too"
        if hidden:
            yield f"note: {_and_more(hidden)}: pictures in a folder of this name are passed over; give it by its path"
        if videos:
            yield f"note: {_and_more(videos)}: a video in a folder is passed over; give it by its path"
        if unread:
            yield f"note: {_and_more(unread)}: passed over, its format is not read; save it as PNG, TIFF or JPEG"


def _and_more(paths: list[Path]) -> str:
    return f"{min(paths)}{f' and {len(paths) - 1} more' * (len(paths) > 1)}"
