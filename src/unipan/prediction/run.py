"""Segment planned images one by one and write each result as soon as it is there."""

from collections.abc import Callable, Iterable
from pathlib import Path

from unipan.config import check_fusion
from unipan.datasets.formats.format import DatasetWriter
from unipan.evaluation.trimming import trim_stuff
from unipan.inference import Segmenter
from unipan.prediction.images import ImageJob


def segment_images(
    segmenter: Segmenter,
    jobs: Iterable[ImageJob],
    writer: DatasetWriter,
    fusion: str | None = None,
    overlays: Path | None = None,
    trim: int = 0,
    warn: Callable[[str], None] = print,
) -> tuple[Path, int]:
    """Segment every image that can be read and hand the maps to a writer.

    Args:
        segmenter: whose categories the writer knows.
        jobs: the images.
        writer: of the output format; it is closed.
        fusion: by default the checkpoint's.
        overlays: folder for pictures, if wanted.
        trim: stuff segments of fewer pixels become void.
        warn: gets a sentence for each image that cannot be read.

    Returns:
        the file that the writer wrote last, and the number of images left out.

    Raises:
        ValueError: a fusion that this checkpoint cannot do.
        OSError: a result cannot be written.
    """
    check_fusion(segmenter.config, fusion or segmenter.config.inference.fusion)
    failed = 0
    for job in jobs:
        try:
            result = segmenter(job.path, fusion)
        except (ValueError, OSError) as error:
            failed += 1
            warn(f"{job.path} is left out: {error}")
            continue
        if overlays is not None:
            result.save(overlays / job.png)
        writer.add(job.name, job.image_id, trim_stuff(result, trim) if trim else result)
    return writer.close(), failed
