"""The Lovasz losses: convex surrogates of 1 - Jaccard, the segmentation measure itself.

Berman, Triki, Blaschko, "The Lovasz-Softmax loss", CVPR 2018 (arXiv 1705.08790).
"""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from unipan.panoptic.maps import VOID


def lovasz_hinge(logits: Float[Tensor, "R P"], targets: Shaped[Tensor, "R P"]) -> Float[Tensor, " R"]:
    """Binary loss of each row (Sec. 3.1 there).

    Args:
        logits: of the foreground.
        targets: 1 or True in the foreground, else 0.

    Returns:
        The loss of each row: 2 (1 - Jaccard) for logits of +-1, and 0 if every margin is at least 1. At least 32-bit,
        also under autocast.
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
    present = torch.unique(labels).tolist()
    columns = probabilities.unbind(1)  # the gradient is written once; indexing would sum L maps of P x L
    # One class at a time: sorting all of them at once would take several times P x L.
    for label in present:
        foreground = labels == label
        chance = columns[label]
        errors = torch.where(foreground, 1 - chance, chance)
        loss = loss + (_gradient(errors, foreground) * errors).sum()
    return loss / max(len(present), 1)


@torch.no_grad()
def _gradient(errors: Float[Tensor, "*R P"], foreground: Shaped[Tensor, "*R P"]) -> Float[Tensor, "*R P"]:
    """The weight of each error in the Lovasz extension of the Jaccard loss (Alg. 1 there), per row.

    The extension is linear as long as the order of the errors does not change, so no gradient flows through this.
    """
    order = errors.argsort(dim=-1, descending=True)
    hits = foreground.gather(-1, order).to(errors.dtype)
    total = hits.sum(-1, keepdim=True)
    jaccard = 1 - (total - hits.cumsum(-1)) / (total + (1 - hits).cumsum(-1))
    gains = torch.diff(jaccard, dim=-1, prepend=torch.zeros_like(total))
    return torch.zeros_like(errors).scatter(-1, order, gains)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
