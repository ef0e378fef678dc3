"""`unipan predict CHECKPOINT IMAGE_OR_FOLDER... --out DIR`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Checkpoint, Device, Folder, FusionChoice
from unipan.config import check_fusion

if TYPE_CHECKING:
    from unipan.datasets.formats.format import DatasetWriter
    from unipan.inference import Segmenter
    from unipan.panoptic.categories import Categories

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
"""What counts as an image inside a folder."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    return tyro.cli(predict, prog="unipan predict", args=arguments)


@dataclass(frozen=True)
class Job:
    """One image to segment: where it lies, and its name and id in the JSON."""

    path: Path
    name: str
    image_id: int | str

    @property
    def png(self) -> PurePosixPath:
        """The name of what is written for it."""
        return PurePosixPath(self.name).with_suffix(".png")


def predict(
    checkpoint: Checkpoint,
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE_OR_FOLDER...")],
    /,
    *,
    out: Folder,
    like: Annotated[Path | None, arg(metavar="GT.json", help_behavior_hint="")] = None,
    fusion: FusionChoice = None,
    device: Device = "auto",
    submission: Annotated[Literal["cityscapes", "coco"] | None, arg(help_behavior_hint="")] = None,
    algorithm: str = "unipan",
    trim_stuff: Annotated[int, arg(metavar="PIXELS")] = 0,
) -> int:
    """Segment images: DIR/panoptic.json and DIR/panoptic/*.png in COCO panoptic format, DIR/overlays/*.png to look at.

    With --submission, DIR gets what a test server takes instead, and the archives to upload.

    Args:
        checkpoint: see `options.Checkpoint`.
        images: photographs, or folders of them (with their subfolders).
        out: folder, made if missing.
        like: take image ids (by file name) and categories (by name) from this ground truth, so that
            `unipan pq GT.json DIR/panoptic.json` can compare. For a submission to COCO: image_info_test-dev2017.json,
            whose images are taken and all others left.
        fusion: see `options.FusionChoice`.
        device: see `options.Device`.
        submission: write for this test server: its ids, file names and archives.
        algorithm: its name in the file names of a submission to COCO.
        trim_stuff: stuff of fewer pixels is void in the submission (the paper's scores: 2048 on Cityscapes, 4096 on
            COCO), since no server does what `unipan pq --trim-stuff` does.
    """
    from unipan.analysis.evaluate import with_categories
    from unipan.datasets.formats.coco_panoptic import PanopticWriter
    from unipan.files import require_folder
    from unipan.inference import open_segmenter

    if submission is not None:
        from unipan.commands.submission import open_writer, plan_submission

        require_folder(out, "--out")
        jobs = plan_submission(submission, images, like)
        segmenter = open_segmenter(checkpoint, device)
        server = open_writer(submission, out, segmenter.categories, like, algorithm)
        return _segment_all(segmenter, jobs, fusion, server, None, trim_stuff)
    if trim_stuff:
        raise ValueError("--trim-stuff: trimming is evaluation, not inference; use `unipan pq --trim-stuff`")
    for part in ("panoptic", "overlays"):
        require_folder(out / part, "--out")
    jobs, categories = plan(images, like)
    segmenter = open_segmenter(checkpoint, device)
    if categories is not None:
        segmenter = with_categories(segmenter, categories)
    writer = PanopticWriter(out, segmenter.categories, scores=True)
    return _segment_all(segmenter, jobs, fusion, writer, out / "overlays")


def _segment_all(
    segmenter: "Segmenter",
    jobs: Sequence[Job],
    fusion: FusionChoice,
    writer: "DatasetWriter",
    overlays: Path | None,
    trim: int = 0,
) -> int:
    """Segment and write every image; what cannot be read is left out and makes the exit code 1."""
    from rich.console import Console
    from rich.progress import track

    from unipan.evaluation.trimming import trim_stuff

    check_fusion(segmenter.config, fusion or segmenter.config.inference.fusion)
    failed = 0
    for job in track(jobs, "segmenting", console=Console(stderr=True), transient=True):
        try:
            result = segmenter(job.path, fusion)
        except (ValueError, OSError) as error:
            failed += 1
            print(f"unipan: {job.path} is left out: {error}", file=sys.stderr)
            continue
        if overlays is not None:
            result.save(overlays / job.png)
        writer.add(job.name, job.image_id, trim_stuff(result, trim) if trim else result)
    print(f"{writer.close()}: {len(jobs) - failed} images" + f", {failed} left out" * bool(failed))
    return int(failed > 0)


def plan(images: Sequence[Path], like: Path | None) -> tuple[list[Job], "Categories | None"]:
    """What to segment, and the categories of `--like`.

    Raises:
        FileNotFoundError, ValueError: see `find_images`, `jobs_like` and `check_names`; also a broken `--like`.
    """
    from unipan.panoptic.categories import Categories
    from unipan.panoptic.coco_json import read_json, rows_of, unique_rows

    found, categories = find_images(images), None
    if like is None:
        jobs = [Job(path, name, number) for number, (path, name) in enumerate(found, start=1)]
    else:
        truth = read_json(like)
        categories = Categories.from_coco(rows_of(truth, "categories", like), str(like))
        jobs = jobs_like(found, unique_rows(rows_of(truth, "images", like), "id", "image", like), like)
    check_names(jobs)
    return jobs, categories


def find_images(given: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each image with its name: the path below its folder, or the file's own name.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: no path, or a folder without images.
    """
    found = []
    for place in given:
        if not place.exists():
            raise FileNotFoundError(f"{place}: no such file or folder")
        if not place.is_dir():
            found.append((place, place.name))
            continue
        inside = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not inside:
            raise ValueError(f"{place}: no images in this folder (looked for {', '.join(SUFFIXES)})")
        found += [(path, path.relative_to(place).as_posix()) for path in inside]
    if not found:
        raise ValueError("predict: no image was given; name files or folders after the checkpoint")
    return found


def check_names(jobs: Sequence[Job]) -> None:
    """Raises ValueError if two images would be written to one PNG, or one outside the folder."""
    from unipan.panoptic.coco_json import path_inside

    taken: dict[PurePosixPath, Path] = {}
    for job in jobs:
        path_inside(Path("panoptic"), job.name, job.path)
        other = taken.setdefault(job.png, job.path)
        if other is not job.path:
            raise ValueError(
                f"predict: {other} and {job.path} would both be written to {job.png}; rename one of them, or give "
                "them to two runs with an --out each"
            )


def jobs_like(
    found: list[tuple[Path, str]], entries: Mapping[int | str, Mapping[str, object]], like: Path
) -> list[Job]:
    """Images with the ids and names that a ground truth, listed by id, gives them.

    Raises:
        ValueError: an image that it does not have, or a file name that it has twice.
    """
    full = {str(entry.get("file_name")): key for key, entry in entries.items()}
    short: dict[str, list[str]] = {}
    for name in full:
        short.setdefault(PurePosixPath(name).name, []).append(name)
    jobs, missing = [], []
    for path, name in found:
        fitting = [name] if name in full else short.get(path.name, [])
        if len(fitting) > 1:
            raise ValueError(f"--like {like}: {path.name} stands in it {len(fitting)} times; give the folder above")
        if not fitting:
            missing.append(name)
            continue
        jobs.append(Job(path, fitting[0], full[fitting[0]]))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"--like {like}: it has no image named {missing[0]}{more}; leave out what it does not list")
    return jobs
