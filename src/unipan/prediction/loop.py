"""All images of a prediction, several at once, and their results in the order of the images.

A thread reads an image, runs the network, decodes P and writes the overlay, all of which let go of Python's lock; each
has one thread in torch's operations. The main thread does what has an order: it writes the panoptic PNGs, the journal
and the lists. So the result is the same file for file, however many there are at once.

Whatever ends a run early, its finished images are kept, and the same command goes on with the others.
"""

import math
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unipan.datasets.formats.format import DatasetWriter
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.pictures import IMAGE_BYTES, INPUT_BYTES
from unipan.datasets.sizes import network_size
from unipan.parallel import available_cores, torch_threads
from unipan.prediction.images import ImageJob
from unipan.prediction.journal import BEGUN, FinishedImage
from unipan.prediction.making import FailedImage, ImageMaker, ImageOutcome, MadeImage, ReadyImage
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.results import ListedImage
from unipan.prediction.submission import map_file
from unipan.processes import available_memory
from unipan.runtimes import AnySegmenter
from unipan.stopping import StoppedBySignal, StopSignals

MOST_AT_ONCE = 8
"""Images, unless --at-once says otherwise: Python's own part of the work gains from no more threads."""
AHEAD = 2
"""For each image at once, how many may be begun or wait for their turn in the order."""
SMALL_PIXELS = 1 << 20
"""Of the network's input. On a CPU a larger one runs alone, with all threads: its operations are large enough."""
MEMORY_FACTOR = 4
"""On what is estimated for the smallest network, as larger ones take more for each pixel."""
BATCH = 8
"""Images that a GPU gets at once, if they have one size."""


@dataclass(frozen=True)
class Prediction:
    """What a run has written.

    Attributes:
        path: the file that the writer wrote last.
        images: for programs, file, name, id, PNG, number of segments and their rows of each.
        left_out: images that could not be segmented, and why.
    """

    path: Path
    images: Sequence[dict[str, Any]]
    left_out: Sequence[tuple[ImageJob, str]]

    def to_json(self, page: Path | None) -> dict[str, Any]:
        """For programs; `page` is the one to look at, if there is one."""
        return {
            "panoptic": str(self.path),
            "page": None if page is None else str(page),
            "images": list(self.images),
            "left_out": [{**job.to_json(), "reason": reason} for job, reason in self.left_out],
        }


def images_at_once(plan: PredictionPlan) -> int:
    """How many images of a plan are segmented at once."""
    most = plan.pictures.at_once or min(available_cores(), MOST_AT_ONCE)
    return 1 if plan.pictures.tiles else max(1, min(most, len(plan.jobs)))


def threads_of_one(plan: PredictionPlan) -> int:
    """How many threads an operation of onnxruntime has: one where there are several images at once, or 0 for all."""
    return int(images_at_once(plan) > 1)


def runs_on_cpu(segmenter: AnySegmenter) -> bool:
    """Whether a network runs on the processor; onnxruntime's do."""
    return str(getattr(segmenter, "device", "cpu")) == "cpu"


@dataclass(frozen=True)
class BegunImages:
    """Images that a thread works on, or whose results wait for their turn.

    Attributes:
        images: with their pictures.
        outcomes: of each.
        memory: bytes that they are reckoned to take until they are made.
    """

    images: Sequence[ReadyImage]
    outcomes: "Future[list[ImageOutcome]]"
    memory: int = 0


