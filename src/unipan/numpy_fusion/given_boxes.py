"""Boxes that a person gives for `Scene.edit`: checked, and those found among the boxes that a scene has already.

Legend: D detections, E of them the given ones.
"""

import numpy as np
from numpy.typing import ArrayLike

from unipan.arrays import Bool, Float, Float64, Int64, Integer
from unipan.numpy_fusion.psi import Found

SAME_PLACE = 0.01
"""Pixels of the network's input: boxes that differ by less are the same one, brought to the image and back."""


def checked_boxes(boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, size: tuple[int, int], things: int) -> Found:
    """Detections of these values without masks, cut at the image's sides.

    Args:
        boxes: (E, 4), x0 y0 x1 y1 in pixels of the image.
        scores: (E,), 0..1.
        classes: (E,), indices of thing classes.
        size: (H, W) of the image.
        things: how many thing classes there are.

    Raises:
        ValueError: a number of each is not given, or a row is not what it should be; which and why.
    """
    box, score, label = (
        _rows_of_numbers("boxes", boxes, 4),
        _rows_of_numbers("scores", scores, 1),
        _rows_of_numbers("classes", classes, 1),
    )
    score, label = score.reshape(-1), label.reshape(-1)
    if not len(box) == len(score) == len(label):
        raise ValueError(f"edit: {len(box)} boxes, {len(score)} scores and {len(label)} classes; give as many of each")
    height, width = size
    box = np.clip(box, 0, np.array([width, height, width, height])).astype(np.float32)  # a NaN stays one
    for row, (x0, y0, x1, y1) in enumerate(box.tolist()):
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"edit: box {row} has no area inside the image, which is {width} x {height}")
        if not 0 <= score[row] <= 1:
            raise ValueError(f"edit: the score of box {row} is {score[row]}; scores lie in 0..1")
        if not 0 <= label[row] < things:
            raise ValueError(f"edit: the class of box {row} is {label[row]:g}; the {things} things count from 0")
        if label[row] % 1:
            raise ValueError(f"edit: the class of box {row} is {label[row]:g}; classes are whole numbers")
    return Found(box, score.astype(np.float32), label.astype(np.int64), None, whole=False)


def _rows_of_numbers(name: str, values: ArrayLike, columns: int) -> Float64[np.ndarray, "D columns"]:
    """A copy (torch takes no reversed views) with so many columns. Raises ValueError for anything else."""
    try:
        return np.array(values, np.float64).reshape(-1, columns)
    except (ValueError, TypeError, OverflowError) as error:
        shape = "rows of four numbers, x0 y0 x1 y1" if columns == 4 else "a number for each box"
        raise ValueError(f"edit: {name} must be {shape}; these are not ({str(error)[:80]})") from error


def known_boxes(
    boxes: Float[np.ndarray, "E 4"],
    classes: Integer[np.ndarray, " E"],
    old_boxes: Float[np.ndarray, "D 4"],
    old_classes: Integer[np.ndarray, " D"],
) -> tuple[Bool[np.ndarray, " E"], Int64[np.ndarray, " E"]]:
    """Which of the given boxes are among the old ones, with their class, and in which row."""
    if not len(old_boxes) or not len(boxes):
        return np.zeros(len(boxes), bool), np.zeros(len(boxes), np.int64)
    same = np.abs(boxes[:, None] - old_boxes[None]).max(2) < SAME_PLACE
    same &= classes[:, None] == old_classes[None]
    return same.any(1), same.argmax(1)


def joined_found(first: Found, second: Found) -> Found:
    """The detections of both, in this order."""
    masks = None if first.masks is None or second.masks is None else np.concatenate([first.masks, second.masks])
    return Found(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.classes, second.classes]),
        masks,
        first.whole,
    )
