"""Everything about a prediction that can be known before the network is loaded: images, outputs, and what to say."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unipan import files
from unipan.outputs import Outputs
from unipan.panoptic.categories import Categories
from unipan.panoptic.segment_table import shapes_are_measured
from unipan.prediction.images import ImageJob, plan_images
from unipan.prediction.options import ResultOptions
from unipan.prediction.results import result_files
from unipan.prediction.submission import Server, plan_submission, submission_files

SCENE_NAME = re.compile(r"scene_\d{7,}\.png")
"""The files of `unipan scenes`."""


@dataclass(frozen=True)
class PredictionPlan:
    """What to segment, and where the results go.

    Attributes:
        checkpoint: a path or a bundled name.
        out: output folder.
        like: a ground truth, or a server's list of images.
        server: that takes the submission, if this is one.
        algorithm: part of the file names of a submission to COCO.
        options: what is written besides.
        jobs: the images.
        categories: of the ground truth that gives names and ids, if there is one.
        outputs: which has claimed all files.
        names: of these files.
    """

    checkpoint: str
    out: Path
    like: Path | None
    server: Server | None
    algorithm: str
    options: ResultOptions
    jobs: Sequence[ImageJob]
    categories: Categories | None
    outputs: Outputs
    names: Sequence[str]


def plan_prediction(
    checkpoint: str,
    images: Sequence[Path],
    *,
    out: Path,
    like: Path | None,
    server: Server | None,
    algorithm: str,
    options: ResultOptions,
    overwrite: bool,
    warn: Callable[[str], None],
) -> PredictionPlan:
    """Find the images and claim the outputs; nothing is made yet.

    Args:
        checkpoint, out, like, server, algorithm, options: see `PredictionPlan`.
        images: files and folders.
        overwrite: whether files that unipan did not write may be replaced.
        warn: gets sentences that do not end the run.

    Raises:
        FileNotFoundError, ValueError: see `plan_images`, `plan_submission` and `Outputs`.
    """
    for folder in (out,) if server else (out / "panoptic", out / "overlays"):
        files.require_folder(folder, "--out")
    if server is None:
        jobs, categories = plan_images(images, like)
        names = result_files([job.png for job in jobs], options)
    else:
        jobs, categories = plan_submission(server, images, like, warn), None
        names = submission_files(server, jobs, like, algorithm)
    outputs = Outputs(
        "predict", [files.network_path(checkpoint), like, *images, *(job.path for job in jobs)], overwrite
    )
    outputs.claim_folder(out, "--out", names)
    if sentence := drawings_note(checkpoint, jobs):
        warn(sentence)
    if options.csv and not shapes_are_measured():
        warn('note: perimeter and eccentricity stay empty without scikit-image: pip install "unipan[measure]"')
    return PredictionPlan(checkpoint, out, like, server, algorithm, options, jobs, categories, outputs, names)


def drawings_note(checkpoint: str, jobs: Sequence[ImageJob]) -> str | None:
    """What to say where a bundled checkpoint, which knows drawings alone, meets a picture that is none."""
    if checkpoint not in files.bundled_checkpoints():
        return None
    others = [job for job in jobs if SCENE_NAME.fullmatch(job.path.name) is None]
    if not others:
        return None
    return (
        f"note: the bundled checkpoint {checkpoint} was trained on drawn street scenes, and {others[0].path} is none "
        "of `unipan scenes`: on photographs its results mean little; train on yours (`unipan train finetune`), or use "
        "public weights (`unipan import`)"
    )
