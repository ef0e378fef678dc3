"""The network's output with other detections: Psi and P are made again, and nothing before them.

Legend: D detections, E of them the given ones, K = D + S channels of one image (detections first), h w = cells of Psi.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from unipan.models.network import PanopticNetwork
from unipan.numpy_fusion.given_boxes import checked_boxes, known_boxes
from unipan.panoptic.categories import Categories
from unipan.structures import Detections, Geometry, PanopticOutput

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
        ValueError: see `checked_boxes`.
    """
    found = checked_boxes(boxes, scores, classes, geometry.image_size, len(categories.things))
    placed = geometry.to_input(torch.from_numpy(found.boxes)).to(like)
    score, label = torch.from_numpy(found.scores), torch.from_numpy(found.classes)
    return Detections(placed, score.to(like), label.to(like.device))


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
    boxes, classes, others, labels = (
        each.cpu().numpy() for each in (given.boxes.float(), given.classes, old.boxes.float(), old.classes)
    )
    kept, row = known_boxes(boxes, classes, others, labels)
    return torch.from_numpy(kept).to(given.boxes.device), torch.from_numpy(row).to(given.boxes.device)


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
