"""PQ of two folders over all cores: threads that share one list of images, each with counts of its own.

An image lives only while a thread looks at it, so memory does not grow with the dataset; opencv and numpy let the other
threads run while they decode and count.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from unipan.arrays import Int64, Integer
from unipan.evaluation.collector import collector_paused
from unipan.evaluation.folders import Labelled, PanopticFolders, Tables
from unipan.evaluation.matching import Batch, Overlaps, areas
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.panoptic.inflated import pixels_of
from unipan.panoptic.pair_counts import count_known
from unipan.panoptic.png import rgb_to_ids

_LISTED = 5  # ids or names that one sentence holds
_TOGETHER = 16  # images that are matched at once
_PAIRS = 1 << 16  # of segments, after which fewer images wait: memory is not to grow with their number


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


class _Counted(NamedTuple):
    """An image whose pixels are counted and forgotten.

    Attributes:
        position: of the image.
        sides: truth and prediction, without pixels.
        overlaps: of the two.
        strays: of either side the ids with pixels that it does not declare.
    """

    position: int
    sides: tuple[Labelled, Labelled]
    overlaps: Overlaps
    strays: tuple[np.ndarray, np.ndarray]

    @property
    def refusal(self) -> str | None:
        return self.sides[1].refusal or self.sides[0].refusal


class _Part:
    """What one thread has found.

    A call of numpy takes microseconds whatever it is called for: counted images wait for others, to be matched at once.
    """

    def __init__(self, folders: PanopticFolders, lenient: bool) -> None:
        self.quality, self.problems = PanopticQuality(folders.categories), dict[int, list[Problem]]()
        self._folders, self._lenient = folders, lenient
        self._waiting: list[_Counted] = []
        self._pairs = 0

    def take(self, index: int, tables: tuple[Tables, Tables]) -> None:
        """Count one image's pixels unless there is something wrong with its files."""
        try:
            truth, prediction = self._folders.read(index, tables)
        except (ValueError, OSError) as error:
            self.problems[index] = [Problem(str(error), pardonable=False)]
            return
        if prediction.pixels is None and not self._lenient:
            return  # all of them in one sentence
        counted = _count(index, truth, prediction)
        self._waiting.append(counted)
        self._pairs += len(counted.overlaps)
        if len(self._waiting) >= _TOGETHER or self._pairs >= _PAIRS:
            self.finish()

    def finish(self) -> None:
        """Match the images that wait; those with a fault only if it is pardoned."""
        waiting, self._waiting, self._pairs = self._waiting, [], 0
        if not waiting:
            return
        batch = _batch(waiting)
        faulty = {row for row, each in enumerate(waiting) if any(map(len, each.strays))}
        faulty.update(batch.truth_image[batch.truth_area == 0].tolist())
        faulty.update(batch.prediction_image[batch.prediction_area == 0].tolist())
        for row in faulty:
            self.problems[waiting[row].position] = [*_disagreements(waiting[row])]
        if faulty and not self._lenient:
            waiting = [each for row, each in enumerate(waiting) if row not in faulty]
            if not waiting:
                return
            batch = _batch(waiting)
        refusals = {row: text for row, each in enumerate(waiting) if (text := each.refusal) is not None}
        self.quality.put(batch, [self._folders.names[each.position] for each in waiting], refusals)


@collector_paused()
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
    images, lock, stop = _listed(folders), threading.Lock(), threading.Event()

    def work() -> _Part:
        part = _Part(folders, lenient)
        for index, tables in _shared(images, lock, stop):
            part.take(index, tables)
            each()
        part.finish()
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


_Image = tuple[int, tuple[Tables, Tables]]


def _listed(folders: PanopticFolders) -> Iterator[_Image]:
    """Each image with what is known of it beforehand."""
    for start in range(0, len(folders), _TOGETHER):
        indices = range(start, min(start + _TOGETHER, len(folders)))
        tables = folders.plain_tables(indices)
        for index in indices:
            yield index, tables


def _shared(images: Iterator[_Image], lock: threading.Lock, stop: threading.Event) -> Iterator[_Image]:
    """Each image goes to one thread."""
    while not stop.is_set():
        with lock:
            image = next(images, None)
        if image is None:
            return
        yield image


def available_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(index: int, truth: Labelled, prediction: Labelled) -> _Counted:
    """Count the pixels of one image; a missing prediction is void."""
    pixels = np.zeros((0, 0, 3), np.uint8) if truth.pixels is None else truth.pixels
    theirs = np.zeros(pixels.shape[:2], np.int32) if prediction.pixels is None else prediction.pixels
    overlaps = Overlaps(*count_known(pixels, theirs, truth.table.ids, prediction.table.ids))
    strays = _strays(truth, overlaps.truth), _strays(prediction, overlaps.prediction)
    return _Counted(index, (_bare(truth), _bare(prediction)), overlaps, strays)


def _bare(side: Labelled) -> Labelled:
    return Labelled(side.source, None, side.table, side.refusal)


def _strays(side: Labelled, positions: Int64[np.ndarray, " N"]) -> Integer[np.ndarray, " S"]:
    """The ids with pixels that the JSON does not declare."""
    if side.pixels is None or positions.max(initial=0) <= len(side.table):
        return np.zeros(0, np.int64)
    return np.setdiff1d(rgb_to_ids(pixels_of(side.pixels)), [*side.table.ids.tolist(), 0])


def _batch(images: list[_Counted]) -> Batch:
    return Batch.of([(each.overlaps, each.sides[0].table, each.sides[1].table) for each in images])


def _disagreements(image: _Counted) -> Iterator[Problem]:
    """Ids with pixels that the JSON does not declare, and the reverse."""
    places = image.overlaps.truth, image.overlaps.prediction
    for side, positions, strays in zip(image.sides, places, image.strays, strict=True):
        if len(strays):
            what = "have pixels but are not declared" if len(strays) > 1 else "has pixels but is not declared"
            yield Problem(f"{side.source}: {_ids(strays)} {what} in the JSON", True, len(strays))
        absent = side.table.ids[areas(positions, image.overlaps.pixels, len(side.table)) == 0]
        if len(absent):
            one, many = "is declared in the JSON but has no pixel", "are declared in the JSON but have no pixels"
            yield Problem(f"{side.source}: {_ids(absent)} {many if len(absent) > 1 else one}", True, len(absent))


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
