"""What is taken for what: things and stuff (Table G), and class by class, by segments.

Pixels by class are `SemanticIoU.confusion`.
"""

import numpy as np

from unipan.arrays import Int64, Shaped
from unipan.evaluation.segment_pairs import Pairs
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

SIDES = ("things", "stuff")


def thing_stuff_shares(
    confusion: Shaped[np.ndarray, "_ _"], categories: Categories
) -> dict[str, dict[str, float | None]]:
    """Table G from a confusion matrix: of the truth's things (stuff), which share is predicted as things, stuff, void.

    Args:
        confusion: pixels or segments, truth in rows and predictions in columns, by class index; what follows the
            classes is void (a column of misses) or no truth (a row of false positives, not looked at).
        categories: its classes.

    Returns:
        `{"things": {"things", "stuff", "void"}, "stuff": {...}}`, fractions that sum to 1; None without that truth.
    """
    things, classes = len(categories.things), len(categories)
    parts = {"things": slice(0, things), "stuff": slice(things, classes), "void": slice(classes, None)}
    shares: dict[str, dict[str, float | None]] = {}
    for side in SIDES:
        row = confusion[parts[side]]
        whole = float(row.sum())
        shares[side] = {name: float(row[:, part].sum()) / whole if whole else None for name, part in parts.items()}
    return shares


def thing_stuff_counts(confusion: Shaped[np.ndarray, "_ _"], categories: Categories) -> Int64[np.ndarray, "2 2"]:
    """The same as counts of what is predicted as either: truth in rows, things first; void is left out."""
    classes = len(categories)
    is_thing = np.arange(classes) < len(categories.things)
    sides = np.stack([is_thing, ~is_thing]).astype(np.int64)
    return sides @ confusion[:classes, :classes].astype(np.int64) @ sides.T


class SegmentConfusion:
    """Segments by class of the truth (row) and of the prediction (column); the last row and column stand for nothing.

    Segments are matched whatever their classes, at an IoU above one half, so each has one partner at most. A segment
    of the truth without a partner goes to the last column, a prediction without one to the last row. Crowds are left
    out, and so are predictions more than half on void and on crowds of their class. `a + b` merges two parts.

    Attributes:
        categories: the classes, L of them.
        matrix: (L + 1, L + 1) counts.
    """

    def __init__(self, categories: Categories, matrix: Int64[np.ndarray, "M M"] | None = None) -> None:
        size = len(categories) + 1
        self.categories = categories
        self.matrix = np.zeros((size, size), np.int64) if matrix is None else matrix

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str = "image") -> None:
        """Count one image. Raises ValueError as `PanopticQuality.update`."""
        pairs = Pairs.of(truth, prediction, self.categories, name)
        nothing = len(self.categories)
        hit = (pairs.iou > 0.5) & ~pairs.crowd[pairs.truth]
        t, p = pairs.truth[hit], pairs.prediction[hit]
        lonely = ~pairs.crowd
        lonely[t] = False
        stray = ~pairs.ignored
        stray[p] = False
        np.add.at(self.matrix, (pairs.truth_class[t], pairs.prediction_class[p]), 1)
        np.add.at(self.matrix, (pairs.truth_class[lonely], nothing), 1)
        np.add.at(self.matrix, (nothing, pairs.prediction_class[stray]), 1)

    def __add__(self, other: "SegmentConfusion") -> "SegmentConfusion":
        if self.categories != other.categories:
            raise ValueError("segment confusion: two parts with different categories cannot be merged")
        return SegmentConfusion(self.categories, self.matrix + other.matrix)
