"""Carry out a prediction that was planned: open what it writes to, and withdraw it if nothing comes of it."""

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict

from unipan import files
from unipan.config import check_fusion
from unipan.exported.graphs import graph_files
from unipan.folder_lock import folder_lock
from unipan.prediction.journal import Journal, parents_of, run_identity
from unipan.prediction.loop import Elsewhere, ImageLoop, Prediction
from unipan.prediction.making import ImageMaker
from unipan.prediction.plan import PredictionPlan
from unipan.prediction.results import ResultFolder
from unipan.prediction.submission import open_writer
from unipan.runtimes import AnySegmenter


def run_prediction(
    plan: PredictionPlan,
    segmenter: AnySegmenter,
    fusion: str | None,
    trim: int,
    warn: Callable[[str], None],
    advance: Callable[[int, int], None] = lambda _done, _total: None,
    elsewhere: Elsewhere | None = None,
) -> Prediction:
    """Do what was planned, or what an earlier run has left of it.

    Args:
        plan: the plan.
        segmenter: of the plan's checkpoint.
        fusion: by default the checkpoint's.
        trim: stuff segments of fewer pixels become void.
        warn: gets a sentence for each image that cannot be segmented.
        advance: is called after each image, with how many are done and how many there are.
        elsewhere: has other processes make the images; by default this one does.

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
    segmenter = _with_classes(plan, segmenter)
    with folder_lock(plan.out, "--out") as left:
        if left:
            warn(left)
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
        loop = ImageLoop(ImageMaker(plan, segmenter, results, journal, fusion, trim), writer, warn, advance)
        try:
            with nullcontext(plan.jobs) if elsewhere is None else closing(elsewhere(loop)) as jobs:
                return _completed_result(plan, loop.run(jobs))
        except ValueError:
            if not loop.kept:
                journal.close()
                plan.outputs.withdraw_folder(plan.out, plan.names)
            raise


def _completed_result(plan: PredictionPlan, found: Prediction) -> Prediction:
    """What was found, after the manifest has noted what its files hold."""
    plan.outputs.finish_folder(plan.out, plan.names)
    return found


def _with_classes(plan: PredictionPlan, segmenter: AnySegmenter) -> AnySegmenter:
    """A network with the names and ids of the ground truth, if there is one."""
    if plan.categories is None:
        return segmenter
    try:
        return segmenter.with_categories(plan.categories)
    except ValueError as error:
        raise ValueError(f"--like {plan.like}: {error}, or leave out --like") from error


def open_journal(plan: PredictionPlan, segmenter: AnySegmenter, fusion: str, trim: int) -> Journal:
    """The journal of a plan; everything that decides its results besides the images is in its first line."""
    run = run_identity(
        files.network_path(plan.checkpoint),
        graphs=graph_files(plan.checkpoint) if getattr(segmenter, "graphs", None) is not None else (),
        fusion=fusion,
        trim=trim,
        bf16=segmenter.bf16,
        runtime=type(segmenter).__name__,  # torch's and onnxruntime's scores differ in the last digits
        server=plan.server,
        algorithm=plan.algorithm,
        options=asdict(plan.options),
        tiles={name: value for name, value in asdict(plan.pictures).items() if name not in ("pages", "at_once")},
        categories=segmenter.categories.to_coco(),
    )
    return Journal(plan.out, run, segmenter.categories)
