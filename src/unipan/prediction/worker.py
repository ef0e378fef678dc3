"""A process of a cluster that segments images for `predict --ray`: the network is loaded once, then batches come.

It does with each image what `predict` does without a cluster, and reports what became of it. Nothing is raised but what
is a fault of the program: Ray ends the whole job for one exception, and tries a lost batch again without end.
"""

import json
import os
import pickle
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from unipan import __version__
from unipan.config import Precision, Runtime
from unipan.prediction.images import ImageJob
from unipan.prediction.journal import JOURNAL, Journal
from unipan.prediction.loop import ImageLoop
from unipan.prediction.making import ImageMaker
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.remote import fetched
from unipan.prediction.results import ResultFolder
from unipan.prediction.submission import open_writer
from unipan.processes import short_of_memory
from unipan.runtimes import open_network

JOB, REPORT = "job", "report"
"""The columns of what a worker gets and gives."""


@dataclass(frozen=True)
class Order:
    """What a worker has to know.

    Attributes:
        plan: without its images.
        run: of the journal.
        device, runtime, precision: of the network.
        fusion: None is the checkpoint's own.
        trim: stuff segments of fewer pixels become void.
        folder: where the command was given, for relative paths.
        version: of unipan there.
    """

    plan: PredictionPlan
    run: dict[str, Any]
    device: str
    runtime: Runtime
    precision: Precision
    fusion: str | None
    trim: int
    folder: str
    version: str = __version__


class ImageWorker:
    """Segments batches: called with a table of images, it gives a table of reports.

    A report is the JSON of `name` (of the image) with `done` (its line of the journal) or `left_out` (why); or of
    `stop`, why nothing can be done here, and `worker`, where.
    """

    def __init__(self, order: Order, shard: str | None = None) -> None:
        """Nothing is loaded yet; by default `shard` is the name that Ray gives to this process."""
        self._order, self._shard = order, shard
        self._loop: ImageLoop | None = None

    def __call__(self, batch: Any) -> dict[str, list[str]]:
        """Segment the images of an Arrow table."""
        return {REPORT: [json.dumps(self._report(pickle.loads(each))) for each in batch[JOB].to_pylist()]}

    def _report(self, job: ImageJob) -> dict[str, Any]:
        try:
            loop = self._loop = self._loop or self._open()
            with fetched(job) as (image, in_words):
                if loop.journal.line_of(image) is None:  # a worker that was killed gets its batch again
                    loop.make_here(image)
                line = loop.journal.line_of(image)
                if line is not None:
                    return {"name": job.name, "done": line}
                out = bool(loop.left_out) and loop.left_out[-1][0] is image
                reason = in_words(loop.left_out[-1][1]) if out else "it changed while it was segmented"
                return {"name": job.name, "left_out": reason}
        except (ValueError, OSError, ImportError) as error:
            return {"stop": " ".join(str(error).split()), "worker": socket.gethostname()}
        except (MemoryError, RuntimeError) as error:
            if not short_of_memory(error):
                raise
            return {"stop": "there is too little memory for the network", "worker": socket.gethostname()}

    def _open(self) -> ImageLoop:
        """Load the network, and open a shard of the journal."""
        order, plan = self._order, self._order.plan
        if order.version != __version__:
            raise ValueError(f"unipan {__version__} is installed here, and the command is of {order.version}")
        with suppress(OSError):  # absolute paths work without it
            os.chdir(order.folder)
        if not (plan.out / JOURNAL).is_file():
            raise FileNotFoundError(f"--out {plan.out}: this folder is not here; give one that all machines share")
        segmenter = open_network(plan.checkpoint, order.device, order.runtime, order.precision, threads=1)
        if plan.categories is not None:
            segmenter = segmenter.with_categories(plan.categories)
        writer = open_writer(plan.server, plan.out, segmenter.categories, plan.like, plan.algorithm)
        results = None if plan.server else ResultFolder(plan.out, plan.options, segmenter.categories, "")
        journal = Journal(plan.out, order.run, segmenter.categories, self._shard or _name_by_ray())
        fusion = order.fusion or segmenter.config.inference.fusion
        maker = ImageMaker(plan, segmenter, results, journal, fusion, order.trim)
        return ImageLoop(maker, writer, lambda _: None, lambda _done, _total: None)


def rows_of_jobs(jobs: Sequence[ImageJob]) -> list[dict[str, bytes]]:
    """Images for workers, one row each."""
    return [{JOB: pickle.dumps(job)} for job in jobs]


def _name_by_ray() -> str:
    """The same for a worker that Ray begins anew after it was killed, so that it finds what it had begun."""
    import ray

    return str(ray.get_runtime_context().get_actor_id())
