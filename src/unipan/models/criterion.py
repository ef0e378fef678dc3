"""Sec. 3.5, A.1, A.2, App. B: the losses, as named terms and named weights.

Averages are over the boxes or pixels of all processes (`mean_count`), so losses and gradients do not depend on how a
batch is split over processes. The exception is the Lovasz softmax, which ranks the pixels of a batch against each
other: its batch is what one process holds in one backward pass, as in the paper (App. B).

With gradient accumulation, the cross entropy of V is an average over all backward passes of a step (`labelled`), and so
are the RPN and box losses if every image fills its sample of anchors and proposals. Mask and panoptic terms are
averaged within a pass and then over passes, because the number of boxes and pixels that count is not known in advance.

Legend: B images, K channels of one image, L classes, h w = H/d W/d (d = 4 in the paper).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unipan.ops.distributed import mean_count
from unipan.ops.lovasz import lovasz_hinge, lovasz_softmax
from unipan.ops.masks import reduce_labels
from unipan.ops.upsampled_loss import upsampled_cross_entropy
from unipan.panoptic.maps import VOID
from unipan.structures import PanopticOutput, Target

DETECTION_TERMS = ("rpn_objectness", "rpn_box", "box_class", "box_regression", "mask")

LossKind = Literal["cross_entropy", "lovasz", "both"]


class Criterion(nn.Module):
    """Losses of a batch: `terms(output, targets)` unweighted and named, `total(terms)` their weighted sum.

    Args:
        weights: by the name of a term: DETECTION_TERMS, `semantic`, `panoptic` (the loss on P), `potential` (the same
            loss on Psi), and whatever a subclass adds to them.
        stride: pixels of the input per cell of V.
        semantic_kind: cross entropy or Lovasz softmax on V, or their sum.
        semantic_stride: the semantic loss is taken at 1/stride of the input.
        log: cross entropy on log P, not on P as logits (the paper's text allows both).
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        stride: int,
        semantic_kind: LossKind = "cross_entropy",
        semantic_stride: int = 1,
        log: bool = False,
    ) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.stride = stride
        self.semantic_kind = semantic_kind
        self.semantic_stride = semantic_stride
        self.log = log

    def forward(
        self, output: PanopticOutput, targets: list[Target], labelled: float | None = None
    ) -> dict[str, Tensor]:
        """The named terms, each a scalar; panoptic terms are left out if their weight is 0, or without Psi and P.

        Args:
            output: of the network, called with the targets.
            targets: one per image.
            labelled: the divisor of the cross entropy of V, if the batch is one of several in a step: the average
                number of labelled pixels per process and batch.

        Raises:
            ValueError: the output was made without targets.
        """
        if output.labels is None:
            raise ValueError("criterion: the network's output has no labels; call the network with targets")
        terms = dict(output.detection_losses)
        height, width = (side * self.stride for side in output.semantic.shape[-2:])
        labels = [_pad(target.semantic, height, width) for target in targets]
        terms["semantic"] = semantic_loss(
            output.semantic, torch.stack(labels), self.semantic_kind, self.semantic_stride, labelled
        )
        if self.weights["panoptic"] and output.panoptic:
            terms["panoptic"] = panoptic_loss(output.panoptic, output.labels, output.temperature, self.log)
        if self.weights["potential"] and output.potentials:
            terms["potential"] = panoptic_loss(output.potentials, output.labels, output.temperature, self.log)
        return terms

    def labelled(self, targets: list[Target]) -> int:
        """Number of pixels that enter the cross entropy of V; known before the forward pass."""
        stride = self.semantic_stride
        sizes = [(-(-t.semantic.shape[0] // stride), -(-t.semantic.shape[1] // stride)) for t in targets]
        padded = [_pad(t.semantic, h * stride, w * stride) for t, (h, w) in zip(targets, sizes, strict=True)]
        return sum(_counted(reduce_labels(each, *size)) for each, size in zip(padded, sizes, strict=True))

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of the named terms.

        Raises:
            ValueError: a term without a weight.
        """
        for name in terms.keys() - self.weights.keys():
            raise ValueError(f"criterion: the loss term {name!r} has no weight; add it to `weights`")
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()


def semantic_loss(
    semantic: Float[Tensor, "B L h w"],
    labels: Int[Tensor, "B H W"],
    kind: str,
    stride: int,
    labelled: float | None = None,
) -> Float[Tensor, ""]:
    """Cross entropy or Lovasz softmax (or their sum) at 1/stride of the image, V upsampled bilinearly.

    The Lovasz softmax is taken over the whole batch of this process and backward pass (App. B: many crops per GPU make
    it work). The cross entropy is divided by the labelled pixels per process, or by `labelled`.
    """
    height, width = labels.shape[1] // stride, labels.shape[2] // stride
    labels = torch.stack([reduce_labels(each, height, width) for each in labels])
    logits = semantic.float()
    if height < logits.shape[-2]:
        logits = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
    loss = logits.sum() * 0
    if kind in ("cross_entropy", "both"):
        count = mean_count(_counted(labels), labels.device) if labelled is None else labelled
        sums = [upsampled_cross_entropy(v, each, VOID) for v, each in zip(logits, labels, strict=True)]
        loss = loss + torch.stack(sums).sum() / count
    if kind in ("lovasz", "both"):
        if logits.shape[-2:] != (height, width):
            logits = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        loss = loss + lovasz_softmax(logits.softmax(1).movedim(1, -1).flatten(0, 2), labels.flatten())
    return loss


def mask_loss(logits: Float[Tensor, "R m m"], wanted: Float[Tensor, "R m m"], kind: str) -> Float[Tensor, ""]:
    """Mean over the boxes of the Lovasz hinge (A.2: in place of the cross entropy), of the latter, or both."""
    loss = logits.sum() * 0
    share = len(logits) / mean_count(len(logits), logits.device)
    if len(logits) == 0:
        return loss
    if kind in ("lovasz", "both"):
        loss = loss + lovasz_hinge(logits.flatten(1), wanted.flatten(1)).mean() * share
    if kind in ("cross_entropy", "both"):
        loss = loss + F.binary_cross_entropy_with_logits(logits, wanted) * share
    return loss


def panoptic_loss(
    panoptic: list[Tensor], labels: list[Tensor], temperature: Tensor, log: bool = False
) -> Float[Tensor, ""]:
    """Cross entropy of every image's P against its matched truth, mean over all pixels of the batch that count.

    Args:
        panoptic: per image (K, h, w); K differs.
        labels: per image the winning channel, VOID = ignored; may be finer than P, which is then upsampled.
        temperature: factor on P before the softmax.
        log: normalise P to a distribution instead (cross entropy on log P; P must not be negative).
    """
    total = sum((p.sum() * 0 for p in panoptic), start=temperature * 0)
    count = mean_count(sum(_counted(each) for each in labels), temperature.device)
    for p, wanted in zip(panoptic, labels, strict=True):
        scores = p.float()
        if not log:  # upsampling is linear, so the factor comes first, where there is less to multiply
            total = total + upsampled_cross_entropy(scaled(scores, temperature, log), wanted, VOID)
            continue
        if scores.shape[-2:] != wanted.shape:
            scores = F.interpolate(scores[None], wanted.shape, mode="bilinear", align_corners=False)[0]
        logits = scaled(scores, temperature, log)[None]
        total = total + F.cross_entropy(logits, wanted[None], ignore_index=VOID, reduction="sum")
    return total / count


def scaled(panoptic: Float[Tensor, "*shape"], temperature: Tensor | float, log: bool) -> Float[Tensor, "*shape"]:
    """The logits of P's softmax: P or, with `log`, log P, times the temperature."""
    return temperature * ((panoptic + 1e-6).log() if log else panoptic)


def _counted(labels: Tensor) -> int:
    return int((labels != VOID).sum())


def _pad(labels: Tensor, height: int, width: int) -> Tensor:
    return F.pad(labels, (0, width - labels.shape[1], 0, height - labels.shape[0]), value=VOID)
