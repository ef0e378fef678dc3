"""Segment planned images one by one and write each result as soon as it is there.

Whatever ends a run early, its finished images are kept, and the same command goes on with the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unipan import files
from unipan.config import check_fusion
from unipan.datasets.formats.format import DatasetWriter
from unipan.evaluation.trimming import trim_stuff
from unipan.folder_lock import folder_lock
from unipan.prediction.images import ImageJob
from unipan.prediction.journal import Journal, parents_of, run_identity
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.results import ListedImage, ResultFolder
from unipan.prediction.submission import map_file, open_writer
from unipan.processes import short_of_memory
from unipan.result import PanopticResult
from unipan.runtimes import AnySegmenter
from unipan.stopping import StoppedBySignal, StopSignals


@dataclass(frozen=True)
class Prediction:
    """What a run has written.

    Attributes:
        path: the file that the writer wrote last.
        images: for programs, file, id, PNG and number of segments of each.
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
            "left_out": [{"file": job.source, "name": job.name, "reason": reason} for job, reason in self.left_out],
        }


def run_prediction(
    plan: PredictionPlan,
    segmenter: AnySegmenter,
    jobs: Iterable[ImageJob],
    fusion: str | None,
    trim: int,
    warn: Callable[[str], None],
    elsewhere: "Elsewhere | None" = None,
) -> Prediction:
    """Do what was planned, or what an earlier run has left of it.

    Args:
        plan: the plan.
        segmenter: of the plan's checkpoint.
        jobs: the plan's, perhaps with a progress bar around them.
        fusion: by default the checkpoint's.
        trim: stuff segments of fewer pixels become void.
        warn: gets a sentence for each image that cannot be segmented.
        elsewhere: has images segmented by other processes first; by default this one does it.

    Returns:
        what was written, and what was left out.

    Raises:
        ValueError: a fusion that this checkpoint cannot do, another process that writes there, or no image could be
            read; the files of all images (panoptic.json, index.html) are as before then.
        OSError: a result cannot be written, or has gone.
        StoppedBySignal: SIGINT or SIGTERM came.
    """
    fusion = check_fusion(segmenter.config, fusion or segmenter.config.inference.fusion)
    if plan.options.margin and fusion not in ("affinity", "potential"):
        raise ValueError(f"--margin: the fusion {fusion} is no argmax; give --fusion affinity or potential")
    if plan.pictures.tiles:
        segmenter.check_tiling(fusion, plan.pictures.scale, plan.pictures.tile_side)
    if plan.categories is not None:
        segmenter = segmenter.with_categories(plan.categories)
    with folder_lock(plan.out, "--out"):
        writer = open_writer(plan.server, plan.out, segmenter.categories, plan.like, plan.algorithm)
        plan.outputs.start_folder(plan.out, plan.names)
        for folder in parents_of(plan.out, plan.names):
            files.remove_leftovers(folder)
        results = None
        if plan.server is None:
            about = f"By the checkpoint {plan.checkpoint}, fusion {fusion}{', in tiles' * plan.pictures.tiles}."
            results = ResultFolder(plan.out, plan.options, segmenter.categories, about)
        journal = open_journal(plan, segmenter, fusion, trim)
        if journal.replaced:
            warn(f"note: {plan.out} has images of an unfinished run with other settings; all are made again")
        loop = ImageLoop(plan, segmenter, writer, results, journal, warn)
        try:
            return loop.run(jobs if elsewhere is None else elsewhere(loop, jobs), fusion, trim)
        except ValueError:
            if not loop.kept:
                journal.close()
                plan.outputs.withdraw_folder(plan.out, plan.names)
            raise


def open_journal(plan: PredictionPlan, segmenter: AnySegmenter, fusion: str, trim: int) -> Journal:
    """The journal of a plan; everything that decides its results besides the images is in its first line."""
    run = run_identity(
        files.network_path(plan.checkpoint),
        fusion=fusion,
        trim=trim,
        bf16=segmenter.bf16,
        server=plan.server,
        algorithm=plan.algorithm,
        options=asdict(plan.options),
        tiles=asdict(replace(plan.pictures, pages=None)),
        categories=segmenter.categories.to_coco(),
    )
    return Journal(plan.out, run, segmenter.categories)


Elsewhere = Callable[["ImageLoop", Iterable[ImageJob]], Iterable[ImageJob]]
"""Gives images in their order, each as soon as the loop's journal knows that another process has finished it."""