@dataclass
class ImageLoop:
    """The loop over the images of one plan, with what it writes to.

    Attributes:
        maker: of single images.
        writer: of the panoptic maps.
        warn: gets a sentence for each image that cannot be segmented.
        advance: is called after each image, with how many are done and how many there are.
        done: how many images are finished.
        ahead: how many others are that are not listed yet, because other processes have made them.
        failed: what other processes could not make, by name, until it is listed.
        images, left_out: see `Prediction`.
    """

    maker: ImageMaker
    writer: DatasetWriter
    warn: Callable[[str], None]
    advance: Callable[[int, int], None]
    done: int = 0
    ahead: int = 0
    failed: dict[str, FailedImage] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[tuple[ImageJob, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plan, self.journal = self.maker.plan, self.maker.journal
        self.at_once = images_at_once(self.plan)
        self._on_cpu = runs_on_cpu(self.maker.segmenter)
        self._batch = 1 if self._on_cpu or self.plan.pictures.tiles else BATCH
        self._free = available_memory()
        self._begun: deque[BegunImages] = deque()
        self._group: list[ReadyImage] = []
        self._memory = 0  # of the group
        self._all_threads: int | None = None

    @property
    def kept(self) -> int:
        """How many images are finished, listed or not."""
        return self.done + self.ahead

    def run(self, jobs: Iterable[ImageJob]) -> Prediction:
        """All images; see `run_prediction`."""
        try:
            # Around all threads, because none of them may change what Python warns of for the others.
            with StopSignals() as signals, signals.deferred(), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                self._run(jobs, signals)
                with signals.at_once():
                    return self._close()
        except KeyboardInterrupt as stop:
            words = str(stop) or "interrupted"
            raise StoppedBySignal(getattr(stop, "number", 2), f"{words}: {self._how_to_go_on()}") from stop
        except OSError as error:
            raise OSError(f"{error}; {self._how_to_go_on()}") from error

    def _run(self, jobs: Iterable[ImageJob], signals: StopSignals) -> None:
        alone = self.at_once == 1 and self._batch == 1
        pool = ThreadPoolExecutor(self.at_once, "unipan predict")
        try:
            with torch_threads(None if alone else 1) as self._all_threads:
                for job in _at_once(jobs, signals):
                    signals.check()
                    self._take(job, pool, signals)
                self._submit(pool, signals)
                self._list(signals, 0)
        except StoppedBySignal as stop:
            signals.request(stop.number)  # from here on another one ends the run at once
            self._keep_running()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _take(self, job: ImageJob, pool: ThreadPoolExecutor, signals: StopSignals) -> None:
        """Begin an image, or make it here and now if it is to be alone."""
        known = self._known(job)
        picture = job.path if known is not None else _picture_of(job)
        if isinstance(picture, FailedImage):
            known, picture = picture, job.path
        if known is not None:
            self._submit(pool, signals)
            self._begun.append(BegunImages([(job, picture)], _completed(known)))
            self._list(signals, AHEAD * self.at_once)
            return
        memory, small = self._needs(job, picture)
        suspect = self.journal.ended_runs(job) > 0
        if suspect or (self._batch == 1 and (self.at_once == 1 or not small)):
            self._submit(pool, signals)
            self._list(signals, 0)
            self._make_alone((job, picture), signals, all_threads=not small)
            return
        if not small:
            self._submit(pool, signals)
        self._group.append((job, picture))
        self._memory += memory
        if not small or len(self._group) == self._batch:
            self._submit(pool, signals)

    def make_here(self, job: ImageJob) -> None:
        """Make one image in this thread, as a process of a cluster does.

        Raises:
            OSError: a result cannot be written.
        """
        outcome = self._known(job)
        if outcome is None:
            picture = _picture_of(job)
            outcome = picture if isinstance(picture, FailedImage) else self.maker.make([(job, picture)])[0]
        self._finish(job, outcome)

    def _known(self, job: ImageJob) -> ImageOutcome | None:
        """What an earlier run, or another process, has found out about an image."""
        if job.name in self.failed:
            return self.failed.pop(job.name)
        finished = self.journal.find(job)
        if finished is None and self.journal.ended_runs(job) >= BEGUN:
            reason = "two runs in a row were killed at it; most likely memory ran out, so try --tiles"
            return FailedImage(reason, begun=False)
        return finished

    def _needs(self, job: ImageJob, picture: Path | np.ndarray) -> tuple[int, bool]:
        """Bytes of memory that an image takes, and whether it is small enough to be one of several."""
        try:
            height, width = (
                image_size(picture, job.page) if isinstance(picture, Path) else (picture.shape[0], picture.shape[1])
            )
        except (ValueError, OSError):
            return 0, True  # whoever reads it says what is wrong
        pixels = math.prod(network_size(height, width, self.maker.segmenter.config.data))
        memory = IMAGE_BYTES * height * width + INPUT_BYTES * pixels * self._on_cpu
        return MEMORY_FACTOR * memory, pixels <= SMALL_PIXELS and not self.plan.pictures.tiles

    def _submit(self, pool: ThreadPoolExecutor, signals: StopSignals) -> None:
        """Give the group to a thread, as soon as there is room for it."""
        if not self._group:
            return
        (images, self._group), (memory, self._memory) = (self._group, []), (self._memory, 0)
        self._list(signals, AHEAD * self.at_once - 1)
        while self._begun and self._free is not None and self._taken() + memory > self._free // 2:
            self._list(signals, len(self._begun) - 1)
        self._begun.append(BegunImages(images, pool.submit(self.maker.make, images), memory))

    def _taken(self) -> int:
        return sum(each.memory for each in self._begun if not each.outcomes.done())

    def _make_alone(self, image: ReadyImage, signals: StopSignals, all_threads: bool) -> None:
        """In this thread, where a signal ends it at once."""
        with torch_threads(self._all_threads if all_threads else None), signals.at_once():
            outcome = self.maker.make([image])[0]
        self._finish(image[0], outcome)

    def _list(self, signals: StopSignals, left: int) -> None:
        """Wait for results, in order, until at most `left` images are begun."""
        while len(self._begun) > left:
            with signals.at_once():
                outcomes = self._begun[0].outcomes.result()
            begun = self._begun.popleft()
            for image, outcome in zip(begun.images, outcomes, strict=True):
                if isinstance(outcome, FailedImage) and outcome.short:
                    self._again_alone(image, signals)
                else:
                    self._finish(image[0], outcome)

    def _again_alone(self, image: ReadyImage, signals: StopSignals) -> None:
        """Memory may have run out because of the others: they come to their end first."""
        for other in self._begun:
            with signals.at_once():
                other.outcomes.exception()
        self.journal.leave_out(image[0])
        self._make_alone(image, signals, all_threads=False)

    def _keep_running(self) -> None:
        """After a signal: what is not begun is not, and what is comes to its end."""
        for begun in self._cancel_waiting():
            for (job, _), outcome in zip(begun.images, begun.outcomes.result(), strict=True):
                if not isinstance(outcome, FailedImage):
                    self._finish(job, outcome)

    def _cancel_waiting(self) -> list[BegunImages]:
        """Let no other image begin, and give those that a thread works on or that are made."""
        return [begun for begun in self._begun if not begun.outcomes.cancel()]

    def _finish(self, job: ImageJob, outcome: ImageOutcome) -> None:
        """List an image, and write its PNG, that of a kept one too: the list goes with it. One whose file was replaced
        while it was segmented is left out."""
        if isinstance(outcome, MadeImage) and self.journal.was_replaced(job):
            outcome = FailedImage("its file was replaced while it was segmented; give the same command again")
        if isinstance(outcome, FailedImage):
            self._leave_out(job, outcome)
        else:
            self._list_image(job, outcome)
        self.advance(self.done + len(self.left_out), len(self.plan.jobs))

    def _list_image(self, job: ImageJob, outcome: FinishedImage | MadeImage) -> None:
        panoptic, results = outcome.panoptic, self.maker.results
        written = outcome.written if isinstance(outcome, MadeImage) else None
        if isinstance(outcome, FinishedImage) and outcome.page is not None:
            written = ListedImage.of(outcome.page)
        if results is not None and written is not None:
            results.keep(job, written)
        self.journal.require_place()  # writing would make it anew
        png = map_file(self.plan.server, job, self.plan.like, self.plan.algorithm)
        self.writer.add(job.name, job.image_id, panoptic)
        if isinstance(outcome, MadeImage):
            page, files = (None, []) if written is None else (asdict(written), written.files)
            self.journal.finish(job, panoptic, png, files, page)
        self.done += 1
        rows = [segment.to_coco(score=True) for segment in panoptic]
        self.images.append(
            {**job.to_json(), "id": job.image_id, "png": png, "segments": len(rows), "segments_info": rows}
        )

    def _leave_out(self, job: ImageJob, outcome: FailedImage) -> None:
        self.left_out.append((job, outcome.reason))
        self.warn(f"{job.told} is left out: {outcome.reason.removeprefix(f'{job.told}: ')}")
        if outcome.begun:
            self.journal.leave_out(job)

    def _close(self) -> Prediction:
        if not self.done:
            count = len(self.left_out)
            what = f"none of the {count} images could" if count > 1 else "the image could not"
            raise ValueError(f"predict: {what} be read; panoptic.json was not written")
        self.journal.require_all()
        path = self.writer.close()
        if self.maker.results is not None:
            self.maker.results.close()
        self.journal.close()
        return Prediction(path, self.images, self.left_out)

    def _how_to_go_on(self) -> str:
        total = len(self.plan.jobs)
        return f"{self.kept} of {total} images are done and kept in {self.plan.out}; the same command makes the others"


Elsewhere = Callable[[ImageLoop], Generator[ImageJob, None, None]]
"""Gives all images in their order, each as soon as the loop's journal, or its `failed`, knows what became of it."""


def _at_once(jobs: Iterable[ImageJob], signals: StopSignals) -> Iterator[ImageJob]:
    """The images; a signal ends the wait for the next one."""
    remaining = iter(jobs)
    while True:
        with signals.at_once():
            job = next(remaining, None)
        if job is None:
            return
        yield job


def _picture_of(job: ImageJob) -> Path | np.ndarray | FailedImage:
    """The picture of an image; frames of a video are read here, one after the other."""
    try:
        return job.picture
    except (ValueError, OSError) as error:
        return FailedImage(str(error))


def _completed(outcome: ImageOutcome) -> "Future[list[ImageOutcome]]":
    """What is known already, instead of work."""
    future: Future[list[ImageOutcome]] = Future()
    future.set_result([outcome])
    return future
