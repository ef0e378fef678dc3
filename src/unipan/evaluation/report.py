"""The folder that `unipan pq --html` writes: `index.html` to look at, `images.csv` with the PQ of every image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unipan import __version__
from unipan.evaluation.bootstrap import METRICS, Interval, Intervals, paired_bootstrap_pq
from unipan.evaluation.error_cards import Images, error_card
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.errors import MEANINGS
from unipan.evaluation.extra_metrics import ExtraMetric
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.per_image import ImageScore, image_scores, to_csv
from unipan.evaluation.photographs import PhotographFolder
from unipan.evaluation.pq_scores import GROUPS
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.evaluation.summary import OtherPrediction
from unipan.files import write_atomically
from unipan.parallel import in_chunks
from unipan.visualization.flat import ERROR_COLORS
from unipan.visualization.pages import (
    ClassRow,
    ComparisonRow,
    ConfusionTable,
    ErrorCostRow,
    EvaluationPage,
    ImageCard,
    MetricRow,
    ScoreRow,
    write_page,
)
from unipan.visualization.palette import quiet

WORST = 50
SCORES_NOTE = (
    "In percent, with 95 % bootstrap intervals over the images. Strict takes areas from the PNGs and lets every crowd "
    "region absorb false positives; official is what panopticapi computes, shown where it differs."
)
METRICS_NOTE = "Boundary PQ takes longer than all else on this page: add --explain to have it here."
COSTS_NOTE = (
    "The PQ that would be gained if errors of this kind alone were repaired. The costs do not add up, because PQ is a "
    "ratio: each repair changes what the next is worth. With every error repaired, PQ is {repaired:.0f}."
)


@dataclass(frozen=True)
class PageSource:
    """Where the pictures of a page come from.

    Attributes:
        images: reads truth and prediction of an image again.
        photographs: finds its photograph, if there are any.
    """

    images: Images
    photographs: PhotographFolder | None = None


def write_evaluation(
    folder: Path,
    title: str,
    quality: PanopticQuality,
    intervals: Intervals,
    extra: Mapping[str, ExtraMetric],
    source: PageSource,
    other: OtherPrediction | None = None,
) -> Path:
    """Write the page and the table; returns the page.

    Args:
        folder: made if missing.
        title: of the page.
        quality: of the images that the page shows.
        intervals: of `bootstrap_quality`.
        extra: those of `extra_metrics` for a page, of the same images.
        source: of the pictures.
        other: another prediction for the same images.

    Raises:
        OSError: the folder cannot be written to.
    """
    rows = image_scores(quality)
    page = folder / "index.html"
    write_page(page, evaluation_page(title, quality, intervals, extra, rows, source, other))
    write_atomically(folder / "images.csv", to_csv(rows).encode())
    return page


def evaluation_page(
    title: str,
    quality: PanopticQuality,
    intervals: Intervals,
    extra: Mapping[str, ExtraMetric],
    rows: list[ImageScore],
    source: PageSource,
    other: OtherPrediction | None = None,
) -> EvaluationPage:
    """Everything on the page, as plain values."""
    errors, iou = extra["errors"], extra["iou"]
    assert isinstance(errors, ErrorDecomposition)
    assert isinstance(iou, SemanticIoU)
    categories, costs = quality.categories, errors.compute()
    worst = [row for row in rows if row.pq is not None and row.fp + row.fn + row.tp > 0][:WORST]

    def draw(chunk: range) -> list[ImageCard]:
        found = []
        for row in worst[chunk.start : chunk.stop]:
            photo = None if source.photographs is None else source.photographs(row.image)
            found.append(error_card(row, errors.images[row.image], categories, *source.images(row.image), photo))
        return found

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
        metrics=_other_metrics(extra),
        metrics_note="" if "boundary" in extra else METRICS_NOTE,
        comparison=[] if other is None else _comparison(quality, other),
        other="" if other is None else other.name,
        scores_note=SCORES_NOTE,
        costs=sorted(kinds, key=lambda row: -row.cost),
        costs_note=COSTS_NOTE.format(repaired=100 * (costs.repaired["All"] or 0.0)),
        classes=_classes(quality),
        confusion=_confusion_table(iou),
        cards=[card for part in in_chunks(draw, len(worst)) for card in part],
        cards_note=_cards_note(len(worst), len(quality)),
        legend=list(ERROR_COLORS.items()),
        colophon=f"Written by unipan {__version__}. This page works offline.",
    )


def _cards_note(shown: int, count: int) -> str:
    table = "images.csv next to this page"
    if shown < count:
        return f"The {shown} image{'s' * (shown != 1)} with the lowest PQ. All {count:,} are in {table}."
    return f"{f'All {count} images, lowest PQ first' if count > 1 else 'The one image'}; also in {table}."


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


def _other_metrics(extra: Mapping[str, ExtraMetric]) -> list[MetricRow]:
    """Those that were counted."""
    found = []
    for key, name, text in (
        ("boundary", "boundary PQ", "outlines count, however large the segment"),
        ("dagger", "PQ†", "stuff by its IoU, without the gate at one half"),
        ("covering", "parsing covering", "regions weigh by their area"),
        ("iou", "mean IoU", "over pixels, without regard to instances"),
    ):
        if key in extra:
            found.append(MetricRow(name, text, _of_groups(extra[key].to_json())))
    return found


def _of_groups(content: Mapping[str, Any]) -> list[float | None]:
    """The value of all classes, things and stuff, in whichever form a metric's JSON has it."""
    if "mean" in content:
        return [content[key] for key in ("mean", "things", "stuff")]
    return [content[group]["pq"] if isinstance(content[group], dict) else content[group] for group in GROUPS]


def _comparison(quality: PanopticQuality, other: OtherPrediction) -> list[ComparisonRow]:
    ours, theirs = quality.compute(), other.quality.compute()
    found = paired_bootstrap_pq(quality, other.quality)
    return [
        ComparisonRow(group, one.pq, two.pq, difference, difference.excludes_zero)
        for group in GROUPS
        if (one := ours[group]) and (two := theirs[group]) and (difference := found[group])
    ]


def _classes(quality: PanopticQuality) -> list[ClassRow]:
    rows = []
    per_class = quality.compute().per_class
    for category in quality.categories:
        each = per_class[category.id]
        pq, sq, rq = (each.pq, each.sq, each.rq) if each.tp + each.fp + each.fn else (None, None, None)
        rows.append(
            ClassRow(category.name, quiet(category.color), category.isthing, pq, sq, rq, each.tp, each.fp, each.fn)
        )
    return rows


def _confusion_table(iou: SemanticIoU) -> ConfusionTable:
    names = [category.name for category in iou.categories]
    return ConfusionTable.of([*names, "void"], np.pad(iou.confusion, ((0, 1), (0, 0))))
