"""`unipan predict CHECKPOINT IMAGE_OR_FOLDER... --out DIR`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Checkpoint, Device, Folder, FusionChoice

if TYPE_CHECKING:
    from unipan.data.coco_writer import PanopticWriter
    from unipan.inference import Segmenter

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


def predict(
    checkpoint: Checkpoint,
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE_OR_FOLDER...")],
    /,
    out: Folder,
    like: Annotated[Path | None, arg(metavar="GT.json", help_behavior_hint="")] = None,
    fusion: FusionChoice = None,
    device: Device = "cpu",
) -> int:
    """Segment images: DIR/panoptic.json and DIR/panoptic/*.png in COCO panoptic format, DIR/overlays/*.png to look at.

    Args:
        checkpoint: see `options.Checkpoint`.
        images: photographs, or folders of them (with their subfolders).
        out: folder, made if missing.
        like: take image ids (by file name) and categories (by name) from this ground truth, so that
            `unipan pq GT.json DIR/panoptic.json` can compare.
        fusion: see `options.FusionChoice`.
        device: see `options.Device`.
    """
    from rich.console import Console
    from rich.progress import track

    from unipan.categories import Categories
    from unipan.data.coco import read_json
    from unipan.data.coco_writer import PanopticWriter
    from unipan.engine.evaluate import with_categories
    from unipan.inference import Segmenter

    found = find_images(images)
    segmenter = Segmenter.load(checkpoint, device)
    if like is None:
        jobs = [Job(path, name, number) for number, (path, name) in enumerate(found, start=1)]
    else:
        truth = read_json(like)
        segmenter = with_categories(segmenter, Categories.from_coco(truth.get("categories", []), str(like)))
        jobs = jobs_like(found, truth.get("images", []), like)
    failed = 0
    with PanopticWriter(out, segmenter.categories, scores=True) as writer:
        for job in track(jobs, "segmenting", console=Console(stderr=True), transient=True):
            try:
                segment(segmenter, job, writer, out / "overlays", fusion)
            except (ValueError, OSError) as error:
                if fusion == "heuristic" and not segmenter.config.detection.masks:
                    raise  # not this image's fault
                failed += 1
                print(f"unipan: {job.path} is left out: {error}", file=sys.stderr)
    print(f"{out / 'panoptic.json'}: {len(jobs) - failed} images" + f", {failed} left out" * bool(failed))
    return int(failed > 0)


def segment(segmenter: "Segmenter", job: Job, writer: "PanopticWriter", overlays: Path, fusion: str | None) -> None:
    """Segment one image and write its PNG and its overlay."""
    result = segmenter(job.path, fusion)
    writer.add(job.name, job.image_id, result)
    result.save(overlays / PurePosixPath(job.name).with_suffix(".png"))


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


def jobs_like(found: list[tuple[Path, str]], entries: list[dict[str, object]], like: Path) -> list[Job]:
    """Images with the ids and names that a ground truth gives them.

    Raises:
        ValueError: an image that it does not have, or a file name that it has twice.
    """
    full = {str(entry.get("file_name")): entry for entry in entries}
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
        key = full[fitting[0]].get("id")
        if not isinstance(key, int | str):
            raise ValueError(f"--like {like}: image {fitting[0]} has no `id`")
        jobs.append(Job(path, fitting[0], key))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"--like {like}: it has no image named {missing[0]}{more}; leave out what it does not list")
    return jobs
