"""Sec. 3.1: the feature pyramid network (arXiv 1612.03144), on any backbone's C2 to C5.

B images, F channels of every level; level p_l has stride 2^l.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import FeaturePyramidNetwork

from unipan.models.parts import LEVELS


class FeaturePyramid(FeaturePyramidNetwork):  # type: ignore[misc]  # torchvision has no types
    """torchvision's, which lets go of each input once it is used.

    At full size these maps are the largest of the network (256 channels at stride 4), and torchvision keeps all of them
    until the end.

    Args:
        in_channels: of C2 to C5.
        out_channels: F.
    """

    def __init__(self, *, in_channels: list[int], out_channels: int) -> None:
        super().__init__(in_channels, out_channels)

    def forward(self, stages: list[Float[Tensor, "B _ _ _"]]) -> dict[str, Float[Tensor, "B F _ _"]]:
        """From C2 to C5, in a list that is empty afterwards, to p2..p6; p6 is every other cell of p5."""
        levels: dict[str, Tensor] = {}
        merged: Tensor | None = None
        for name, lateral, output in zip(LEVELS[::-1], self.inner_blocks[::-1], self.layer_blocks[::-1], strict=True):
            finer: Tensor = lateral(stages.pop())
            if merged is not None:
                finer += F.interpolate(merged, finer.shape[-2:], mode="nearest")
            merged = finer
            levels[name] = output(merged)
        return {name: levels[name] for name in LEVELS} | {"p6": levels["p5"][..., ::2, ::2]}
