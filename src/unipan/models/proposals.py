"""Sec. 3.3: region proposals, by torchvision's RPN. Everything that becomes a box stays in 32 bits."""

from torch import Tensor
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from unipan.config import DetectionConfig
from unipan.models.anchors import anchor_generator


class Float32RPNHead(RPNHead):  # type: ignore[misc]  # torchvision has no types
    """torchvision's head, whose outputs stay in 32 bits under autocast: they become boxes."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Objectness and box deltas per level."""
        logits, deltas = super().forward(x)
        return [each.float() for each in logits], [each.float() for each in deltas]


def region_proposals(channels: int, config: DetectionConfig) -> RegionProposalNetwork:
    """An RPN on FPN levels of `channels`, one anchor size per level; called as torchvision's."""
    anchors = anchor_generator(config)
    phases = ("training", "testing")
    before, after = (dict(zip(phases, most, strict=True)) for most in (config.rpn_pre_nms, config.rpn_post_nms))
    head = Float32RPNHead(channels, len(config.anchor_ratios))
    return RegionProposalNetwork(anchors, head, 0.7, 0.3, config.rpn_batch, 0.5, before, after, 0.7)
