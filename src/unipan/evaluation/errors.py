"""Why PQ is not 100: every miss, false positive and imperfect match of an image, sorted into one kind each.

The rules run in the order below; the first that holds decides. "Most of" means more than half of the pixels, those
on void left out. A prediction that PQ ignores is no error, and crowds of the truth count in rule 3 alone.

1. One truth and one prediction of different classes with an IoU above 1/2 are one object under a wrong name:
   `wrong class` if both are things or both stuff, else `thing lost to stuff` or `stuff lost to things`.
2. `tiny stuff`: a missed or spurious stuff segment under `tiny` of the image's pixels.
3. `merged`: most of two or more segments of the truth lies in one prediction of their class; those of them that are
   missed, and the prediction if it is spurious.
4. `split`: most of two or more predictions lies in one segment of the truth of their class; those of them that are
   spurious, and the segment if it is missed.
5. `poor boundary`: a missed segment and an unmatched prediction of its class with an IoU of at least NEAR, whichever of
   the two has no kind yet; and every match with an IoU below 1.
6. A missed segment most of which is covered by other classes of its side (`wrong class`) or by the other side
   (`thing lost to stuff`, `stuff lost to things`), and a spurious prediction most of which covers such segments.
7. What is left: `missed` and `spurious`.

The names and the lower limit NEAR follow TIDE (Bolya et al. 2020, arXiv 2008.08115), which does this for AP.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from unipan.arrays import Bool, Float64, Int64
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch, areas
from unipan.evaluation.segment_pairs import SegmentPairs

MEANINGS = {
    "missed": "a false negative: no prediction of the kind is there",
    "spurious": "a false positive where nothing of the kind is",
    "merged": "swallowed by a neighbour of its class",
    "split": "in several pieces",
    "wrong class": "found under another name of its side (things or stuff)",
    "poor boundary": "found, but not its outline",
    "thing lost to stuff": "a thing that stuff is painted over",
    "stuff lost to things": "stuff that things are painted over",
    "tiny stuff": "a small stuff segment, missed or spurious",
}
"""What each kind says, for people."""

KINDS = tuple(MEANINGS)
"""Every error is of one of these kinds."""

MISSED, SPURIOUS, MERGED, SPLIT, WRONG, BOUNDARY, THING_LOST, STUFF_LOST, TINY = range(len(KINDS))
RIGHT = -1
"""The kind of what is no error: a match with an IoU of 1, a crowd, a prediction that matched or is ignored."""

NEAR = 0.1
"""The least IoU at which a miss and a false positive of one class are the same object, badly outlined."""

TINY_SHARE = 4096 / (640 * 480)
"""Share of the image below which stuff is tiny: heuristic fusion on COCO trims 4096 pixels of 640 x 480."""


@dataclass(frozen=True)
class ImageErrors:
    """The errors of one image, by position in the `segments` of the truth (T) and of the prediction (P).

    Attributes:
        truth_kind: index into KINDS of each segment of the truth, or RIGHT.
        truth_class: its class index, or -1 for a crowd, which is not counted.
        match: position of the prediction that it is matched with, or -1.
        iou: with its match, 0 where it is missed.
        repaired: the IoU that repairing its kind gives: 1, or that of the wrongly named prediction (rule 1).
        prediction_kind: index into KINDS of each spurious prediction, else RIGHT.
        prediction_class: its class index.
    """

    truth_kind: Int64[np.ndarray, " T"]
    truth_class: Int64[np.ndarray, " T"]
    match: Int64[np.ndarray, " T"]
    iou: Float64[np.ndarray, " T"]
    repaired: Float64[np.ndarray, " T"]
    prediction_kind: Int64[np.ndarray, " P"]
    prediction_class: Int64[np.ndarray, " P"]

    @property
    def spurious(self) -> Bool[np.ndarray, " P"]:
        """Which predictions are false positives."""
        return np.asarray(self.prediction_kind != RIGHT)

    @property
    def classes(self) -> list[int]:
        """Class indices with a missed segment or a spurious prediction."""
        missed = self.truth_class[(self.truth_kind != RIGHT) & (self.iou == 0)]
        return sorted({*missed.tolist(), *self.prediction_class[self.spurious].tolist()})


class _Sorting:
    """Kinds under construction: what has one keeps it."""

    def __init__(self, pairs: SegmentPairs) -> None:
        self.pairs = pairs
        self.truth_kind = np.full(len(pairs.truth_class), RIGHT)
        self.prediction_kind = np.full(len(pairs.prediction_class), RIGHT)
        self.truth_open = np.zeros(len(pairs.truth_class), bool)
        self.truth_open[pairs.matches.false_negatives] = True
        self.prediction_open = np.zeros(len(pairs.prediction_class), bool)
        self.prediction_open[pairs.matches.false_positives] = True
        self.missed = self.truth_open.copy()

    def truths(self, which: np.ndarray, kind: int) -> None:
        """Missed segments (a mask or positions) get a kind."""
        chosen = np.zeros_like(self.truth_open)
        chosen[which] = True
        chosen &= self.truth_open
        self.truth_kind[chosen] = kind
        self.truth_open[chosen] = False

    def predictions(self, which: np.ndarray, kind: int) -> None:
        """Spurious predictions (a mask or positions) get a kind."""
        chosen = np.zeros_like(self.prediction_open)
        chosen[which] = True
        chosen &= self.prediction_open
        self.prediction_kind[chosen] = kind
        self.prediction_open[chosen] = False

    def both(self, chosen: Bool[np.ndarray, " N"], kind: int) -> None:
        """Both segments of some pairs get a kind."""
        self.truths(self.pairs.truth[chosen], kind)
        self.predictions(self.pairs.prediction[chosen], kind)


def explain(pair: ImagePair, tiny: float = TINY_SHARE) -> ImageErrors:
    """Sort the errors of one image into kinds, by the rules at the top of this file."""
    return explain_batch(pair.batch, 1, len(pair.categories.things), tiny)[0]


def explain_batch(batch: Batch, images: int, things: int, tiny: float = TINY_SHARE) -> list[ImageErrors]:
    """The same of several images at once: a call of numpy takes microseconds whatever it is called for.

    Args:
        batch: of this number of images, with class indices; every segment has pixels.
        images: how many there are.
        things: how many classes are things.
        tiny: share of the image below which stuff is tiny.
    """
    pairs = SegmentPairs(batch)
    sorting, found = _Sorting(pairs), pairs.matches
    repaired = np.ones(len(batch.truth))
    renamed = (pairs.iou > 0.5) & ~pairs.same_class & ~pairs.crowd[pairs.truth]
    repaired[pairs.truth[renamed]] = pairs.iou[renamed]
    confusion = _confusion_kinds(pairs, things)
    for kind in (WRONG, THING_LOST, STUFF_LOST):
        sorting.both(renamed & (confusion == kind), kind)
    least = tiny * areas(batch.overlap_image, batch.overlaps.pixels, images)
    sorting.truths((pairs.truth_class >= things) & (pairs.truth_area < least[batch.truth_image]), TINY)
    small = pairs.prediction_area < least[batch.prediction_image]
    sorting.predictions((pairs.prediction_class >= things) & small, TINY)
    _sort_shapes(sorting)
    _sort_lost(sorting, confusion)
    sorting.truths(sorting.truth_open.copy(), MISSED)
    sorting.predictions(sorting.prediction_open.copy(), SPURIOUS)
    sorting.truth_kind[found.truth[found.iou < 1]] = BOUNDARY
    match, iou = np.full(len(batch.truth), -1), np.zeros(len(batch.truth))
    match[found.truth], iou[found.truth] = found.prediction, found.iou
    counted_class = np.where(pairs.crowd, -1, pairs.truth_class)
    joined = ImageErrors(
        sorting.truth_kind, counted_class, match, iou, repaired, sorting.prediction_kind, pairs.prediction_class
    )
    return _split(joined, batch, images)


def _split(joined: ImageErrors, batch: Batch, images: int) -> list[ImageErrors]:
    """The errors of each image of a batch."""
    truths, predictions = (
        pairwise(np.searchsorted(owner, np.arange(images + 1)).tolist())
        for owner in (batch.truth_image, batch.prediction_image)
    )
    return [
        ImageErrors(
            joined.truth_kind[t:u],
            joined.truth_class[t:u],
            np.where(joined.match[t:u] < 0, -1, joined.match[t:u] - p),
            joined.iou[t:u],
            joined.repaired[t:u],
            joined.prediction_kind[p:q],
            joined.prediction_class[p:q],
        )
        for (t, u), (p, q) in zip(truths, predictions, strict=True)
    ]


def _confusion_kinds(pairs: SegmentPairs, things: int) -> Int64[np.ndarray, " N"]:
    """What it is called if the prediction of a pair stands where the truth should; RIGHT for one class."""
    thing, as_thing = (pairs.truth_class < things)[pairs.truth], (pairs.prediction_class < things)[pairs.prediction]
    kind = np.where(thing == as_thing, WRONG, np.where(thing, THING_LOST, STUFF_LOST))
    return np.where(pairs.same_class, RIGHT, kind)


def _sort_shapes(sorting: _Sorting) -> None:
    """Rules 3 to 5: one class, another shape. Matched predictions are right, but for their outline."""
    pairs = sorting.pairs
    same = pairs.same_class & ~pairs.crowd[pairs.truth]
    # A crowd, too, is a neighbour to be merged with.
    swallowed = pairs.same_class & (2 * pairs.pixels > pairs.truth_area[pairs.truth])
    per_prediction = np.bincount(pairs.prediction[swallowed], minlength=len(pairs.prediction_class))
    sorting.both(swallowed & (per_prediction[pairs.prediction] > 1), MERGED)
    piece = same & (2 * pairs.pixels > pairs.counted_area[pairs.prediction])
    per_truth = np.bincount(pairs.truth[piece], minlength=len(pairs.truth_class))
    sorting.both(piece & (per_truth[pairs.truth] > 1), SPLIT)
    unmatched = np.ones(len(pairs.prediction_class), bool)
    unmatched[pairs.matches.prediction] = False
    near = same & (pairs.iou >= NEAR) & sorting.missed[pairs.truth] & unmatched[pairs.prediction]
    sorting.both(near, BOUNDARY)


def _sort_lost(sorting: _Sorting, confusion: Int64[np.ndarray, " N"]) -> None:
    """Rule 6: other classes stand where the segment should."""
    pairs = sorting.pairs
    lost = (WRONG, THING_LOST, STUFF_LOST)
    for kind in lost:
        taken = confusion == kind
        area = areas(pairs.truth[taken], pairs.pixels[taken], len(pairs.truth_class))
        sorting.truths(2 * area > pairs.truth_area, kind)
    for kind in lost:
        taken = (confusion == kind) & (sorting.truth_kind[pairs.truth] == kind)
        area = areas(pairs.prediction[taken], pairs.pixels[taken], len(pairs.prediction_class))
        sorting.predictions(2 * area > pairs.counted_area, kind)
