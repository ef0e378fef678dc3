"""PQ and any extra metrics of two folders, over all cores: images are counted in parts, and the counts added up.

An image lives only while it is counted, so memory does not grow with the dataset.
"""

import copy
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, is_
from pathlib import Path

import numpy as np

from unipan.arrays import Int64
from unipan.evaluation.extra_metrics import BatchMetric, ExtraMetric
from unipan.evaluation.folders import PanopticFolders, SegmentedImage
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, Overlaps, SegmentTable
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.files import local_path
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID_ID
from unipan.panoptic.pair_counts import count_known_pairs
from unipan.parallel import in_chunks

_LISTED_IDS = 5  # ids or names that one sentence holds
_TOGETHER = 16  # images that are matched at once: a call of numpy takes microseconds whatever it is called for


@dataclass(frozen=True)
class Problem:
    """A fault in the files.

    Attributes:
        text: one sentence with the file and the id.
        pardonable: whether a lenient evaluation knows what to do with it.
        count: of the ids or images concerned.
    """

    text: str
    pardonable: bool
    count: int = 1


@dataclass(frozen=True)
class FolderScores:
    """What `score_folders` finds.

    Attributes:
        quality: PQ; images with a fault that was not pardoned are not counted.
        problems: what is wrong with the files.
        extra: the extra metrics asked for, of the images that PQ counts.
    """

    quality: PanopticQuality
    problems: tuple[Problem, ...]
    extra: tuple[ExtraMetric, ...] = ()

    def usable(self, lenient: bool) -> bool:
        """Whether nothing is wrong that a strict (lenient) evaluation does not pardon."""
        return all(lenient and problem.pardonable for problem in self.problems)


_Tables = tuple[Overlaps, SegmentTable, SegmentTable]
"""What `Batch.of` joins."""


def _tables(pair: ImagePair) -> _Tables:
    return pair.overlaps, pair.truth_segments, pair.prediction_segments


