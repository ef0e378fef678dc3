"""The folder that `unipan pq --html` writes: `index.html` to look at, `images.csv` with the PQ of every image."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from unipan import __version__
from unipan.arrays import Int32
from unipan.evaluation.bootstrap import METRICS, Interval, Intervals
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.errors import MEANINGS, ImageErrors
from unipan.evaluation.extra_metrics import ExtraMetric
from unipan.evaluation.folders import SegmentedImage
from unipan.evaluation.matching import SegmentTable
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.per_image import ImageScore, image_scores, to_csv
from unipan.evaluation.pq_scores import GROUPS
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.files import write_atomically
from unipan.panoptic.categories import Categories
from unipan.parallel import in_chunks
from unipan.visualization.flat import ERROR_COLORS, error_map, flat_picture, resize_ids, segment_index
from unipan.visualization.pages import (
    CaptionedImage,
    ClassRow,
    ConfusionTable,
    ErrorCostRow,
    EvaluationPage,
    ImageCard,
    ScoreRow,
    data_uri,
    write_page,
)
from unipan.visualization.palette import instance_colors, partner_colors

WORST = 50
PICTURE_WIDTH = 480
"""Pixels: pictures on the page are at most this wide, so that a page of 150 opens at once."""

Images = Callable[[str], tuple[SegmentedImage, SegmentedImage]]
"""Ground truth and prediction of an image by its name, as they were counted; called from several processes."""

SCORES_NOTE = (
    "In percent, with 95 % bootstrap intervals over the images. Strict takes areas from the PNGs and lets every crowd "
    "region absorb false positives; official is what panopticapi computes, shown where it differs."
)
COSTS_NOTE = (
    "The PQ that would be gained if errors of this kind alone were repaired. The costs do not add up, because PQ is a "
    "ratio: each repair changes what the next is worth. With every error repaired, PQ is {repaired:.0f}."
)


def write_evaluation(
    folder: Path,
    title: str,
    quality: PanopticQuality,
    intervals: Intervals,
    extra: Mapping[str, ExtraMetric],
    images: Images,
) -> Path:
    """Write the page and the table; returns the page.

    Args:
        folder: made if missing.
        title: of the page.
        quality: of the images that the page shows.
        intervals: of `bootstrap_quality`.
        extra: "errors" and "iou" of `extra_metrics`, of the same images.
        images: reads one again.

    Raises:
        OSError: the folder cannot be written to.
    """
    rows = image_scores(quality)
    page = folder / "index.html"
    write_page(page, evaluation_page(title, quality, intervals, extra, rows, images))
    write_atomically(folder / "images.csv", to_csv(rows).encode())
    return page


def evaluation_page(
    title: str,
    quality: PanopticQuality,
    intervals: Intervals,
    extra: Mapping[str, ExtraMetric],
    rows: list[ImageScore],
    images: Images,
) -> EvaluationPage:
    """Everything on the page, as plain values."""
    errors, iou = extra["errors"], extra["iou"]
    assert isinstance(errors, ErrorDecomposition)
    assert isinstance(iou, SemanticIoU)
    categories, costs = quality.categories, errors.compute()
    worst = [row for row in rows if row.pq is not None and row.fp + row.fn + row.tp > 0][:WORST]

    def draw(chunk: range) -> list[ImageCard]:
        rows = worst[chunk.start : chunk.stop]
        return [_card(row, errors.images[row.image], categories, *images(row.image)) for row in rows]

    kinds = [
        ErrorCostRow(kind, MEANINGS[kind], each.truths + each.predictions, each.cost["All"] or 0.0)
        for kind, each in costs.kinds.items()
    ]
    return EvaluationPage(
        title=title,
        kicker="unipan pq",
        verb="pq",
        lead=[
            f"{len(quality):,} image{'s' * (len(quality) != 1)}, {len(categories.things)} thing and "
            f"{len(categories.stuff)} stuff classes. A predicted segment matches a ground-truth segment of its class "
            "if their IoU is above 0.5.",
            "PQ is averaged over classes. For each class it is SQ, the mean IoU of matched segments, times RQ, the F1 "
            "score of finding them.",
        ],
        scores=_scores(quality, intervals),
        scores_note=SCORES_NOTE,
        costs=sorted(kinds, key=lambda row: -row.cost),
        costs_note=COSTS_NOTE.format(repaired=100 * (costs.repaired["All"] or 0.0)),
        classes=_classes(quality),
        confusion=_confusion_table(iou),
        cards=[card for part in in_chunks(draw, len(worst)) for card in part],
        cards_note=f"The {len(worst)} images with the lowest PQ. All images are in images.csv next to this page.",
        legend=list(ERROR_COLORS.items()),
        colophon=f"Written by unipan {__version__}. This page works offline.",
    )


def _scores(quality: PanopticQuality, intervals: Intervals) -> list[ScoreRow]:
    strict = ScoreRow("strict", "areas from the PNGs, every crowd", intervals)
    official = quality.official()
    if official is None or official == quality.compute():
        return [strict]
    values = {
        group: {metric: Interval(*[getattr(each, metric)] * 3) for metric in METRICS}
        for group in GROUPS
        if (each := official[group])
    }
    return [ScoreRow("official", "the rules of panopticapi", values), strict]


def _classes(quality: PanopticQuality) -> list[ClassRow]:
    rows = []
    per_class = quality.compute().per_class
    for category in quality.categories:
        each = per_class[category.id]
        pq, sq, rq = (each.pq, each.sq, each.rq) if each.tp + each.fp + each.fn else (None, None, None)
        rows.append(ClassRow(category.name, category.color, category.isthing, pq, sq, rq, each.tp, each.fp, each.fn))
    return rows


def _confusion_table(iou: SemanticIoU) -> ConfusionTable:
    names = [category.name for category in iou.categories]
    return ConfusionTable.of([*names, "void"], np.pad(iou.confusion, ((0, 1), (0, 0))))


def _card(
    row: ImageScore, errors: ImageErrors, categories: Categories, truth: SegmentedImage, prediction: SegmentedImage
) -> ImageCard:
    sides = [_as_counted(truth, len(errors.match)), _as_counted(prediction, len(errors.spurious))]
    index, guess = (segment_index(small(ids), segments.ids.tolist()) for ids, segments in sides)
    classes, guessed = ([categories[number] for number in segments.classes.tolist()] for _, segments in sides)
    partners = {p: t for t, p in enumerate(errors.match.tolist()) if p >= 0}
    colors = partner_colors(guessed, classes, [partners.get(p) for p in range(len(guessed))])
    pictures = [
        ("ground truth", flat_picture(index, instance_colors(classes)), f"{len(classes)} segments"),
        ("prediction", flat_picture(guess, colors), f"{len(guessed)} segments"),
        ("errors", error_map(index, guess, errors.match, errors.truth_class >= 0, errors.spurious), ""),
    ]
    images = [CaptionedImage(name, data_uri(picture), detail) for name, picture, detail in pictures]
    names = [categories[number].name for number in errors.classes]
    return ImageCard(row.image, row.pq or 0.0, row.tp, row.fp, row.fn, names, images)


def _as_counted(side: SegmentedImage, count: int) -> tuple[Int32[np.ndarray, "H W"], SegmentTable]:
    """The map and the segments that were counted: all, or those with pixels where files were read leniently."""
    assert side.ids is not None
    everyone = len(side.segments) == count
    return side.ids, side.segments if everyone else side.segments[np.isin(side.segments.ids, side.ids)]


def small(ids: Int32[np.ndarray, "H W"]) -> Int32[np.ndarray, "I J"]:
    """The map, at most PICTURE_WIDTH pixels wide."""
    height, width = ids.shape
    if width <= PICTURE_WIDTH:
        return ids
    return resize_ids(ids, (max(1, round(height * PICTURE_WIDTH / width)), PICTURE_WIDTH))
