"""`unipan predict CHECKPOINT IMAGE_OR_FOLDER... --out DIR`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from unipan.commands.options import Device, Folder, FusionChoice, NetworkChoice, Overwrite, RuntimeChoice, entry
from unipan.prediction.options import NOTHING_MORE, ResultOptions
from unipan.terminal import tell


def predict(
    checkpoint: NetworkChoice,
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE_OR_FOLDER...")],
    /,
    *,
    out: Folder,
    like: Annotated[Path | None, arg(metavar="GT.json", help_behavior_hint="")] = None,
    fusion: FusionChoice = None,
    device: Device = "auto",
    runtime: RuntimeChoice = "auto",
    submission: Annotated[Literal["cityscapes", "coco"] | None, arg(help_behavior_hint="")] = None,
    algorithm: str = "unipan",
    trim_stuff: Annotated[int, arg(metavar="PIXELS")] = 0,
    also: Annotated[ResultOptions, arg(name="")] = NOTHING_MORE,
    overwrite: Overwrite = False,
) -> int:
    """Segment images: DIR/panoptic.json and DIR/panoptic/*.png in COCO panoptic format, overlays, index.html.

    With --submission, DIR gets what a test server takes instead, and the archives to upload.

    Args:
        checkpoint: see `options.NetworkChoice`.
        images: photographs, or folders of them (with their subfolders).
        out: output folder, made if missing.
        like: take image ids (by file name) and categories (by name) from this ground truth, so that `unipan pq` can
            compare. For a submission to COCO image_info_test-dev2017.json: only images that it lists are segmented.
        fusion: see `options.FusionChoice`.
        device: see `options.Device`.
        runtime: see `options.RuntimeChoice`.
        submission: write for this test server, with its ids, file names and archives.
        algorithm: the name in the files of a submission to COCO.
        trim_stuff: smaller stuff segments become void in the submission (the paper's scores: 2048 on Cityscapes, 4096
            on COCO), because no server does what `unipan pq --trim-stuff` does.
        also: what else is written.
        overwrite: see `options.Overwrite`.
    """
    from unipan.prediction.plan import plan_prediction

    if trim_stuff and submission is None:
        raise ValueError("--trim-stuff: trimming is part of evaluation; use `unipan pq --trim-stuff`")
    if submission is not None and also != NOTHING_MORE:
        raise ValueError("--submission: a server takes no tables, polygons, pictures or margins; run once without it")
    plan = plan_prediction(
        checkpoint, images, out=out, like=like, server=submission, algorithm=algorithm, options=also,
        overwrite=overwrite, warn=_warn,
    )  # fmt: skip
    from rich.console import Console
    from rich.progress import track

    from unipan.prediction.run import run_prediction
    from unipan.runtimes import open_network

    tracked = track(plan.jobs, "segmenting", console=Console(stderr=True), transient=True)
    path, failed = run_prediction(plan, open_network(checkpoint, device, runtime), tracked, fusion, trim_stuff, _warn)
    count = len(plan.jobs) - failed
    tell(f"{path}: {count} image{'s' * (count != 1)}" + f", {failed} left out" * bool(failed))
    if submission is None:
        tell(f"to look at: {out / 'index.html'}")
    return int(failed > 0)


def _warn(sentence: str) -> None:
    tell(f"unipan: {sentence}", error=True)


main = entry(predict, "predict")
