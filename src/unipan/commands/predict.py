"""`unipan predict CHECKPOINT IMAGE_OR_FOLDER... --out DIR`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import (
    Device,
    Folder,
    FusionChoice,
    JsonFile,
    NetworkChoice,
    Overwrite,
    PrecisionChoice,
    RuntimeChoice,
    SubmissionChoice,
    entry,
)
from unipan.prediction.options import HERE, NOTHING_MORE, WHOLE, ClusterOptions, PictureOptions, ResultOptions
from unipan.terminal import tell

if TYPE_CHECKING:
    from unipan.prediction.loop import Prediction


def predict(
    checkpoint: NetworkChoice,
    images: Annotated[Positional[tuple[str, ...]], arg(metavar="IMAGE_OR_FOLDER...", help_behavior_hint="(required)")],
    /,
    *,
    out: Folder,
    like: Annotated[Path | None, arg(metavar="GT.json", help_behavior_hint="")] = None,
    fusion: FusionChoice = None,
    device: Device = "auto",
    precision: PrecisionChoice = "32",
    runtime: RuntimeChoice = "auto",
    submission: SubmissionChoice = None,
    algorithm: str = "unipan",
    trim_stuff: Annotated[int, arg(metavar="PIXELS")] = 0,
    pictures: Annotated[PictureOptions, arg(name="")] = WHOLE,
    also: Annotated[ResultOptions, arg(name="")] = NOTHING_MORE,
    cluster: Annotated[ClusterOptions, arg(name="")] = HERE,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
) -> Outcome:
    """Segment images. DIR gets panoptic.json and panoptic/*.png in COCO panoptic format, overlays and index.html.

    With --submission, DIR gets the files and archives for a test server instead.

    Args:
        checkpoint: see `options.NetworkChoice`.
        images: Photographs, videos, folders (searched recursively) or quoted patterns ('a/**/*.jpg'); - reads a list of
            them from standard input.
        out: Output folder, created if missing.
        like: Take image ids (by file name) and categories (by name) from this ground truth, so that `unipan pq` can
            compare. For a submission to COCO, give image_info_test-dev2017.json; its images alone are segmented.
        fusion: see `options.FusionChoice`.
        runtime: see `options.RuntimeChoice`.
        submission: see `options.SubmissionChoice`.
        algorithm: Name of the method in the files of a submission to COCO.
        trim_stuff: With --submission, smaller stuff segments become void (in the paper, 2048 on Cityscapes and 4096 on
            COCO), because test servers do not trim as `unipan pq --trim-stuff` does.
        pictures: Pages and tiles.
        also: Further files to write.
        cluster: Run on a Ray cluster.
        overwrite: see `options.Overwrite`.
    """
    from unipan.prediction.given import given_paths, path_lines
    from unipan.prediction.plan import plan_prediction

    if trim_stuff and submission is None:
        raise ValueError("--trim-stuff: trimming is part of evaluation; use `unipan pq --trim-stuff`")
    lines = path_lines(None if sys.stdin is None else sys.stdin.buffer.readline)
    given = given_paths(images, lines, cluster.ray is not None)
    plan = plan_prediction(
        checkpoint, given, cluster=cluster, out=out, like=like, server=submission, algorithm=algorithm,
        options=also, pictures=pictures, overwrite=overwrite, warn=_warn, json_file=json_file,
    )  # fmt: skip
    from unipan.commands.progress import progress_of
    from unipan.prediction.cluster import carry_out

    with progress_of("segmenting", len(plan.jobs), "images/s") as advance:
        done = carry_out(plan, cluster, device, runtime, precision, fusion, trim_stuff, warn=_warn, advance=advance)
    return _outcome(done, None if submission else out / "index.html")


def _outcome(done: "Prediction", page: Path | None) -> Outcome:
    """Say what was written, what was left out, and where to look."""
    count, failed = len(done.images), [job.source for job, _ in done.left_out]
    rest = f", {len(failed)} left out: {', '.join(failed)}" * bool(failed)
    tell(f"{done.path}: {count} image{'s' * (count != 1)}{rest}")
    if page is not None:
        tell(f"page: {page}")
    return Outcome(done.to_json(page), int(bool(failed)))


def _warn(sentence: str) -> None:
    tell(f"unipan: {sentence}", error=True)


main = entry(predict, "predict")
