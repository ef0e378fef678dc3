"""How the layers whose rows belong to classes start from those of a checkpoint with other classes.

A class that both have keeps its rows. A new one starts as the mean of all things, or of all stuff, of the checkpoint:
what is common to its things is much of what a detector knows, such as how a box is moved onto an object. This is ours
and not the paper's; `docs/own_data.md` shows what it brings where photographs and steps are few.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unipan.panoptic.categories import Category

CLASS_LAYERS = {
    "semantic.project": (1, 0),
    "detection.mask_predictor.mask_fcn_logits": (1, 0),
    "detection.roi.box_predictor.cls_score": (1, 1),
    "detection.roi.box_predictor.bbox_pred": (4, 1),
}
"""Layers whose rows belong to classes: rows per class, and the number of background classes before the first."""

SOFTMAX_BIASES = ("semantic.project.bias", "detection.roi.box_predictor.cls_score.bias")
"""Of layers whose classes compete."""

Matched = tuple[Sequence[Category], Sequence[Category], Mapping[int, int]]
"""Classes of a checkpoint, those of a network, and which of the latter is which of the former, by index."""


def class_rows(
    own: Mapping[str, Tensor], stored: Mapping[str, Tensor], classes: Matched, things: Matched
) -> dict[str, Tensor]:
    """Values for the layers of `CLASS_LAYERS` that have the same channels in both.

    Args:
        own: tensors of the network by name.
        stored: those of the checkpoint.
        classes: all of them, which V has.
        things: those that the detector has.

    Returns:
        Tensors with the shapes of `own`; none for a layer that nothing can be taken from.
    """
    found = {}
    for layer, (rows, backgrounds) in CLASS_LAYERS.items():
        shares, logits = _mean_of_kind(*(things if layer.startswith("detection.") else classes))
        keys = [f"{layer}.{kind}" for kind in ("weight", "bias")]
        fits = all(key in own and key in stored and own[key].shape[1:] == stored[key].shape[1:] for key in keys)
        if not fits or not shares.any():
            continue
        for key in keys:
            found[key] = _by_class(own[key], stored[key], shares, rows, backgrounds)
            if key in SOFTMAX_BIASES:
                found[key][backgrounds:] += logits.to(found[key])
    return found


def _mean_of_kind(old: Sequence[Category], new: Sequence[Category], same: Mapping[int, int]) -> tuple[Tensor, Tensor]:
    """The share of each class of `old` in each of `new`, and what is added to logits of a softmax.

    Returns:
        (new, old), with a row of zeros where `old` has none of the kind; and (new,): with it, the new classes of a kind
        together weigh as much as all of this kind did where those had one logit, and less elsewhere.
    """
    shares, logits = torch.zeros(len(new), len(old)), torch.zeros(len(new))
    for kind in (True, False):
        there = [n for n, each in enumerate(old) if each.isthing == kind]
        unknown = [n for n, each in enumerate(new) if each.isthing == kind and n not in same]
        if there and unknown:
            shares[torch.tensor(unknown)[:, None], torch.tensor(there)] = 1 / len(there)
            logits[unknown] = math.log(len(there) / len(unknown))
    for here, before in same.items():
        shares[here, before] = 1
    return shares, logits


def _by_class(fresh: Tensor, stored: Tensor, shares: Tensor, rows: int, backgrounds: int) -> Tensor:
    """`fresh` with the rows of the background, and of the classes by their `shares`, taken from `stored`."""
    taken, fixed, known = fresh.clone(), rows * backgrounds, shares.any(1)
    taken[:fixed] = stored[:fixed].to(fresh.dtype)
    of_classes = taken[fixed:].view(len(shares), -1)
    of_classes[known] = (shares[known] @ stored[fixed:].float().reshape(shares.shape[1], -1)).to(fresh.dtype)
    return taken
