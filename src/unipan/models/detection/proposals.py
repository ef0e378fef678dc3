"""Sec. 3.3: region proposals, by torchvision's RPN, and how anchors and proposals are sampled for the losses.

Everything that becomes a box stays in 32 bits. torchvision samples from the global generator and averages over the
local batch; here every image has its own generator and averages are over all processes, so that the losses do not
depend on how the images are distributed over the processes.

Legend: N anchors or proposals of one image.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from unipan.ops.distributed import mean_count
from unipan.structures import Target

IGNORED = -1
"""Label of anchors and proposals that do not enter the loss, as in torchvision."""

Truth = dict[str, Any]
"""Of one image: `boxes` and `labels` as in torchvision (background is 0), and the image's own `generator`."""


class Float32RPNHead(RPNHead):  # type: ignore[misc]  # torchvision has no types
    """torchvision's head with outputs in 32 bits also under autocast, because they become boxes."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Objectness and box deltas per level."""
        logits, deltas = super().forward(x)
        return [each.float() for each in logits], [each.float() for each in deltas]


class AnchorMatcher:
    """The ground-truth box of every anchor (arXiv 1506.01497, Sec. 3.1.2), instead of torchvision's matcher.

    An anchor belongs to the box that it overlaps most, if by at least `high`; or by less, if no other anchor overlaps
    that box more. For torchvision's the latter also holds for an overlap of 0: where a crop leaves a sliver of a box at
    the edge, beyond the last small anchor, all anchors of the image match it.
    """

    BELOW_LOW_THRESHOLD, BETWEEN_THRESHOLDS = -1, -2  # for anchors without a box; the RPN knows them by these names

    def __init__(self, *, high: float, low: float) -> None:
        self.high, self.low = high, low

    def __call__(self, iou: Float[Tensor, "T N"]) -> Int[Tensor, " N"]:
        """The row of each anchor's box, or why it has none: below `low`, or between `low` and `high`."""
        overlap, box = iou.max(0)
        best = iou.amax(1, keepdim=True)
        matched = (overlap >= self.high) | ((iou == best) & (best > 0)).any(0)
        without = torch.where(overlap < self.low, self.BELOW_LOW_THRESHOLD, self.BETWEEN_THRESHOLDS)
        return torch.where(matched, box, without)


class ImagewiseRPN(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's RPN; its targets come from `truth_of`."""

    factor = 1
    """By which the limits at test are multiplied; for pictures that are larger than those of the training."""

    def pre_nms_top_n(self) -> int:
        """Proposals per level before NMS."""
        return int(super().pre_nms_top_n()) * (1 if self.training else self.factor)

    def post_nms_top_n(self) -> int:
        """Proposals per image after NMS."""
        return int(super().post_nms_top_n()) * (1 if self.training else self.factor)

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Truth]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Per image the label of every anchor, IGNORED outside of the sample, and its matched box."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        most, share = self.fg_bg_sampler.batch_size_per_image, self.fg_bg_sampler.positive_fraction
        for label, truth in zip(labels, targets, strict=True):
            label[~sample(label, most, share, truth["generator"])] = IGNORED
        return labels, boxes

    def compute_loss(
        self,
        objectness: Tensor,
        pred_bbox_deltas: Tensor,
        labels: list[Tensor],
        regression_targets: tuple[Tensor, ...],
    ) -> tuple[Tensor, Tensor]:
        """The losses of Faster R-CNN (arXiv 1506.01497, Eq. 1), averaged over the sampled anchors of all processes."""
        label, wanted = torch.cat(labels), torch.cat(regression_targets)
        positive, negative = (torch.nonzero(label == kind)[:, 0] for kind in (1, 0))
        rows = torch.cat([positive, negative])
        count = mean_count(len(rows), label.device)
        chance = F.binary_cross_entropy_with_logits(objectness.flatten()[rows], label[rows], reduction="sum")
        box = F.smooth_l1_loss(pred_bbox_deltas[positive], wanted[positive], beta=1 / 9, reduction="sum")
        return chance / count, box / count


def region_proposals(
    *, channels: int, anchors: AnchorGenerator, pre_nms: tuple[int, int], post_nms: tuple[int, int], batch_size: int
) -> ImagewiseRPN:
    """An RPN on FPN levels of `channels`.

    Args:
        channels: of every level.
        anchors: the same number at each cell of every level.
        pre_nms: proposals per level before NMS, in training and at test.
        post_nms: proposals per image after NMS, in training and at test.
        batch_size: anchors per image in the loss.
    """
    phases = ("training", "testing")
    before, after = (dict(zip(phases, most, strict=True)) for most in (pre_nms, post_nms))
    head = Float32RPNHead(channels, anchors.num_anchors_per_location()[0])
    rpn = ImagewiseRPN(anchors, head, 0.7, 0.3, batch_size, 0.5, before, after, 0.7)
    rpn.proposal_matcher = AnchorMatcher(high=0.7, low=0.3)
    return rpn


def truth_of(target: Target) -> Truth:
    """Boxes, labels and a generator that is seeded by the target."""
    device = target.boxes.device
    generator = None if target.seed is None else torch.Generator(device).manual_seed(target.seed)
    return {"boxes": target.boxes, "labels": target.classes + 1, "generator": generator}


def thin_out(truth: Truth, keep: float) -> tuple[Tensor, Tensor]:
    """Boxes and thing classes of an image, each kept with probability `keep`."""
    boxes, labels = truth["boxes"], truth["labels"]
    if keep < 1:
        rows = torch.rand(len(boxes), generator=truth["generator"], device=boxes.device) < keep
        boxes, labels = boxes[rows], labels[rows]
    return boxes, labels - 1


def sample(
    labels: Num[Tensor, " N"], most: int, positive_share: float, generator: torch.Generator | None
) -> Bool[Tensor, " N"]:
    """Sample the boxes of one image that enter a loss: at most `most`, a limited share of them positive (Fast R-CNN).

    Args:
        labels: above 0 positive, 0 background, below 0 never sampled.
        most: boxes to choose.
        positive_share: upper limit of the positive share; background fills the rest.
        generator: source of randomness; None is torch's global one.
    """
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    left = int(most * positive_share)
    for kind in (labels >= 1, labels == 0):
        rows = torch.nonzero(kind)[:, 0]
        order = torch.randperm(len(rows), generator=generator, device=labels.device)[:left]
        chosen[rows[order]] = True
        left = most - len(order)
    return chosen
