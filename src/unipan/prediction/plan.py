"""Everything about a prediction that can be known before the network is loaded: images, outputs, and what to say."""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unipan import files
from unipan.checkpoint_header import read_header
from unipan.outputs import Outputs, written_names
from unipan.panoptic.categories import Categories
from unipan.panoptic.image_files import is_geotiff, open_image, told_of_damage
from unipan.panoptic.images import WHOLE_RANGE, go_to_page, is_animation, is_deep, rgb_of_pil
from unipan.panoptic.segment_table import shapes_are_measured
from unipan.prediction.images import ImageJob, plan_images
from unipan.prediction.options import (
    HERE,
    NOTHING_MORE,
    ClusterOptions,
    PictureOptions,
    ResultOptions,
    check_cluster,
    check_overlays,
    check_pictures,
)
from unipan.prediction.parquet import is_remote, plan_remote
from unipan.prediction.passed_over import passed_over_notes
from unipan.prediction.results import result_files
from unipan.prediction.submission import Server, plan_submission, submission_files

SCENE_NAME = re.compile(r"scene_\d{7,}\.png")
"""The files of `unipan scenes`."""
MOST_LOOKED_AT = 20
"""Pictures whose depth is looked at before the first is segmented."""
FEW_LEVELS = 64
"""Grey levels below which a picture of 16 bits has lost most of what it shows."""


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
        pictures: which pictures files hold, and whether they are cut into tiles.
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
    pictures: PictureOptions
    jobs: Sequence[ImageJob]
    categories: Categories | None
    outputs: Outputs
    names: Sequence[str]


def plan_prediction(
    checkpoint: str,
    images: Sequence[Path | str],
    *,
    out: Path,
    like: Path | None,
    server: Server | None,
    algorithm: str,
    options: ResultOptions,
    pictures: PictureOptions,
    overwrite: bool,
    warn: Callable[[str], None],
    json_file: Path | None = None,
    cluster: ClusterOptions = HERE,
) -> PredictionPlan:
    """Find the images and claim the outputs; nothing is made yet.

    Args:
        checkpoint, out, like, server, algorithm, options, pictures: see `PredictionPlan`.
        images: files and folders; for a cluster also addresses.
        overwrite: whether files that unipan did not write may be replaced.
        warn: gets sentences that do not end the run.
        json_file: what `--json` writes, if it is a file.
        cluster: whether there is one, and what it reads.

    Raises:
        FileNotFoundError, ValueError: see `plan_images`, `plan_remote`, `plan_submission` and `Outputs`.
    """
    check_pictures(pictures)
    check_overlays(options)
    check_cluster(cluster)
    if server is not None and options != NOTHING_MORE:
        raise ValueError("--submission: a server takes no tables, polygons, pictures or margins; run once without it")
    if server is not None and pictures.pages is not None:
        raise ValueError("--submission: the images of a test server have one page; leave out --pages")
    paths = [path for path in images if isinstance(path, Path)]
    _spare_truths(paths, out)
    for folder in (out,) if server else (out / "panoptic", out / "overlays"):
        files.require_folder(folder, "--out")
    if cluster.ray is not None and is_remote(images):
        if server is not None or pictures.pages is not None:
            raise ValueError("--ray: --submission and --pages take files and folders, no tables and no addresses")
        jobs, categories = plan_remote(images, like, cluster)
    elif server is None:
        jobs, categories = plan_images(paths, like, pictures.pages)
    else:
        jobs, categories = plan_submission(server, paths, like, warn), None
    names = result_files(jobs, options) if server is None else submission_files(server, jobs, like, algorithm)
    outputs = Outputs("predict", [files.network_path(checkpoint), like, *paths, *(job.path for job in jobs)], overwrite)
    outputs.claim_folder(out, "--out", names)
    outputs.claim_optional(json_file, "--json")
    for note in _notes(checkpoint, jobs, options):
        warn(note)
    for note in passed_over_notes(paths):
        warn(note)
    for note in _truth_notes(paths) if like is None and server is None else ():
        warn(note)
    return PredictionPlan(checkpoint, out, like, server, algorithm, options, pictures, jobs, categories, outputs, names)