class ImageLoop:
    """The loop over the images of one plan, with what it writes to."""

    def __init__(
        self,
        plan: PredictionPlan,
        segmenter: AnySegmenter,
        writer: DatasetWriter,
        results: ResultFolder | None,
        journal: Journal,
        warn: Callable[[str], None],
    ) -> None:
        """`results` is None for a submission; for the others see `run_prediction`."""
        self.plan, self.segmenter, self.writer = plan, segmenter, writer
        self.results, self.journal, self.warn = results, journal, warn
        self.done, self.images, self.left_out = 0, list[dict[str, Any]](), list[tuple[ImageJob, str]]()
        self.ahead = 0

    @property
    def kept(self) -> int:
        """How many images are done: those listed, and those that others have finished ahead of their turn."""
        return self.done + self.ahead

    def run(self, jobs: Iterable[ImageJob], fusion: str, trim: int) -> Prediction:
        """All images; see `run_prediction`."""
        try:
            with StopSignals():
                for job in jobs:
                    if not self._take_over(job):
                        self.make(job, fusion, trim)
                return self._close()
        except KeyboardInterrupt as stop:
            words = str(stop) or "interrupted"
            raise StoppedBySignal(getattr(stop, "number", 2), f"{words}: {self._how_to_go_on()}") from stop
        except OSError as error:
            raise OSError(f"{error}; {self._how_to_go_on()}") from error

    def _take_over(self, job: ImageJob) -> bool:
        """Whether an earlier run has finished this image, which is then listed."""
        found = self.journal.find(job)
        if found is None:
            return False
        if self.results is not None and found.page is not None:
            self.results.keep(job, ListedImage.of(found.page))
        self.writer.add(job.name, job.image_id, found.panoptic)
        self._count(job, len(found.panoptic))
        return True

    def make(self, job: ImageJob, fusion: str, trim: int) -> None:
        """Segment one image and write what belongs to it, or leave it out.

        Raises:
            OSError: a result cannot be written.
        """
        if not self.journal.begin(job):
            self.leave_out(job, "two runs in a row were killed at it; most likely memory ran out, so try --tiles")
            return
        margin = None
        try:
            result = self._segment(job, fusion)
            if self.plan.options.margin:
                margin = result.margin
        except (ValueError, OSError) as error:
            self.leave_out(job, str(error))
            self.journal.leave_out(job)
            return
        except Exception as error:  # OpenCV's and torch's have types of their own
            if short_of_memory(error):
                self.leave_out(job, "there is too little memory for a picture of this size; try --tiles")
            elif isinstance(error, RuntimeError):  # one picture's failure never ends a batch
                self.leave_out(job, " ".join(str(error).split())[:400])
            else:
                raise
            self.journal.leave_out(job)
            return
        self._write(job, result, margin, trim)

    def _segment(self, job: ImageJob, fusion: str) -> PanopticResult:
        tiles = self.plan.pictures
        if not tiles.tiles:
            one = () if job.page is None else (job.page,)
            return self.segmenter(job.picture, fusion, *one)
        return self.segmenter.in_tiles(
            job.picture, fusion, page=job.page, scale=tiles.scale, side=tiles.tile_side, reach=tiles.reach
        )

    def _write(self, job: ImageJob, result: PanopticResult, margin: np.ndarray | None, trim: int) -> None:
        self.journal.require_place()
        written = None
        if self.results is not None:
            written = self.results.add(job, result, result.image, margin)
        panoptic = trim_stuff(result, trim) if trim else result
        self.writer.add(job.name, job.image_id, panoptic)
        name = map_file(self.plan.server, job, self.plan.like, self.plan.algorithm)
        page = None if written is None else asdict(written)
        self.journal.finish(job, panoptic, name, [] if written is None else written.files, page)
        self._count(job, len(panoptic))

    def _count(self, job: ImageJob, segments: int) -> None:
        self.done += 1
        png = map_file(self.plan.server, job, self.plan.like, self.plan.algorithm)
        self.images.append({"file": job.source, "id": job.image_id, "png": png, "segments": segments})

    def leave_out(self, job: ImageJob, reason: str) -> None:
        """Say that an image is not in the result, and why."""
        self.left_out.append((job, reason))
        page = "" if job.page is None else f", page {job.page},"
        self.warn(f"{job.source}{page} is left out: {reason}")

    def _close(self) -> Prediction:
        if not self.done:
            count = len(self.left_out)
            raise ValueError(f"predict: none of the {count} images could be read; panoptic.json was not written")
        self.journal.require_all()
        path = self.writer.close()
        if self.results is not None:
            self.results.close()
        self.journal.close()
        return Prediction(path, self.images, self.left_out)

    def _how_to_go_on(self) -> str:
        total = len(self.plan.jobs)
        return f"{self.kept} of {total} images are done and kept in {self.plan.out}; the same command makes the others"