class _Part:
    """Some of the images, counted."""

    def __init__(self, folders: PanopticFolders, lenient: bool, extra: Sequence[ExtraMetric], shard: bool) -> None:
        self.quality, self.problems = PanopticQuality(folders.categories), dict[int, list[Problem]]()
        self.extra = copy.deepcopy(extra, {id(folders.categories): folders.categories})  # that never changes
        self._at_once = [metric for metric in self.extra if isinstance(metric, BatchMetric)]
        self._one_by_one = [metric for metric in self.extra if not isinstance(metric, BatchMetric)]
        self._folders, self._lenient = folders, lenient
        self._must_be_there = shard or not lenient
        self._clear()

    def _clear(self) -> None:
        self._names: list[str] = []
        self._tables: list[_Tables] = []
        self._clean: list[_Tables] = []  # without what was pardoned; the same objects where nothing was
        self._refusals: dict[int, str] = {}

    def take(self, index: int) -> None:
        """Count one image unless there is something wrong with its files."""
        try:
            truth, prediction = self._folders.read(index)
        except (ValueError, OSError) as error:
            self.problems[index] = [Problem(str(error), pardonable=False)]
            return
        if prediction.ids is None and self._must_be_there:
            return  # one sentence tells of all of them
        pair, self.problems[index] = _compare(self._folders, index, truth, prediction)
        if self.problems[index] and not self._lenient:
            return
        if (refusal := prediction.refusal or truth.refusal) is not None:
            self._refusals[len(self._names)] = refusal
        self._names.append(pair.name)
        self._tables.append(_tables(pair))
        clean = pair.keep(pair.truth_area > 0, pair.prediction_area > 0) if self.problems[index] else pair
        self._clean.append(self._tables[-1] if clean is pair else _tables(clean))
        for metric in self._one_by_one:
            metric.add(clean)
        if len(self._names) == _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Match the images that wait for it."""
        if not self._names:
            return
        batch = Batch.of(self._tables)
        self.quality.put(batch, self._names, self._refusals)
        if self._at_once:
            clean = batch if all(map(is_, self._clean, self._tables)) else Batch.of(self._clean)
            for metric in self._at_once:
                metric.add_batch(clean, self._names)
        self._clear()


def score_folders(
    folders: PanopticFolders,
    lenient: bool = False,
    threads: int | None = None,
    each: Callable[[], object] = lambda: None,
    extra: Sequence[ExtraMetric] = (),
    shard: bool = False,
) -> FolderScores:
    """PQ of all images.

    Args:
        folders: truth and predictions.
        lenient: ids that a JSON does not declare are void, segments without pixels are ignored, a missing prediction
            is an empty map; otherwise such an image is not counted. A damaged file is never pardoned.
        threads: how many images at once, one per core unless given; the result is the same to the last bit.
        each: called for every image when it is counted.
        extra: metrics that have counted nothing yet; copies of them see every image that PQ counts.
        shard: the predictions are a part; images that they lack belong to others, and are not counted.

    Raises:
        ValueError: the truth has no annotations.
    """
    if len(folders) == 0:
        raise ValueError(f"{folders.truth.source}: it has no annotations; nothing can be scored")

    def work(indices: range) -> tuple[PanopticQuality, dict[int, list[Problem]], Sequence[ExtraMetric]]:
        part = _Part(folders, lenient, extra, shard)
        for index in indices:
            part.take(index)
        part.flush()
        return part.quality, part.problems, part.extra

    qualities, faults, metrics = zip(*in_chunks(work, len(folders), threads, each, _can_be_pickled(extra)), strict=True)
    problems = (problem for part in faults for listed in part.values() for problem in listed)
    return FolderScores(
        reduce(add, qualities),
        (*(_unknown(folders) if shard else _missing(folders)), *problems),
        tuple(reduce(add, parts) for parts in zip(*metrics, strict=True)),
    )


def evaluate_folders(
    truth: Path | str,
    prediction: Path | str,
    *,
    gt_folder: Path | str | None = None,
    pred_folder: Path | str | None = None,
    lenient: bool = False,
    threads: int | None = None,
    extra: Callable[[Categories], Sequence[ExtraMetric]] = lambda _: (),
    shard: bool = False,
) -> FolderScores:
    """Score predictions in COCO panoptic format, whatever model made them.

    >>> scores = unipan.evaluate_folders("gt/panoptic.json", "predictions/panoptic.json")  # doctest: +SKIP
    >>> scores.quality.compute()["All"].pq  # doctest: +SKIP
    0.583

    Args:
        truth, prediction: two JSONs, or folders that hold panoptic.json; images are matched by id.
        gt_folder, pred_folder: their PNGs; by default the JSON's path without .json.
        lenient, threads, shard: see `score_folders`. The `quality` of all shards is added: `first + second`.
        extra: makes the metrics to be counted in addition to PQ for the dataset's categories.

    Raises:
        FileNotFoundError: a JSON is missing.
        ValueError: what is wrong with the files; with `lenient`, what cannot be ignored.
    """
    paths = [path / "panoptic.json" if path.is_dir() else path for path in map(local_path, (truth, prediction))]
    pngs = [None if folder is None else Path(folder) for folder in (gt_folder, pred_folder)]
    folders = PanopticFolders(paths[0], paths[1], pngs[0], pngs[1])
    found = score_folders(folders, lenient, threads, extra=extra(folders.categories), shard=shard)
    if not found.usable(lenient):
        raise ValueError("; ".join(each.text for each in found.problems if not (lenient and each.pardonable)))
    return found


def _can_be_pickled(extra: Sequence[ExtraMetric]) -> bool:
    """False of a metric whose class is defined inside a function, say: it is counted in this process."""
    try:
        pickle.dumps(extra)
    except Exception:  # whatever a class's own methods raise
        return False
    return True


def _compare(
    folders: PanopticFolders, index: int, truth: SegmentedImage, prediction: SegmentedImage
) -> tuple[ImagePair, list[Problem]]:
    """The overlaps of one image, a missing prediction being void, and where its JSONs and PNGs disagree."""
    assert truth.ids is not None
    ids = np.zeros_like(truth.ids) if prediction.ids is None else prediction.ids
    overlaps = Overlaps(*count_known_pairs(truth.ids, ids, truth.segments.ids, prediction.segments.ids))
    pair = ImagePair(
        folders.names[index], folders.categories, truth.ids, ids, truth.segments, prediction.segments, overlaps
    )
    return pair, [*_disagreements(truth, overlaps.truth), *_disagreements(prediction, overlaps.prediction)]


def _disagreements(side: SegmentedImage, present: Int64[np.ndarray, " N"]) -> Iterator[Problem]:
    """Ids with pixels that the JSON does not declare, and the reverse; `present` are positions as in `Overlaps`."""
    declared = side.segments.ids
    painted = np.zeros(len(declared) + 2, bool)
    painted[present] = True
    if painted[-1]:
        assert side.ids is not None
        ids = np.setdiff1d(side.ids, np.append(declared, VOID_ID)).tolist()
        what = "have pixels but are not declared" if len(ids) > 1 else "has pixels but is not declared"
        yield Problem(f"{side.source}: {_ids(ids)} {what} in the JSON", True, len(ids))
    if not painted[:-2].all():
        ids = declared[~painted[:-2]].tolist()
        what = (
            "are declared in the JSON but have no pixels"
            if len(ids) > 1
            else "is declared in the JSON but has no pixel"
        )
        yield Problem(f"{side.source}: {_ids(ids)} {what}", True, len(ids))


def _missing(folders: PanopticFolders) -> Iterator[Problem]:
    """Images without a prediction, and without a truth."""
    if folders.unpredicted:
        names = folders.unpredicted
        other = ""
        if folders.surplus:
            other = f" (it has predictions for {_ids_of(folders.surplus)}, unknown to the truth"
            other += "; `unipan predict --like` takes the truth's ids)"
        yield Problem(f"{folders.prediction.source}: no prediction for {_some(names)}{other}", True, len(names))
    if folders.unannotated:
        names = folders.unannotated
        yield Problem(f"{folders.truth.source}: no annotation of {_some(names)}", True, len(names))


def _unknown(folders: PanopticFolders) -> Iterator[Problem]:
    """Images of a shard that the truth does not have, so that no other part counts them either."""
    if folders.surplus:
        text = f"{folders.prediction.source}: it has predictions for {_ids_of(folders.surplus)}, unknown to the truth"
        yield Problem(text, True, len(folders.surplus))


def _ids_of(images: list[int | str]) -> str:
    return f"image {images[0]!r}" + (f" and {len(images) - 1} more" if len(images) > 1 else "")


def _ids(ids: list[int]) -> str:
    listed = ", ".join(str(key) for key in ids[:_LISTED_IDS])
    more = f" and {len(ids) - _LISTED_IDS} more" if len(ids) > _LISTED_IDS else ""
    return f"{'ids' if len(ids) > 1 else 'id'} {listed}{more}"


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