def _notes(checkpoint: str, jobs: Sequence[ImageJob], options: ResultOptions) -> Iterator[str]:
    """What is to be said before the first image."""
    if sentence := drawings_note(checkpoint, jobs):
        yield sentence
    if sentence := depth_note(checkpoint, jobs):
        yield sentence
    if (georeferenced := next((job.path for job in jobs if _is_geotiff(job.path)), None)) is not None:
        yield f"note: {georeferenced} is a GeoTIFF; its coordinates are not read, and all results are in pixels"
    if sentence := animations_note(jobs):
        yield sentence
    if options.csv and not shapes_are_measured():
        yield 'note: perimeter and eccentricity stay empty without scikit-image: pip install "unipan[measure]"'


def _truth_notes(paths: Sequence[Path]) -> Iterator[str]:
    """Where folders are the images of a dataset, without whose ids `unipan pq` cannot compare."""
    for truth in _truths(path for path in paths if path.name == "images"):
        named = shlex.quote(str(truth))
        yield f"note: if `unipan pq` is to compare the result with {truth}, add --like {named} for its image ids"


def _truths(paths: Iterable[Path]) -> list[Path]:
    """The ground truths of datasets whose images, or some of them, are given; a result of ours is none."""
    places = dict.fromkeys(
        place.parent for path in paths for place in (path, *path.absolute().parents) if place.name == "images"
    )
    return [
        place / "panoptic.json"
        for place in places
        if (place / "panoptic.json").is_file() and written_names(place).get("panoptic.json") != "predict"
    ]


def _spare_truths(paths: Iterable[Path], out: Path) -> None:
    """Raises ValueError if results would be written over the ground truth of the images. It is not read, so that
    --overwrite would replace what took weeks to draw."""
    for truth in _truths(Path(os.path.realpath(path)) for path in paths):
        if out.exists() and out.samefile(truth.parent):
            raise ValueError(f"--out {out}: its panoptic.json is the ground truth of these images; give another folder")


def _is_geotiff(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff") and is_geotiff(path)


def animations_note(jobs: Sequence[ImageJob]) -> str | None:
    """What to say where an animation gives its first frame; for APNGs all PNGs would have to be opened."""
    found = [
        job.path
        for job in jobs
        if job.page is None
        and job.broken is None
        and job.path.suffix.lower() in (".gif", ".webp")
        and is_animation(job.path)
    ]
    if not found:
        return None
    more = f" and {len(found) - 1} more" * (len(found) > 1)
    return f"note: {found[0]}{more}: of an animation the first frame is segmented; --pages all takes every frame"


def depth_note(checkpoint: str, jobs: Sequence[ImageJob]) -> str | None:
    """What to say where a checkpoint without a window meets a picture of 16 bits whose values may lie close together.

    Only PNGs and TIFFs have as many bits; the first few are looked at, and of one the pixels.
    """
    likely = [job for job in jobs if job.broken is None and job.path.suffix.lower() in (".png", ".tif", ".tiff")]
    for job in likely[:MOST_LOOKED_AT]:
        levels = _levels_of_deep(job)
        if levels is not None and levels < FEW_LEVELS:
            path = files.network_path(checkpoint)
            if path.suffix != ".safetensors" or read_header(path)[0].data.window != WHOLE_RANGE:
                return None
            return (
                f"note: {job.source} has more than 8 bits a channel, and the checkpoint {checkpoint} has no window for "
                f"them (data.window): of its values {levels} grey levels remain; save it with 8 bits and the contrast "
                "that you see, or train a checkpoint with a window (`unipan train finetune`)"
            )
    return None


def _levels_of_deep(job: ImageJob) -> int | None:
    """How many values of 8 bits a picture of more bits becomes; None for any other picture, or a broken one."""
    try:
        with told_of_damage(job.path), open_image(job.path) as image:
            if not is_deep(image):
                return None
            go_to_page(image, job.path, job.page)
            return len(np.unique(rgb_of_pil(image, job.source)))
    except (ValueError, OSError):
        return None


def drawings_note(checkpoint: str, jobs: Sequence[ImageJob]) -> str | None:
    """What to say where a bundled checkpoint, which knows drawings alone, meets a picture that is none."""
    if checkpoint not in files.bundled_checkpoints():
        return None
    others = [job for job in jobs if SCENE_NAME.fullmatch(job.path.name) is None]
    if not others:
        return None
    return (
        f"note: the bundled checkpoint {checkpoint} was trained on drawn street scenes, and {others[0].source} is none "
        "of `unipan scenes`: on photographs its results mean little; train on yours (`unipan train finetune`), or use "
        "public weights (`unipan import`)"
    )
