"""The Lovasz losses: convex surrogates of 1 - Jaccard, the segmentation measure itself.

Berman, Triki, Blaschko, "The Lovasz-Softmax loss", CVPR 2018 (arXiv 1705.08790).
"""

from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from unipan.structures import VOID


def lovasz_hinge(logits: Float[Tensor, "R P"], targets: Shaped[Tensor, "R P"]) -> Float[Tensor, " R"]:
    """Binary loss of each row by itself (Sec. 3.1 there).

    Args:
        logits: of the foreground.
        targets: 1 or True in the foreground, else 0.

    Returns:
        At logits of +-1 it is 2 (1 - Jaccard) where they are wrong, 0 where all margins reach 1. At least
        32-bit, also under autocast.
    """
    logits = _at_least_float32(logits)
    foreground = targets.bool()
    errors = (1 - torch.where(foreground, logits, -logits)).relu()
    return (_gradient(errors, foreground) * errors).sum(1)


def lovasz_softmax(probabilities: Float[Tensor, "P L"], labels: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Mean over the classes present in `labels` of each class's loss (Sec. 3.2 there).

    Args:
        probabilities: of the L classes at P pixels.
        labels: class index, or VOID for pixels that do not count.

    Returns:
        1 - mean Jaccard where the probabilities are 0 or 1; 0, with a gradient of zeros, if all is VOID.
    """
    counted = labels != VOID
    probabilities, labels = _at_least_float32(probabilities[counted]), labels[counted]
    loss = probabilities.sum() * 0
    present = torch.unique(labels)
    # One class at a time: all sorted together would be several times P x L.
    for label in present:
        foreground = labels == label
        chance = probabilities[:, label]
        errors = torch.where(foreground, 1 - chance, chance)
        loss = loss + (_gradient(errors, foreground) * errors).sum()
    return loss / max(len(present), 1)


def mask_loss(
    logits: Float[Tensor, "R m m"],
    targets: Float[Tensor, "R m m"],
    kind: Literal["lovasz", "cross_entropy", "both"] = "lovasz",
) -> Float[Tensor, ""]:
    """Mean loss of R object masks, the Lovasz hinge in the place of cross entropy (A.2).

    The paper does not say over what the Jaccard index is taken; we take one mask at a time (ours), so that
    every object counts the same, as in PQ and AP.

    Args:
        logits: of the masks' own classes.
        targets: 0 or 1.
        kind: `both` is the sum of the two.

    Returns:
        0, with a gradient of zeros, when R = 0.
    """
    logits, targets = _at_least_float32(logits).flatten(1), targets.flatten(1)
    rows = logits.new_zeros(len(logits))
    if kind in ("lovasz", "both"):
        rows = rows + lovasz_hinge(logits, targets)
    if kind in ("cross_entropy", "both"):
        rows = rows + F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="none").mean(1)
    return rows.sum() / max(len(rows), 1)


@torch.no_grad()
def _gradient(errors: Float[Tensor, "*R P"], foreground: Shaped[Tensor, "*R P"]) -> Float[Tensor, "*R P"]:
    """What the Lovasz extension of the Jaccard loss multiplies each error by (Alg. 1 there), per row.

    The extension is linear while the order of the errors stays, so this needs no gradient of its own.
    """
    order = errors.argsort(dim=-1, descending=True)
    hits = foreground.gather(-1, order).to(errors.dtype)
    total = hits.sum(-1, keepdim=True)
    jaccard = 1 - (total - hits.cumsum(-1)) / (total + (1 - hits).cumsum(-1))
    gains = torch.diff(jaccard, dim=-1, prepend=torch.zeros_like(total))
    return torch.zeros_like(errors).scatter(-1, order, gains)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
