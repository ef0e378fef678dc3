"""The network's output with other detections: Psi and P are made again, and nothing before them.

Legend: D detections, E of them the given ones, K = D + S channels of one image (detections first), h w = cells of Psi.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import ArrayLike
from torch import Tensor

from unipan.models.network import PanopticNetwork
from unipan.panoptic.categories import Categories
from unipan.structures import Detections, Geometry, PanopticOutput

SAME_PLACE = 0.01
"""Pixels of the network's input: boxes that differ by less are the same one, brought to the image and back."""
CERTAIN = 20.0
"""The logit of a mask that covers its whole box."""


def edited_output(
    output: PanopticOutput,
    semantic: Float[Tensor, "L h w"],
    given: Detections,
    network: PanopticNetwork,
    features: Callable[[], dict[str, Tensor]],
) -> PanopticOutput:
    """The output of a batch of one image, with other detections.

    Args:
        output: the network's, or an edited one.
        semantic: V of the image without padding.
        given: the detections, boxes in pixels of the network's input; their masks are not looked at.
        network: that made the output.
        features: gives the backbone's levels, for masks of boxes that the output does not have; called if need be.

    Returns:
        the output whose detections are the given ones. Its candidates, which the heuristics start from, are these and
        those below the score threshold that the output had.
    """
    found = _with_masks(given, output.detections[0], network, features)
    psi = network.potential(semantic, found)
    [panoptic] = network.revise([psi], output.queries)
    candidates = output.candidates[0]
    rest = candidates[candidates.scores < network.score_threshold]
    return replace(output, detections=[found], candidates=[_joined(found, rest)], potentials=[psi], panoptic=[panoptic])


def checked_detections(
    boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, geometry: Geometry, categories: Categories, like: Tensor
) -> Detections:
    """Detections of these values, cut at the image's sides, boxes in pixels of the network's input.

    Args:
        boxes: (D, 4), x0 y0 x1 y1 in pixels of the image.
        scores: (D,), 0..1.
        classes: (D,), indices of thing classes.
        geometry: of the image.
        categories: of the classes.
        like: has the device and the type of the detections' numbers.

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
    height, width = geometry.image_size
    box = np.clip(box, 0, np.array([width, height, width, height])).astype(np.float32)  # a NaN stays one
    things = len(categories.things)
    for row, (x0, y0, x1, y1) in enumerate(box.tolist()):
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"edit: box {row} has no area inside the image, which is {width} x {height}")
        if not 0 <= score[row] <= 1:
            raise ValueError(f"edit: the score of box {row} is {score[row]}; scores lie in 0..1")
        if not 0 <= label[row] < things:
            raise ValueError(f"edit: the class of box {row} is {label[row]:g}; the {things} things count from 0")
        if label[row] % 1:
            raise ValueError(f"edit: the class of box {row} is {label[row]:g}; classes are whole numbers")
    placed = geometry.to_input(torch.from_numpy(box)).to(like)
    numbers = torch.from_numpy(label.astype(np.int64)).to(like.device)
    return Detections(placed, torch.from_numpy(score).to(like), numbers)


def _rows_of_numbers(name: str, values: ArrayLike, columns: int) -> Float64[np.ndarray, "D columns"]:
    """A copy (torch takes no reversed views) with so many columns. Raises ValueError for anything else."""
    try:
        return np.array(values, np.float64).reshape(-1, columns)
    except (ValueError, TypeError, OverflowError) as error:
        shape = "rows of four numbers, x0 y0 x1 y1" if columns == 4 else "a number for each box"
        raise ValueError(f"edit: {name} must be {shape}; these are not ({str(error)[:80]})") from error


def _with_masks(
    given: Detections, old: Detections, network: PanopticNetwork, features: Callable[[], dict[str, Tensor]]
) -> Detections:
    """The given detections with masks, if the network has them: a known box keeps its own, others get new ones."""
    if old.masks is None:
        return given
    kept, row = _known(given, old)
    boxes = given.boxes.clone()
    boxes[kept] = old.boxes[row[kept]]
    masks = old.masks.new_empty(len(given), *old.masks.shape[1:])
    masks[kept] = old.masks[row[kept]]
    if not bool(kept.all()):
        [made] = network.detection.masks(features(), [boxes[~kept]], [given.classes[~kept]])
        if made is None or made.shape[1:] != masks.shape[1:]:  # a detector without masks of any box: the box alone
            made = torch.full_like(masks[~kept], CERTAIN)
        masks[~kept] = made.to(masks.dtype)
    return Detections(boxes, given.scores, given.classes, masks, old.whole)


def _known(given: Detections, old: Detections) -> tuple[Bool[Tensor, " E"], Int[Tensor, " E"]]:
    """Which of the given boxes the old detections have too, with their class, and in which row."""
    if not len(old) or not len(given):
        return torch.zeros_like(given.classes, dtype=torch.bool), torch.zeros_like(given.classes)
    same = (given.boxes[:, None] - old.boxes[None]).abs().amax(2) < SAME_PLACE
    same &= given.classes[:, None] == old.classes[None]
    return same.any(1), same.to(torch.uint8).argmax(1)


def _joined(first: Detections, second: Detections) -> Detections:
    """The detections of both, in this order."""
    masks = None if first.masks is None or second.masks is None else torch.cat([first.masks, second.masks])
    return Detections(
        torch.cat([first.boxes, second.boxes]),
        torch.cat([first.scores, second.scores]),
        torch.cat([first.classes, second.classes]),
        masks,
        first.whole,
    )
