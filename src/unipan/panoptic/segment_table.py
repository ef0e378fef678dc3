"""A table of the segments of panoptic maps: what they are, where, and how large and long; as rows and as CSV."""

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.runs import runs

SHAPE_COLUMNS = ("perimeter", "eccentricity")
"""The columns that scikit-image measures."""
COLUMNS = (
    *("id", "class", "category_id", "isthing", "score", "area", "x", "y", "width", "height"),
    *("centroid_x", "centroid_y", "equivalent_diameter"),
    *SHAPE_COLUMNS,
)
"""All columns; lengths are in pixels, areas in pixels of the image."""
CLASS_COLUMNS = ("file", "class", "category_id", "isthing", "count", "area", "share", "mean_score", "lowest_score")
"""Those of `class_csv`."""


def shapes_are_measured() -> bool:
    """Whether scikit-image, of the extra `measure`, is there."""
    return find_spec("skimage") is not None


def segment_table(panoptic: PanopticMap) -> list[dict[str, Any]]:
    """One row for each segment, in the map's order, with the keys of `COLUMNS`.

    `x`, `y` are the upper left corner of the bounding box. The centroid is the mean of the centres of the pixels: a
    single pixel in the corner of the image has it at (0.5, 0.5). The equivalent diameter is that of a circle of equal
    area. Perimeter and eccentricity are those of scikit-image's `regionprops`; without scikit-image they are None.
    """
    centroids = _centroids(panoptic)
    shapes = _shapes(panoptic) if shapes_are_measured() and len(panoptic) else {}
    rows = []
    for segment in panoptic:
        x, y, width, height = segment.bbox
        column, row = centroids[segment.id]
        found = {
            "id": segment.id,
            "class": segment.category.name,
            "category_id": segment.category.id,
            "isthing": int(segment.isthing),
            "score": round(segment.score, 4),
            "area": segment.area,
            **{"x": x, "y": y, "width": width, "height": height},
            "centroid_x": column,
            "centroid_y": row,
            "equivalent_diameter": math.sqrt(4 * segment.area / math.pi),
            **dict.fromkeys(SHAPE_COLUMNS),
        }
        rows.append(found | shapes.get(segment.id, {}))
    return rows


def csv_of(rows: Iterable[Mapping[str, Any]], first: Iterable[str] = ()) -> str:
    """Rows of `segment_table` as CSV with a header; `first` are columns before those of `COLUMNS`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*first, *COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def class_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of `segment_table` that have a `file` too, summed up: a row for each class of each file.

    `share` is of the pixels that have a segment; scores are the mean and the lowest of the segments.
    """
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    totals: Counter[str] = Counter()
    for row in rows:
        groups.setdefault((row["file"], row["category_id"]), []).append(row)
        totals[row["file"]] += row["area"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CLASS_COLUMNS)
    for (file, category), members in groups.items():
        area, scores = sum(row["area"] for row in members), [row["score"] for row in members]
        mean = sum(scores) / len(scores)
        name, isthing = members[0]["class"], members[0]["isthing"]
        values = (file, name, category, isthing, len(members), area, area / totals[file], mean, min(scores))
        writer.writerow(map(_cell, values))
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    # A spreadsheet would run a name that begins like a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _centroids(panoptic: PanopticMap) -> dict[int, tuple[float, float]]:
    """Segment id -> x, y."""
    starts, lengths = runs(panoptic.ids, longest=panoptic.ids.shape[1])
    ids = panoptic.ids.reshape(-1)[starts]
    rows, columns = np.divmod(starts, panoptic.ids.shape[1])
    known, owner = np.unique(ids, return_inverse=True)
    total = np.bincount(owner, lengths)
    x = np.bincount(owner, lengths * (columns + lengths / 2)) / total
    y = np.bincount(owner, lengths * (rows + 0.5)) / total
    return dict(zip(known.tolist(), zip(x.tolist(), y.tolist(), strict=True), strict=True))


def _shapes(panoptic: PanopticMap) -> dict[int, dict[str, float]]:
    """Segment id -> perimeter and eccentricity."""
    from skimage.measure import regionprops_table

    # Ids may be large, and regionprops makes a list as long as the largest.
    number = np.zeros(int(panoptic.ids.max()) + 1, np.int32)
    number[[segment.id for segment in panoptic]] = np.arange(1, len(panoptic) + 1)
    measure: Callable[..., dict[str, np.ndarray]] = regionprops_table
    found = measure(number[panoptic.ids], properties=("label", *SHAPE_COLUMNS))
    ids = [panoptic.segments[label - 1].id for label in found["label"].tolist()]
    return {key: {name: float(found[name][row]) for name in SHAPE_COLUMNS} for row, key in enumerate(ids)}
