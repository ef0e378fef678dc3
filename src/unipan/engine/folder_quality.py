"""PQ of two folders over all cores: threads that share one list of images, each with counts of its own.

An image lives only while a thread looks at it, so memory does not grow with the dataset; opencv and numpy let the other
threads run while they decode and count.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np

from unipan.engine.folders import Labelled, PanopticFolders
from unipan.metrics.matching import Overlaps, areas
from unipan.metrics.panoptic_quality import PanopticQuality
from unipan.ops.encoding import rgb_to_ids
from unipan.ops.inflated import pixels_of
from unipan.ops.pair_counts import count_known

_LISTED = 5  # ids or names that one sentence holds


@dataclass(frozen=True)
class Problem:
    """A fault in the files.

    Attributes:
        text: one sentence with the file and the id.
        pardonable: whether a lenient reading knows what to do with it.
        count: how many ids or images it tells of.
    """

    text: str
    pardonable: bool
    count: int = 1


@dataclass(frozen=True)
class FolderScores:
    """PQ, and what was wrong with the files; images with a fault that was not pardoned are not counted."""

    quality: PanopticQuality
    problems: tuple[Problem, ...]


@dataclass
class _Part:
    """What one thread has found."""

    quality: PanopticQuality
    problems: dict[int, list[Problem]] = field(default_factory=dict)


def score_folders(
    folders: PanopticFolders,
    lenient: bool = False,
    threads: int | None = None,
    each: Callable[[], object] = lambda: None,
) -> FolderScores:
    """PQ of all images.

    Args:
        folders: truth and predictions.
        lenient: ids that a JSON does not declare are void, segments without pixels are ignored, a missing prediction
            is an empty map; otherwise such an image is not counted. A damaged file is never pardoned.
        threads: as many as there are cores unless given; the result is the same to the last bit.
        each: called after every image, from any thread.
    """
    positions, lock, stop = iter(range(len(folders))), threading.Lock(), threading.Event()

    def work() -> _Part:
        part = _Part(PanopticQuality(folders.categories))
        for index in _shared(positions, lock, stop):
            problems = _score(folders, index, part, lenient)
            if problems:
                part.problems[index] = problems
            each()
        return part

    count = max(1, min(threads or available_cores(), len(folders)))
    with ThreadPoolExecutor(count) as pool:
        try:
            parts = [future.result() for future in [pool.submit(work) for _ in range(count)]]
        finally:
            stop.set()  # an interrupted command does not finish the dataset first
    found = {index: problems for part in parts for index, problems in part.problems.items()}
    listed = [problem for index in sorted(found) for problem in found[index]]
    return FolderScores(reduce(add, (part.quality for part in parts)), (*_missing(folders), *listed))


def _shared(positions: Iterator[int], lock: threading.Lock, stop: threading.Event) -> Iterator[int]:
    """Each position goes to one thread."""
    while not stop.is_set():
        with lock:
            index = next(positions, None)
        if index is None:
            return
        yield index


def available_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _score(folders: PanopticFolders, index: int, part: _Part, lenient: bool) -> list[Problem]:
    """Count one image unless there is something wrong with it, and say what."""
    try:
        truth, prediction = folders.read(index)
    except (ValueError, OSError) as error:
        return [Problem(str(error), pardonable=False)]
    missing = prediction.pixels is None
    if missing and not lenient:
        return []  # all of them in one sentence
    empty = np.zeros((0, 0, 3), np.uint8)
    pixels = empty if truth.pixels is None else truth.pixels
    theirs = np.zeros(pixels.shape[:2], np.int32) if prediction.pixels is None else prediction.pixels
    overlaps = Overlaps(*count_known(pixels, theirs, truth.table.ids, prediction.table.ids))
    problems = [*_disagreements(truth, overlaps.truth, overlaps.pixels)]
    problems += [] if missing else _disagreements(prediction, overlaps.prediction, overlaps.pixels)
    if lenient or not problems:
        refusal = prediction.refusal or truth.refusal
        part.quality.put(overlaps, truth.table, prediction.table, folders.names[index], refusal)
    return problems


def _disagreements(side: Labelled, positions: np.ndarray, pixels: np.ndarray) -> Iterator[Problem]:
    """Ids with pixels that the JSON does not declare, and the reverse."""
    count = len(side.table)
    if (positions > count).any() and side.pixels is not None:
        ids = np.setdiff1d(rgb_to_ids(pixels_of(side.pixels)), [*side.table.ids.tolist(), 0])
        what = (
            "have pixels but are not declared in the JSON"
            if len(ids) > 1
            else "has pixels but is not declared in the JSON"
        )
        yield Problem(f"{side.source}: {_ids(ids)} {what}", True, len(ids))
    absent = side.table.ids[areas(positions, pixels, count) == 0]
    if len(absent):
        what = (
            "are declared in the JSON but have no pixels"
            if len(absent) > 1
            else "is declared in the JSON but has no pixel"
        )
        yield Problem(f"{side.source}: {_ids(absent)} {what}", True, len(absent))


def _missing(folders: PanopticFolders) -> Iterator[Problem]:
    """Images without a prediction, and without a truth."""
    if folders.unpredicted:
        names = folders.unpredicted
        other = f" (it has predictions for {_ids_of(folders.surplus)}, unknown to the truth)" if folders.surplus else ""
        yield Problem(f"{folders.prediction.source}: no prediction for {_some(names)}{other}", True, len(names))
    if folders.unannotated:
        names = folders.unannotated
        yield Problem(f"{folders.truth.source}: no annotation of {_some(names)}", True, len(names))


def _ids_of(images: list[int | str]) -> str:
    return f"image {images[0]!r}" + (f" and {len(images) - 1} more" if len(images) > 1 else "")


def _ids(ids: np.ndarray) -> str:
    listed = ", ".join(str(key) for key in ids[:_LISTED])
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return f"{'ids' if len(ids) > 1 else 'id'} {listed}{more}"


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
