"""How pixels become segments, whatever found them: the part of the fusions that is the same with and without torch.

Legend: D detections, L classes (things first), H W pixels of the image.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from unipan.arrays import Bool, Int32, Integer
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map

IdMap = Int32[np.ndarray, "H W"]
Window = tuple[slice, slice]


def numbered_map(ids: IdMap, found: list[tuple[Category, float]]) -> PanopticMap:
    """The map of segments 1, 2, ... with these categories and scores."""
    segments = dict(enumerate(found, start=1))
    categories = {key: category for key, (category, _) in segments.items()}
    return panoptic_map(ids, categories, {key: score for key, (_, score) in segments.items()})


COUNTED_AT_ONCE = 1 << 22
"""Pixels that are counted at a time; a picture of this size takes as long as in one go."""


def channel_map(
    channels: Integer[np.ndarray, "H W"],
    confidence: np.ndarray,
    classes: Sequence[int],
    scores: Sequence[float],
    categories: Categories,
) -> PanopticMap:
    """The map of an argmax over the channels of Psi or P.

    Args:
        channels: the channel that wins each pixel.
        confidence: of each pixel; the score of stuff is its mean.
        classes: of the D detections, which have the first channels; stuff has the next ones, and void, if there is
            one, the last.
        scores: of the detections.
        categories: of the classes.
    """
    count = len(classes) + len(categories.stuff)
    # Beyond the classes lies void, whose id is 0.
    area, sums = np.zeros(count, np.int64), np.zeros(count)
    for start in range(0, channels.size, COUNTED_AT_ONCE):  # bincount copies what it counts, to 64 bits
        some = channels.reshape(-1)[start : start + COUNTED_AT_ONCE]
        area += np.bincount(some, minlength=count)[:count]
        sums += np.bincount(some, confidence.reshape(-1)[start : start + COUNTED_AT_ONCE], minlength=count)[:count]
    mean = sums / np.maximum(area, 1)
    return map_of_channels(channels, area, classes, [*scores, *mean[len(classes) :].clip(0, 1).tolist()], categories)


def map_of_channels(
    channels: Integer[np.ndarray, "H W"],
    area: Integer[np.ndarray, " K"],
    classes: Sequence[int],
    scores: Sequence[float],
    categories: Categories,
) -> PanopticMap:
    """`channel_map` with the areas of the channels, and the scores of all, known."""
    of_channel = [*classes, *range(len(categories.things), len(categories))]
    present = np.flatnonzero(area).tolist()
    ids = np.full(len(area) + 1, VOID_ID, np.int32)
    ids[present] = np.arange(1, len(present) + 1)
    return panoptic_map(
        ids[channels],
        {int(ids[k]): categories[of_channel[k]] for k in present},
        {int(ids[k]): scores[k] for k in present},
    )


def paint_things(
    ids: IdMap, masks: Iterable[tuple[Window, Bool[np.ndarray, "a b"], Category, float]], overlap_threshold: float
) -> list[tuple[Category, float]]:
    """Paint masks into `ids` as 1, 2, ..., each on the pixels that are still free (Panoptic FPN's merging).

    Args:
        ids: changed in place.
        masks: most confident first: a window of the image, the mask in it, class and score.
        overlap_threshold: a mask of which a larger share is taken is skipped, as is one without a free pixel.

    Returns:
        Category and score of each painted id.
    """
    found: list[tuple[Category, float]] = []
    for window, mask, category, score in masks:
        free = mask & (ids[window] == VOID_ID)
        area = int(mask.sum())
        if area == 0 or not free.any() or (area - int(free.sum())) / area > overlap_threshold:
            continue
        found.append((category, score))
        ids[window][free] = len(found)
    return found


def paint_stuff(
    ids: IdMap,
    labels: np.ndarray,
    confidence: np.ndarray,
    categories: Categories,
    least_area: float,
) -> list[tuple[Category, float]]:
    """Give the free pixels of every large enough stuff class the next id; their categories and mean confidences."""
    free = ids == VOID_ID
    areas = np.bincount(labels[free], minlength=len(categories))
    sums = np.bincount(labels[free], confidence[free], minlength=len(categories))
    start = int(ids.max(initial=VOID_ID))
    table = np.zeros(len(categories), np.int32)
    found: list[tuple[Category, float]] = []
    for index in range(len(categories.things), len(categories)):
        if areas[index] == 0 or areas[index] < least_area:
            continue
        found.append((categories[index], min(float(sums[index] / areas[index]), 1.0)))
        table[index] = start + len(found)
    ids[free] = table[labels[free]]
    return found


def vote(
    counts: Integer[np.ndarray, "D L"], classes: Integer[np.ndarray, " D"], num_things: int, share: float
) -> Integer[np.ndarray, " D"]:
    """The class that every thing segment of UPSNet's fusion ends with.

    1. Where most of its pixels have its own class in V, it keeps it (a tie is enough).
    2. Else, where one stuff class has at least `share` of them, the segment becomes that stuff.
    3. Else it keeps its class: V names another thing, or nothing clearly.

    Args:
        counts: for each segment, its pixels by the class that V gives them.
        classes: of the detections.
        num_things: T.
        share: of rule 2.
    """
    agrees = np.take_along_axis(counts, classes[:, None], 1)[:, 0] == counts.max(1)
    if counts.shape[1] == num_things:
        return classes
    stuff = num_things + counts[:, num_things:].argmax(1)
    turns = ~agrees & (np.take_along_axis(counts, stuff[:, None], 1)[:, 0] >= share * counts.sum(1))
    return np.where(turns, stuff, classes)


def voted_map(
    winners: Integer[np.ndarray, "H W"],
    labels: Integer[np.ndarray, "H W"],
    confidence: np.ndarray,
    classes: Integer[np.ndarray, " D"],
    scores: Sequence[float],
    categories: Categories,
    share: float,
    least_area: float,
) -> PanopticMap:
    """The map that UPSNet's channels and the votes of V make.

    Args:
        winners: the channel that wins each pixel: D detections, the stuff classes, void.
        labels: the class that V gives each pixel.
        confidence: of V.
        classes, scores: of the D detections.
        categories: of the classes.
        share: see `vote`.
        least_area: stuff of fewer pixels becomes void.
    """
    things, length = len(categories.things), len(categories)
    pairs = np.bincount((winners * length + labels).ravel(), minlength=(len(classes) + length) * length)
    counts = pairs.reshape(-1, length)[: len(classes)]
    voted = vote(counts, classes, things, share)
    own = np.flatnonzero((voted < things) & counts.any(1))
    # The class of every channel. Void gets a thing's, because free pixels of such a class stay void.
    of_channel = np.concatenate([voted, np.arange(things, length), [0]])
    numbers = np.zeros(len(of_channel), np.int32)
    numbers[own] = np.arange(1, len(own) + 1)
    ids = numbers[winners]
    found = [(categories[int(classes[row])], float(scores[row])) for row in own.tolist()]
    found += paint_stuff(ids, of_channel[winners], confidence, categories, least_area)
    return numbered_map(ids, found)
