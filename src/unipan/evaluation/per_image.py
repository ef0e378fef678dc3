"""PQ of every image on its own, worst first: where to look.

The PQ of an image is the definition applied to a dataset of that one image: per class, averaged over the classes that
occur in its truth or as a false positive. Its mean over the images is not the PQ of the dataset, whose classes are
summed up over all images before they are averaged.
"""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import class_qualities, group_means


@dataclass(frozen=True)
class ImageScore:
    """One row. Figures are fractions, None for a group without a class in this image.

    Attributes:
        image: its name.
        pq, sq, rq: over all classes.
        pq_things, pq_stuff: PQ of either group.
        classes: that occur.
        tp, fp, fn: segments, over all classes.
        worst_class: the name of the class with the lowest PQ, the first of several; empty without classes.
    """

    image: str
    pq: float | None
    sq: float | None
    rq: float | None
    pq_things: float | None
    pq_stuff: float | None
    classes: int
    tp: int
    fp: int
    fn: int
    worst_class: str


def image_scores(quality: PanopticQuality) -> list[ImageScore]:
    """One row per image counted, worst PQ first, equal ones by name; images without a class last."""
    per_image = quality.per_image
    each = class_qualities(per_image)
    means = {group: values.tolist() for group, values in group_means(quality.categories, each).items()}
    present = ~np.isnan(each[..., 0])
    occurring = present.sum(axis=1).tolist()
    lowest = np.where(present, each[..., 0], np.inf).argmin(axis=1).tolist()
    counts = per_image[..., 1:].sum(axis=1).astype(np.int64).tolist()
    rows = []
    for number, name in enumerate(quality.names):
        pq, sq, rq = map(_or_none, means["All"][number])
        things, stuff = (_or_none(means[group][number][0]) for group in ("Things", "Stuff"))
        tp, fp, fn = counts[number]
        worst = quality.categories[lowest[number]].name if occurring[number] else ""
        rows.append(ImageScore(name, pq, sq, rq, things, stuff, occurring[number], tp, fp, fn, worst))
    return sorted(rows, key=lambda row: (row.pq is None, row.pq or 0.0, row.image))


def csv_header() -> bytes:
    """The first line of `to_csv`."""
    return (",".join(column.name for column in fields(ImageScore)) + "\n").encode()


def to_csv(rows: Iterable[ImageScore]) -> str:
    """The rows as CSV with a header; an empty cell where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in fields(ImageScore)])
    for row in rows:
        writer.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in vars(row).values()])
    return text.getvalue()


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
