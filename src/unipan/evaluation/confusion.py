"""Confusion of things and stuff (the paper's Table G), from the confusion matrix of `SemanticIoU`."""

import numpy as np

from unipan.arrays import Int64, Shaped
from unipan.evaluation.pq_scores import percent
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.panoptic.categories import Categories

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


class ThingStuffConfusion(SemanticIoU):
    """Table G of a panoptic map, as an extra metric."""

    def to_json(self) -> dict[str, object]:
        """As `thing_stuff_shares`."""
        return {**thing_stuff_shares(self.confusion, self.categories)}

    def lines(self) -> list[str]:
        """One line for things and one for stuff."""
        return [
            f"pixels of {side}: " + ", ".join(f"{percent(value)} as {name}" for name, value in shares.items())
            for side, shares in thing_stuff_shares(self.confusion, self.categories).items()
        ]
