"""Segment planned images one by one and write each result as soon as it is there."""

from collections.abc import Callable, Iterable
from pathlib import Path

from unipan.config import check_fusion
from unipan.datasets.formats.format import DatasetWriter
from unipan.evaluation.trimming import trim_stuff
from unipan.inference import Segmenter
from unipan.prediction.images import ImageJob
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.results import ResultFolder
from unipan.prediction.submission import open_writer


def run_prediction(
    plan: PredictionPlan,
    segmenter: Segmenter,
    jobs: Iterable[ImageJob],
    fusion: str | None,
    trim: int,
    warn: Callable[[str], None],
) -> tuple[Path, int]:
    """Do what was planned; see `segment_images`.

    Args:
        plan: the plan.
        segmenter: of the plan's checkpoint.
        jobs: the plan's, perhaps with a progress bar around them.
        fusion, trim, warn: see `segment_images`.
    """
    fusion = check_fusion(segmenter.config, fusion or segmenter.config.inference.fusion)
    if plan.options.margin and fusion not in ("affinity", "potential"):
        raise ValueError(f"--margin: the fusion {fusion} is no argmax; give --fusion affinity or potential")
    if plan.categories is not None:
        segmenter = segmenter.with_categories(plan.categories)
    writer = open_writer(plan.server, plan.out, segmenter.categories, plan.like, plan.algorithm)
    plan.outputs.start_folder(plan.out, plan.names)
    results = None
    if plan.server is None:
        about = f"By the checkpoint {plan.checkpoint}, fusion {fusion}."
        results = ResultFolder(plan.out, plan.options, segmenter.categories, about)
    return segment_images(segmenter, jobs, writer, fusion, results, trim, warn)


def segment_images(
    segmenter: Segmenter,
    jobs: Iterable[ImageJob],
    writer: DatasetWriter,
    fusion: str | None = None,
    results: ResultFolder | None = None,
    trim: int = 0,
    warn: Callable[[str], None] = print,
) -> tuple[Path, int]:
    """Segment every image that can be read and hand the maps to a writer.

    Args:
        segmenter: whose categories the writer knows.
        jobs: the images.
        writer: of the output format; it is closed.
        fusion: by default the checkpoint's.
        results: what else is written of each image; None for a submission.
        trim: stuff segments of fewer pixels become void.
        warn: gets a sentence for each image that cannot be read.

    Returns:
        the file that the writer wrote last, and the number of images left out.

    Raises:
        ValueError: a fusion that this checkpoint cannot do, or no image could be read; the files
            of all images (panoptic.json, index.html) are as before then.
        OSError: a result cannot be written.
    """
    check_fusion(segmenter.config, fusion or segmenter.config.inference.fusion)
    with_margin = results is not None and results.options.margin
    done = failed = 0
    for job in jobs:
        try:
            result = segmenter(job.path, fusion)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:  # RuntimeError: torch got no memory
            failed += 1
            words = " ".join(str(error).split()) or "there is too little memory for it"
            warn(f"{job.path} is left out: {words[:400]}")
            continue
        if results is not None:
            results.add(job, result, result.image, result.margin if with_margin else None)
        writer.add(job.name, job.image_id, trim_stuff(result, trim) if trim else result)
        done += 1
    if not done:
        raise ValueError(f"predict: none of the {failed} images could be read; panoptic.json was not written")
    path = writer.close()
    if results is not None:
        results.close()
    return path, failed
