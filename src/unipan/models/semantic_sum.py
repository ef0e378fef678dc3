"""The semantic head of Panoptic FPN (arXiv 1901.02446, Sec. 3, Fig. 3), the baseline of Table 2: it sums the levels.

B images, h w = H/d W/d (d = 4 in the paper).
"""

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unipan.models.parts import LEVELS, P2_STRIDE


class SummingDecoder(nn.Module):
    """From P2-P5 to one map at stride d, a drop-in replacement for `PyramidDecoder`.

    P_l is brought to the size of P2 in l - 2 stages, each a 3x3 convolution with GroupNorm and ReLU followed by
    bilinear upsampling by 2; P2 has one stage without upsampling. The four maps are added and passed through a 1x1
    convolution. Unlike in `PyramidDecoder`, each level has its own weights.

    `levels.p5` holds the stages at 0, 2, 4 and the upsampling at 1, 3, 5; a stage is a convolution (0, without a bias,
    because the norm has one) and a norm (1): `levels.p5.2.1.weight` is the scale of P5's second norm.

    Args:
        in_channels: of P2-P5.
        out_channels: of the map.
        channels: of every stage (128 in the paper).
        groups: of the GroupNorm (32 in the paper).
        stride: d, P2's 4 or a divisor of it: the map is then upsampled bilinearly.
    """

    def __init__(self, *, in_channels: int, out_channels: int, channels: int, groups: int, stride: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.stride = stride
        self.levels = nn.ModuleDict(
            {name: _climb(in_channels, channels, groups, doublings) for doublings, name in enumerate(LEVELS)}
        )
        self.project = nn.Conv2d(channels, out_channels, 1)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, features: Mapping[str, Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B O h w"]:
        """The map at the size of p2 (times 4 / stride), from at least p2..p5, each half as large as the one before.

        Raises:
            RuntimeError: sides of P2 that are no multiples of 8 (inputs are padded to multiples of 32).
        """
        total = self.levels["p2"](features["p2"])
        for name in LEVELS[1:]:
            total = total + self.levels[name](features[name])
        output: Tensor = self.project(total)
        if self.stride == P2_STRIDE:
            return output
        return F.interpolate(output, scale_factor=P2_STRIDE / self.stride, mode="bilinear", align_corners=False)


def _climb(in_channels: int, channels: int, groups: int, doublings: int) -> nn.Sequential:
    stages: list[nn.Module] = []
    for index in range(max(1, doublings)):
        stages.append(_convolution_stage(in_channels if index == 0 else channels, channels, groups))
        if doublings:
            stages.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*stages)


def _convolution_stage(in_channels: int, channels: int, groups: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.GroupNorm(groups, channels), nn.ReLU(inplace=True))
