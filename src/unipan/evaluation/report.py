"""The folder that `--html` writes: `index.html` to look at, `images.csv` with the PQ of every image."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from unipan import __version__
from unipan.arrays import UInt8
from unipan.evaluation.bootstrap import METRICS, Interval, bootstrap_quality
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.errors import MEANINGS
from unipan.evaluation.extra_metrics import ExtraMetric
from unipan.evaluation.folder_quality import available_cores
from unipan.evaluation.matching import match_segments
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.per_image import ImageScore, image_scores, to_csv
from unipan.evaluation.pq_scores import GROUPS, ClassQuality
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.files import make_folder, write_atomically
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap
from unipan.visualization.error_map import KEYS, error_map
from unipan.visualization.evaluation_page import (
    ClassRow,
    Confusion,
    CostRow,
    EvaluationPage,
    ImageCard,
    render_evaluation,
)
from unipan.visualization.overlay import Picture, color_map
from unipan.visualization.page import Figure, Panel, ScoreRow
from unipan.visualization.palette import colors_like, segment_colors

WORST = 50
WIDTH = 480
"""Pictures on the page are at most so wide: pages of 150 pictures must still open at once."""

Maps = Callable[[str], tuple[PanopticMap, PanopticMap]]
"""Truth and prediction of an image by its name."""

SCORES_NOTE = (
    "In percent, each with its 95 % interval (bootstrap over images). Strict counts areas from the PNGs and honours "
    "every crowd; official is what panopticapi computes, shown where it differs."
)
COSTS_NOTE = (
    "What PQ would gain if this kind of error alone were repaired. The costs do not add up: PQ is a ratio, and one "
    "repair makes the next worth more or less. With everything repaired PQ is {repaired:.0f}."
)


def write_evaluation(
    folder: Path, title: str, quality: PanopticQuality, extra: Mapping[str, ExtraMetric], maps: Maps
) -> Path:
    """Write the page and the table.

    Args:
        folder: made if need be.
        title: of the page.
        quality: counted already; its images are what the page shows.
        extra: "errors" and "iou" of `extra_metrics`, of the same images.
        maps: opens an image again.

    Returns:
        the page.

    Raises:
        OSError: the folder cannot be written to.
    """
    make_folder(folder)
    rows = image_scores(quality)
    page = folder / "index.html"
    write_atomically(page, render_evaluation(evaluation_page(title, quality, extra, rows, maps)).encode())
    write_atomically(folder / "images.csv", to_csv(rows).encode())
    return page


def evaluation_page(
    title: str, quality: PanopticQuality, extra: Mapping[str, ExtraMetric], rows: list[ImageScore], maps: Maps
) -> EvaluationPage:
    """Everything on the page, as plain values."""
    errors, iou = extra["errors"], extra["iou"]
    assert isinstance(errors, ErrorDecomposition)
    assert isinstance(iou, SemanticIoU)
    costs = errors.compute()
    repaired = 100 * (costs.repaired["All"] or 0.0)
    worst = [row for row in rows if row.pq is not None and row.fp + row.fn + row.tp > 0][:WORST]
    with ThreadPoolExecutor(available_cores()) as pool:
        cards = list(pool.map(lambda row: _card(row, errors, *maps(row.image)), worst))
    kinds = [
        CostRow(kind, MEANINGS[kind], each.truths + each.predictions, each.cost["All"] or 0.0)
        for kind, each in costs.kinds.items()
    ]
    return EvaluationPage(
        title=title,
        kicker="unipan pq",
        lead=_lead(quality),
        scores=_scores(quality),
        scores_note=SCORES_NOTE,
        costs=sorted(kinds, key=lambda row: -row.cost),
        costs_note=COSTS_NOTE.format(repaired=repaired),
        classes=_classes(quality),
        confusion=_confusion(iou),
        images=cards,
        images_note=f"The {len(worst)} images with the lowest PQ of their own. All are in images.csv beside this page.",
        keys=list(KEYS.items()),
        colophon=f"Written by unipan {__version__}. The page needs nothing from outside.",
    )


def _lead(quality: PanopticQuality) -> list[str]:
    categories = quality.categories
    return [
        f"{len(quality):,} images, {len(categories.things)} thing and {len(categories.stuff)} stuff classes. A "
        "predicted segment counts as found where it covers a true one of its class by more than half (IoU above .5).",
        "PQ is the mean over classes of SQ, how well found segments are outlined, times RQ, how many were found and "
        "how many were made up.",
    ]


def _scores(quality: PanopticQuality) -> list[ScoreRow]:
    intervals, official = bootstrap_quality(quality), quality.official()
    rows = []
    if official is not None and official != quality.compute():
        figures = {}
        for group in GROUPS:
            if each := official[group]:
                figures[group] = {m.upper(): _figure(Interval(v, v, v)) for m in METRICS for v in [getattr(each, m)]}
        rows.append(ScoreRow("official", "panopticapi's rules", figures))
    strict = {
        group: {metric.upper(): _figure(each[metric]) for metric in METRICS}
        for group, each in intervals.items()
        if each is not None
    }
    return [*rows, ScoreRow("strict", "areas counted, every crowd honoured", strict)]


def _figure(interval: Interval) -> Figure:
    return Figure(interval.value, interval.low, interval.high)


def _classes(quality: PanopticQuality) -> list[ClassRow]:
    per_class = quality.compute().per_class
    return [_class_row(category, per_class[category.id]) for category in quality.categories]


def _class_row(category: Category, each: ClassQuality) -> ClassRow:
    occurs = each.tp + each.fp + each.fn > 0
    pq, sq, rq = (each.pq, each.sq, each.rq) if occurs else (None, None, None)
    return ClassRow(category.name, category.color, category.isthing, pq, sq, rq, each.tp, each.fp, each.fn)


def _confusion(found: SemanticIoU) -> Confusion:
    names = [category.name for category in found.categories]
    void = np.zeros((1, len(names) + 1))
    return Confusion([*names, "void"], np.concatenate([found.confusion.astype(np.float64), void]))


def _card(row: ImageScore, found: ErrorDecomposition, truth: PanopticMap, prediction: PanopticMap) -> ImageCard:
    matches = match_segments(truth, prediction, row.image)
    pairs = zip(matches.truth.tolist(), matches.prediction.tolist(), strict=True)
    partners = {truth.segments[t].id: prediction.segments[p].id for t, p in pairs}
    false_positives = {prediction.segments[p].id for p in matches.false_positives.tolist()}
    errors = found.images[row.image]
    names = [found.categories[index].name for index in errors.classes]
    colors, theirs = segment_colors(truth), colors_like(prediction, truth)
    panels = [
        Panel("ground truth", small(color_map(truth, colors)), f"{len(truth)} segments"),
        Panel("prediction", small(color_map(prediction, theirs)), f"{len(prediction)} segments"),
        Panel("errors", small(error_map(truth, prediction, partners, false_positives))),
    ]
    return ImageCard(row.image, row.pq or 0.0, row.tp, row.fp, row.fn, names, panels)


def small(picture: Picture) -> UInt8[np.ndarray, "tall wide 3"]:
    """At most WIDTH pixels wide; colours stay pure, as in a map."""
    height, width = picture.shape[:2]
    if width <= WIDTH:
        return picture
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
