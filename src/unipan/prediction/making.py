"""Segment single images and write what belongs to each alone; threads do this for several images at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unipan.evaluation.trimming import trim_stuff
from unipan.panoptic.maps import PanopticMap
from unipan.prediction.images import ImageJob
from unipan.prediction.journal import FinishedImage, Journal
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.results import ListedImage, ResultFolder
from unipan.processes import short_of_memory
from unipan.result import PanopticResult
from unipan.runtimes import AnySegmenter


@dataclass(frozen=True)
class MadeImage:
    """An image that is segmented, with what was written for it; its PNG is still to be written."""

    panoptic: PanopticMap
    written: ListedImage | None


@dataclass(frozen=True)
class FailedImage:
    """An image that could not be segmented.

    Attributes:
        reason: for the user.
        short: whether memory ran out, which it may not do where fewer images are segmented at once.
        begun: whether the journal has it as begun.
    """

    reason: str
    short: bool = False
    begun: bool = True


ImageOutcome = FinishedImage | MadeImage | FailedImage
"""Of an earlier run, of this run, or none."""
ReadyImage = tuple[ImageJob, Path | np.ndarray]
"""A job and its picture: the file, or the pixels of a video's frame."""


class ImageMaker:
    """Makes the images of one plan; it may be called from several threads."""

    def __init__(
        self,
        plan: PredictionPlan,
        segmenter: AnySegmenter,
        results: ResultFolder | None,
        journal: Journal,
        fusion: str,
        trim: int,
    ) -> None:
        """See `run_prediction`; `results` is None for a submission."""
        self.plan, self.segmenter, self.results, self.journal = plan, segmenter, results, journal
        self.fusion, self.trim = fusion, trim

    def make(self, images: Sequence[ReadyImage]) -> list[ImageOutcome]:
        """Segment images, several as one batch of the network, and write what belongs to each.

        Raises:
            OSError: a result cannot be written, or the folder has gone.
        """
        for job, _ in images:
            self.journal.begin(job)
        if len(images) > 1:
            found: list[PanopticResult | FailedImage] = self._segment_together(images)
        else:
            found = [self._attempt(*image) for image in images]
        return [
            result if isinstance(result, FailedImage) else self._write(job, result)
            for (job, _), result in zip(images, found, strict=True)
        ]

    def _segment_together(self, images: Sequence[ReadyImage]) -> list[PanopticResult | FailedImage]:
        """Those that the network takes as one batch; where that fails, each by itself, so that one fails alone."""
        try:
            batch: Any = self.segmenter  # a GPU's, so torch's
            scenes = batch.scenes([picture for _, picture in images], [job.page for job, _ in images])
            return [self._with_margin(scene.result(self.fusion)) for scene in scenes]
        except Exception:
            return [self._attempt(*image) for image in images]

    def _attempt(self, job: ImageJob, picture: Path | np.ndarray) -> PanopticResult | FailedImage:
        try:
            return self._segment(job, picture)
        except (ValueError, OSError) as error:
            return FailedImage(str(error))
        except Exception as error:  # OpenCV's and torch's have types of their own
            if short_of_memory(error):
                return FailedImage("there is too little memory for a picture of this size; try --tiles", short=True)
            if isinstance(error, RuntimeError):  # one picture's failure never ends a batch
                return FailedImage(" ".join(str(error).split())[:400])
            raise

    def _segment(self, job: ImageJob, picture: Path | np.ndarray) -> PanopticResult:
        tiles = self.plan.pictures
        if not tiles.tiles:
            one = () if job.page is None else (job.page,)
            result = self.segmenter(picture, self.fusion, *one)
        else:
            result = self.segmenter.in_tiles(
                picture, self.fusion, page=job.page, scale=tiles.scale, side=tiles.tile_side, reach=tiles.reach
            )
        return self._with_margin(result)

    def _with_margin(self, result: PanopticResult) -> PanopticResult:
        if self.plan.options.margin:
            _ = result.margin  # it is computed here, where a failure leaves out this image alone
        return result

    def _write(self, job: ImageJob, result: PanopticResult) -> MadeImage:
        self.journal.require_place()
        written = None
        if self.results is not None:
            margin = result.margin if self.plan.options.margin else None
            written = self.results.write(job, result, result.image, margin)
        # Neither the photograph nor P outlives its image.
        whole = PanopticMap(result.ids, result.segments)
        return MadeImage(trim_stuff(whole, self.trim) if self.trim else whole, written)
