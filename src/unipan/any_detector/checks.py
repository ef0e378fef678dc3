"""What `fuse` takes: arrays or tensors of one image, checked, so that a mistake ends in one sentence.

Legend: D detections, T thing classes, L classes (things first), C affinity channels, h w the grid of V, H W the image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unipan.arrays import Float, Integer
from unipan.interop.outputs import array_of, mask_logits, refuse_relative
from unipan.numpy_fusion.psi import Found
from unipan.panoptic.categories import Categories, Category, distinct_color

LARGEST_IMAGE = 2**31 - 1
"""Pixels of an image; what a mistaken size would allocate ends here."""


@dataclass(frozen=True)
class FusionInput:
    """The arguments of `fuse` as arrays that agree with each other.

    Attributes:
        semantic: V before its softmax.
        found: the detections, boxes in pixels of the image.
        queries: Q, or None.
        categories: of V's channels.
        size: (H, W) of the image.
    """

    semantic: Float[np.ndarray, "L h w"]
    found: Found
    queries: Float[np.ndarray, "C a b"] | None
    categories: Categories
    size: tuple[int, int]


def checked_input(
    semantic: Any,
    boxes: Any,
    scores: Any,
    classes: Any,
    masks: Any,
    queries: Any,
    categories: Categories | int | None,
    size: tuple[int, int] | None,
) -> FusionInput:
    """The arguments of `fuse` as arrays.

    Raises:
        ValueError: the first fault, with its place.
    """
    v = _numbers(semantic, "semantic", "(classes, height, width)", 3)
    if 0 in v.shape:
        raise ValueError(f"fuse: semantic has shape {v.shape}; give at least one class and one pixel")
    found = _detections(boxes, scores, classes, masks)
    height, width = v.shape[1:] if size is None else _checked_size(size)
    _check_boxes(found.boxes, height, width)
    listed = _channel_categories(categories, found.classes, len(v))
    q = None if queries is None else _numbers(queries, "queries", "(channels, height, width)", 3)
    if q is not None and 0 in q.shape:
        raise ValueError(f"fuse: queries have shape {q.shape}; give at least one channel and one cell")
    return FusionInput(v, found, q, listed, (height, width))


def _named_array(value: Any, name: str) -> np.ndarray:
    """`array_of`. Raises ValueError for a list whose rows differ in length."""
    try:
        return array_of(value)
    except ValueError as error:
        raise ValueError(f"fuse: {name} is no array: its rows differ in length") from error


def _numbers(value: Any, name: str, axes: str, dimensions: int) -> np.ndarray:
    """A float32 array with so many axes, all finite."""
    array = _named_array(value, name)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"fuse: {name} is of type {array.dtype}; give numbers")
    if array.ndim != dimensions:
        raise ValueError(f"fuse: {name} has shape {array.shape}; give {axes} of one image")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        where = tuple(int(axis[0]) for axis in np.nonzero(~np.isfinite(array)))
        raise ValueError(f"fuse: {name} is {array[where]} at {list(where)}; all values must be finite")
    return array


def _detections(boxes: Any, scores: Any, classes: Any, masks: Any) -> Found:
    corners = _named_array(boxes, "boxes")
    corners = _numbers(corners.reshape(0, 4) if corners.size == 0 else corners, "boxes", "(detections, 4)", 2)
    count = len(corners)
    if corners.shape[1] != 4:
        raise ValueError(f"fuse: boxes have shape {corners.shape}; give x0 y0 x1 y1 for each detection")
    confidence = _numbers(scores, "scores", "(detections,)", 1)
    labels = _named_array(classes, "classes")
    labels = labels.astype(np.int64) if labels.size == 0 else labels
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"fuse: classes have shape {labels.shape} and type {labels.dtype}; give one whole number for each detection"
        )
    for name, length in (("scores", len(confidence)), ("classes", len(labels))):
        if length != count:
            raise ValueError(f"fuse: {length} {name} for {count} boxes; give one for each detection")
    for row in np.flatnonzero((confidence < 0) | (confidence > 1))[:1]:
        raise ValueError(f"fuse: score {row} is {confidence[row]:g}; give confidences between 0 and 1, not logits")
    return Found(corners, confidence, labels.astype(np.int64), _masks_of(masks, count), False)


def _masks_of(masks: Any, count: int) -> Float[np.ndarray, "D a b"] | None:
    """Mask logits; without detections there are none of them, whether or not the detector has masks."""
    if masks is None:
        return None if count else np.zeros((0, 1, 1), np.float32)
    given = _named_array(masks, "masks")
    if given.ndim == 4 and given.shape[1] == 1:  # torchvision's
        given = given[:, 0]
    if count == 0 and given.size == 0:
        return np.zeros((0, 1, 1), np.float32)
    found = _numbers(given, "masks", "(detections, m, m) or (detections, height, width)", 3)
    if len(found) != count or 0 in found.shape:
        raise ValueError(f"fuse: masks have shape {found.shape} for {count} boxes; give one for each detection")
    low, high = found.min(), found.max()
    if given.dtype.kind == "b":
        return mask_logits(found)
    if given.dtype.kind in "iu" and low >= 0:  # below 0 they can only be logits
        if high in (0, 1, 255) and np.isin(found, (0, high)).all():
            return mask_logits(found > 0)
        raise ValueError(
            f"fuse: masks are whole numbers between {low:g} and {high:g}; give True and False, 0 and 1, 0 and 255, or "
            "logits in floating point"
        )
    if 0 <= low < high <= 1:
        raise ValueError(
            f"fuse: masks lie between {low:g} and {high:g}, like probabilities; give logits, or True and False "
            "(unipan.interop.outputs.mask_logits turns probabilities into logits)"
        )
    return found


def _check_boxes(boxes: Float[np.ndarray, "D 4"], height: int, width: int) -> None:
    x0, y0, x1, y1 = boxes.T
    if height > 1 and width > 1:
        refuse_relative(boxes, "fuse")
    for row in np.flatnonzero((x1 <= x0) | (y1 <= y0))[:1]:
        raise ValueError(
            f"fuse: box {row} is empty: {boxes[row].tolist()}; give x0 y0 x1 y1 with x0 < x1 and y0 < y1, in pixels"
        )
    for row in np.flatnonzero((x1 <= 0) | (y1 <= 0) | (x0 >= width) | (y0 >= height))[:1]:
        raise ValueError(
            f"fuse: box {row} lies outside the image of {width} x {height}: {boxes[row].tolist()}; boxes are x0 y0 x1 "
            "y1 in its pixels (`size` says how large it is, if semantic is coarser)"
        )


def _checked_size(size: Any) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, tuple | list) else ()
    whole = len(sides) == 2 and all(isinstance(side, int | np.integer) and side > 0 for side in sides)
    if not whole or sides[0] * sides[1] > LARGEST_IMAGE:
        raise ValueError(f"fuse: size is {size!r}; give height and width of the image in pixels")
    return int(sides[0]), int(sides[1])


def _channel_categories(
    categories: Categories | int | None, classes: Integer[np.ndarray, " D"], channels: int
) -> Categories:
    """The given ones, or things and stuff by number."""
    if isinstance(categories, Categories):
        things, given = len(categories.things), f"categories have {len(categories.things)} thing classes"
        if len(categories) != channels:
            raise ValueError(
                f"fuse: semantic has {channels} channels for {len(categories)} categories; give one for each class, "
                "things first"
            )
    elif categories is not None and (isinstance(categories, bool) or not isinstance(categories, int | np.integer)):
        kind = type(categories).__name__
        raise ValueError(f"fuse: categories are of type {kind}; give Categories, or the number of thing classes")
    else:
        things = int(classes.max(initial=-1)) + 1 if categories is None else categories
        given = (
            f"categories say {things} thing classes" if categories is not None else f"semantic has {channels} channels"
        )
    if not 0 <= things <= channels:
        raise ValueError(f"fuse: {things} thing classes for {channels} channels of semantic; things come first in it")
    for row in np.flatnonzero((classes < 0) | (classes >= things))[:1]:
        raise ValueError(
            f"fuse: detection {row} is of class {classes[row]}, but {given}; classes count from 0, without background"
        )
    return categories if isinstance(categories, Categories) else numbered_categories(things, channels - things)


def numbered_categories(things: int, stuff: int) -> Categories:
    """Categories for outputs whose classes have no names: `thing 0`, ..., `stuff 0`, ..., ids from 0."""
    names = [f"thing {number}" for number in range(things)] + [f"stuff {number}" for number in range(stuff)]
    return Categories(
        tuple(Category(index, name, index < things, distinct_color(index)) for index, name in enumerate(names))
    )
