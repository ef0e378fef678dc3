"""Sec. 3.1: the ResNet-FPN backbone with squeeze-and-excite on its top feature.

B images, H W their size; level p_l has stride 2^l.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FrozenBatchNorm2d, SqueezeExcitation

from unipan.models.pretrained import STANDARD_WIDTH, load_resnet
from unipan.models.pyramid import FeaturePyramid

BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """torchvision's ResNet without its classifier, of any width, with its parameter names.

    Args:
        depth: 18, 34, 50 or 101.
        width: channels of the stem, 64 in the standard network.
        frozen: freeze batch norm, stem and layer1 (res2).
        msra: put the stride of a stage in its first 1x1 convolution (MSRA's ResNet), not in the 3x3 (torchvision's).
    """

    def __init__(self, *, depth: int, width: int = STANDARD_WIDTH, frozen: bool = False, msra: bool = False) -> None:
        super().__init__()
        block, counts = BLOCKS[depth]
        norm: type[nn.Module] = FrozenBatchNorm2d if frozen else nn.BatchNorm2d
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        expansion = block.expansion
        self.layer1 = _residual_stage(block, width, width, counts[0], 1, norm)
        self.layer2 = _residual_stage(block, width * expansion, 2 * width, counts[1], 2, norm)
        self.layer3 = _residual_stage(block, 2 * width * expansion, 4 * width, counts[2], 2, norm)
        self.layer4 = _residual_stage(block, 4 * width * expansion, 8 * width, counts[3], 2, norm)
        self.channels = [width * expansion * 2**level for level in range(4)]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif msra and isinstance(module, Bottleneck):
                module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
        if frozen:
            self.conv1.requires_grad_(False)
            self.layer1.requires_grad_(False)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """C2, C3, C4, C5."""
        c2 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(pixels)))))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c2, c3, c4, self.layer4(c4)]


class ResNetFPN(nn.Module):
    """Backbone of the whole network: features F at strides 4 to 64.

    The paper puts squeeze-and-excite on the top ResNet feature "before" the first FPN feature. Here its output goes to
    the lateral of P5 only, in the form and with the reduction of SENet (ours).

    Args:
        depth: of the ResNet: 18, 34, 50 or 101.
        width: channels of its stem; only 64 has pretrained weights.
        fpn_channels: of every level.
        se_reduction: of the squeeze-and-excite; 0 leaves it out.
        frozen: freeze batch norm, stem and res2; for pretrained weights.
        fixed: train nothing of the ResNet.
        stride_in_1x1: of every stage, see `ResNet`.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        width: int = STANDARD_WIDTH,
        fpn_channels: int = 256,
        se_reduction: int = 16,
        frozen: bool = False,
        fixed: bool = False,
        stride_in_1x1: bool = False,
    ) -> None:
        super().__init__()
        self.depth = depth
        self.width = width
        self.out_channels = fpn_channels
        self.must_match: Mapping[str, object] = {"stride_in_1x1": stride_in_1x1}
        self.resnet = ResNet(depth=depth, width=width, frozen=frozen or fixed, msra=stride_in_1x1)
        if fixed:
            self.resnet.requires_grad_(False)
        top = self.resnet.channels[-1]
        self.excite = SqueezeExcitation(top, max(top // se_reduction, 1)) if se_reduction else nn.Identity()
        self.fpn = FeaturePyramid(in_channels=self.resnet.channels, out_channels=fpn_channels)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B F _ _"]]:
        """From normalised pixels to p2..p6; p6 is for the RPN only."""
        stages = self.stages(pixels)
        stages[-1] = self.excite(stages[-1])
        features: dict[str, Tensor] = self.fpn(stages)
        return features

    def stages(self, pixels: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """C2 to C5."""
        found: list[Tensor] = self.resnet(pixels)
        return found

    def load_pretrained(self, weights: str) -> None:
        """Fill the ResNet, see `load_resnet`; squeeze-and-excite and FPN keep their fresh weights."""
        load_resnet(self.resnet, weights, depth=self.depth, width=self.width)


def _residual_stage(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    planes: int,
    count: int,
    stride: int,
    norm: type[nn.Module],
) -> nn.Sequential:
    outputs = planes * block.expansion
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))
    first = block(inputs, planes, stride, downsample, norm_layer=norm)
    return nn.Sequential(first, *(block(outputs, planes, norm_layer=norm) for _ in range(count - 1)))
