"""Sec. 3.1: the ResNet-FPN backbone with squeeze-and-excite on its top feature.

B images, H W their size; level p_l has stride 2^l.
"""

import pickle
from collections import OrderedDict
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model_weights
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d, SqueezeExcitation
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

STANDARD_WIDTH = 64

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
        frozen: batch norm as fixed scale and shift; stem and layer1 (res2) learn nothing.
        msra: a stage's stride stands in its first 1x1 (MSRA's ResNet), not in its 3x3 (torchvision's).
    """

    def __init__(self, depth: int, width: int = STANDARD_WIDTH, frozen: bool = False, msra: bool = False) -> None:
        super().__init__()
        block, counts = BLOCKS[depth]
        norm: type[nn.Module] = FrozenBatchNorm2d if frozen else nn.BatchNorm2d
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        expansion = block.expansion
        self.layer1 = _stage(block, width, width, counts[0], 1, norm)
        self.layer2 = _stage(block, width * expansion, 2 * width, counts[1], 2, norm)
        self.layer3 = _stage(block, 2 * width * expansion, 4 * width, counts[2], 2, norm)
        self.layer4 = _stage(block, 4 * width * expansion, 8 * width, counts[3], 2, norm)
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
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        c2 = self.layer1(x)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c2, c3, c4, self.layer4(c4)]


class ResNetFPN(nn.Module):
    """Backbone of the whole network: features F at strides 4 to 64.

    The paper says that the squeeze-and-excite stands on the top ResNet feature "before" the first FPN feature; we
    give its output to the lateral of P5 alone, and take SENet's own form and reduction (ours).

    Args:
        depth: of the ResNet: 18, 34, 50 or 101.
        width: channels of its stem; only 64 has pretrained weights.
        fpn_channels: of every level.
        se_reduction: of the squeeze-and-excite; 0 leaves it out.
        frozen: fixed batch norm, stem and res2: for pretrained weights.
        stride_in_1x1: of every stage, see `ResNet`.
    """

    def __init__(
        self,
        depth: int = 50,
        width: int = STANDARD_WIDTH,
        fpn_channels: int = 256,
        se_reduction: int = 16,
        frozen: bool = False,
        stride_in_1x1: bool = False,
    ) -> None:
        super().__init__()
        self.depth = depth
        self.width = width
        self.out_channels = fpn_channels
        self.stride_in_1x1 = stride_in_1x1
        self.resnet = ResNet(depth, width, frozen, stride_in_1x1)
        top = self.resnet.channels[-1]
        self.excite = SqueezeExcitation(top, max(top // se_reduction, 1)) if se_reduction else nn.Identity()
        self.fpn = FeaturePyramidNetwork(self.resnet.channels, fpn_channels, extra_blocks=LastLevelMaxPool())

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B F _ _"]]:
        """From pixels normalised by the ImageNet mean and deviation to p2..p6; p6 serves the RPN alone."""
        c2, c3, c4, c5 = self.resnet(pixels)
        features = self.fpn(OrderedDict(p2=c2, p3=c3, p4=c4, p5=self.excite(c5)))
        features["p6"] = features.pop("pool")
        return dict(features)


def load_pretrained(backbone: ResNetFPN, weights: str) -> None:
    """Fill the ResNet of a backbone.

    Args:
        backbone: changed in place; squeeze-and-excite and FPN keep their fresh weights.
        weights: `imagenet` (torchvision's, downloaded once), or a .pth or .safetensors file with torchvision's names.

    Raises:
        FileNotFoundError: the file is missing, or the download fails.
        ValueError: the weights are of another network.
    """
    state = _download(backbone) if weights == "imagenet" else _read(Path(weights))
    own = backbone.resnet.state_dict()
    state = {key: value for key, value in state.items() if not _left_over(key)}
    problems = [f"{key} is missing" for key in own if key not in state and not _left_over(key)]
    problems += [f"{key} is unexpected" for key in state if key not in own]
    problems += [
        f"{key} has shape {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in state.items()
        if key in own and value.shape != own[key].shape
    ]
    if problems:
        raise ValueError(
            f"backbone weights {weights}: not those of a ResNet-{backbone.depth} of width {backbone.width} "
            f"({'; '.join(problems[:3])}{f'; and {len(problems) - 3} more' if len(problems) > 3 else ''}); "
            "give weights with torchvision's names or change backbone.depth"
        )
    backbone.resnet.load_state_dict(state, strict=False)


def _stage(
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


def _left_over(key: str) -> bool:
    """The classifier is not ours, and frozen batch norm counts no batches."""
    return key.startswith("fc.") or key.endswith("num_batches_tracked")


def check_width(width: int) -> None:
    """Raises ValueError where torchvision has no ImageNet weights: networks of another width than the published."""
    if width != STANDARD_WIDTH:
        raise ValueError(
            f"backbone.weights: imagenet weights exist for width {STANDARD_WIDTH} only, not {width}; "
            f"set backbone.width to {STANDARD_WIDTH}, or backbone.weights to none or a file"
        )


def _download(backbone: ResNetFPN) -> dict[str, Tensor]:
    check_width(backbone.width)
    enum = get_model_weights(f"resnet{backbone.depth}")["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = dict(enum.get_state_dict(progress=True, check_hash=True))
    except (OSError, RuntimeError) as error:
        name = str(enum.url).rsplit("/", 1)[-1]
        raise FileNotFoundError(
            f"backbone weights: the download of {name} failed ({error}); fetch {enum.url} on another machine "
            "and give the file as --init FILE (backbone.weights)"
        ) from error
    return state


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"backbone weights: there is no file {path}; give imagenet, none or a weight file")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"backbone weights {path}: cannot be read ({reason}); give a .safetensors or .pth file of tensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"backbone weights {path}: holds something else than named tensors; give a state dict")
    return state
