"""The four fusions in NumPy: argmax of Psi or P (App. B), Panoptic FPN's merging, UPSNet's pruning and voting.

`fusion/` is the reference, and where the choices are explained. Legend: D detections, K = D + S channels (things of the
image, then stuff, then void), L classes (things first), h w the grid of V, H W the image.
"""

from collections.abc import Callable, Iterator

import numpy as np

from unipan.arrays import Bool, Float, Int64
from unipan.config import HeuristicConfig, UpsnetConfig
from unipan.numpy_fusion.painting import Window, channel_map, numbered_map, paint_stuff, paint_things, voted_map
from unipan.numpy_fusion.psi import Found, sigmoid, softmax
from unipan.numpy_fusion.sampling import Between, Covered, in_box, pixels_inside, resampled, sampled, winners
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID_ID, PanopticMap


def argmax_map(
    channels: Float[np.ndarray, "K h w"],
    found: Found,
    categories: Categories,
    size: tuple[int, int],
    covered: Covered = None,
    logits: Callable[[np.ndarray], np.ndarray] = lambda channels: channels,
) -> PanopticMap:
    """The argmax of Psi or P at the image's size (`fusion.argmax.decode`); `logits` is what the loss made of P."""
    confidence = resampled(softmax(logits(channels)).max(0), *size, covered)
    best = winners(channels, *size, covered)
    return channel_map(best, confidence, found.classes.tolist(), found.scores.tolist(), categories)


def heuristic_map(
    semantic: Float[np.ndarray, "L h w"],
    found: Found,
    categories: Categories,
    limits: HeuristicConfig,
    size: tuple[int, int],
    covered: Covered = None,
) -> PanopticMap:
    """Panoptic FPN's merging (`fusion.heuristic.merge`); boxes in pixels of the image."""
    ids = np.full(size, VOID_ID, np.int32)
    painted = paint_things(ids, _masks_by_score(found, categories, limits, size), limits.overlap_threshold)
    confidence = resampled(softmax(semantic).max(0), *size, covered)
    painted += paint_stuff(
        ids, winners(semantic, *size, covered), confidence, categories, limits.min_stuff_area * ids.size
    )
    return numbered_map(ids, painted)


def _masks_by_score(
    found: Found, categories: Categories, limits: HeuristicConfig, size: tuple[int, int]
) -> Iterator[tuple[Window, Bool[np.ndarray, "a b"], Category, float]]:
    assert found.masks is not None
    for index in np.argsort(-found.scores, kind="stable").tolist():
        score = float(found.scores[index])
        if score < limits.score_threshold:
            break
        window, values = image_window(sigmoid(found.masks[index]), found.boxes[index], size, found.whole)
        yield window, values >= limits.mask_threshold, categories[int(found.classes[index])], score


def image_window(
    mask: Float[np.ndarray, "a b"], box: Float[np.ndarray, " 4"], size: tuple[int, int], whole: bool
) -> tuple[Window, Float[np.ndarray, "c d"]]:
    """One mask at the image's size, within its box alone (`ops.masks.paste_window`)."""
    window = pixels_inside(box, *size)
    spanned = np.array([0, 0, size[1], size[0]], np.float32) if whole else box
    return window, in_box(mask, spanned, window)


def upsnet_map(
    semantic: Float[np.ndarray, "L h w"],
    found: Found,
    categories: Categories,
    limits: UpsnetConfig,
    min_stuff_area: float,
    size: tuple[int, int],
    covered: Covered = None,
) -> PanopticMap:
    """UPSNet's fusion (`fusion.upsnet.prune_and_vote`); boxes in pixels of the image, `min_stuff_area` its share."""
    kept = found[_pruned(found, limits, size)]
    best, won = np.full(size, -np.inf, np.float32), np.zeros(size, np.int64)
    for index, channel in enumerate(_void_channels(semantic, kept, len(categories.things), size, covered)):
        won[channel > best] = index
        best = np.maximum(best, channel)
    return voted_map(
        won,
        winners(semantic, *size, covered),
        resampled(softmax(semantic).max(0), *size, covered),
        kept.classes,
        kept.scores.tolist(),
        categories,
        limits.stuff_vote_threshold,
        min_stuff_area * won.size,
    )


def _pruned(found: Found, limits: UpsnetConfig, size: tuple[int, int]) -> Int64[np.ndarray, " N"]:
    """Rows of the detections that take part (`fusion.upsnet.prune`)."""
    assert found.masks is not None
    taken: dict[int, np.ndarray] = {}
    kept: list[int] = []
    for index in suppressed(found.boxes, found.scores, limits.nms_threshold):
        if found.scores[index] <= limits.score_threshold:
            break
        window, values = image_window(found.masks[index], found.boxes[index], size, found.whole)
        mask = values > 0
        canvas = taken.setdefault(int(found.classes[index]), np.zeros(size, bool))
        if not mask.any() or (canvas[window] & mask).sum() / mask.sum() > limits.overlap_threshold:
            continue
        canvas[window] |= mask
        kept.append(index)
    return np.array(kept, np.int64)


def suppressed(boxes: Float[np.ndarray, "D 4"], scores: Float[np.ndarray, " D"], threshold: float) -> list[int]:
    """Rows that non-maximum suppression keeps, most confident first; as torchvision's `nms`."""
    order, kept = np.argsort(-scores, kind="stable"), []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(int(first))
        start, end = np.maximum(boxes[first, :2], boxes[rest, :2]), np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = (end - start).clip(0).prod(1)
        order = rest[shared / (areas[first] + areas[rest] - shared) <= threshold]
    return kept


def _void_channels(
    semantic: Float[np.ndarray, "L h w"], found: Found, num_things: int, size: tuple[int, int], covered: Covered
) -> Iterator[Float[np.ndarray, "H W"]]:
    """The channels of Psi, variant A with void, at the image's size, one at a time (`fusion.upsnet.channels`)."""
    assert found.masks is not None
    let_through = np.full(size, -np.inf if len(found) else 0.0, np.float32)
    rows, columns = map(Between.resized, semantic.shape[1:], size, covered or semantic.shape[1:])
    for mask, box, label in zip(found.masks, found.boxes, found.classes, strict=True):
        window, m_k = image_window(mask, box, size, found.whole)
        v_k = np.zeros(size, np.float32)
        v_k[window] = sampled(semantic[label], rows[window[0]], columns[window[1]])
        let_through = np.maximum(let_through, v_k)
        v_k[window] += m_k
        yield v_k
    for stuff in semantic[num_things:]:
        yield resampled(stuff, *size, covered)
    if num_things:
        yield np.maximum.reduce([resampled(thing, *size, covered) for thing in semantic[:num_things]]) - let_through
