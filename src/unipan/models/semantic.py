"""Sec. 3.2 and A.1: the feature decoder, of which the semantic submodule is one and the affinity features another.

B images, h w = H/d W/d (d = 4 in the paper).
"""

import itertools
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from unipan.models.parts import LEVELS, P2_STRIDE
from unipan.ops.deformable import ConvolutionGrid, deformable_convolution
from unipan.ops.weighted_rows import samples_by_rows

PADDED = ConvolutionGrid(padding=(1, 1))


class DeformableConv(nn.Module):
    """3x3 deformable convolution v1 (arXiv 1703.06211), initialised as a plain one by zero offsets."""

    def __init__(self, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(in_channels, 18, 3, padding=1)
        self.conv = DeformConv2d(in_channels, out_channels, 3, padding=1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        """Offsets in the precision of the weights, also under autocast, where the product alone has 16 bits."""
        # Offsets in bf16 are off by pixels in wide images; torchvision's kernel does not support bf16.
        device, weight = features.device.type, self.conv.weight
        if torch.is_autocast_enabled(device) and samples_by_rows(features):
            weight = weight.to(torch.get_autocast_dtype(device))
        with torch.autocast(device, enabled=False):
            offset = self.offset(features.to(self.offset.weight.dtype))
            return deformable_convolution(features, offset, weight, self.conv.bias, PADDED)


class PyramidDecoder(nn.Module):
    """From P2-P5 to one map at stride d: V when `out_channels` is L, Q when it is C.

    `layers` 3x3 convolutions, each with GroupNorm and ReLU, shared by the four levels; their outputs, upsampled
    and concatenated, meet a 1x1 convolution. The last two layers give `channels`, an earlier one keeps its input's
    (UPSNet's design, which the paper takes; 1x1 for Q, where UPSNet has the score layer, is ours).

    Args:
        in_channels: of P2-P5.
        out_channels: of the map.
        layers: 2 on Cityscapes, 3 on COCO.
        channels: of each level before the 1x1.
        deformable: deformable convolutions, else plain ones.
        groups: of the GroupNorm.
        stride: d, P2's 4 or a divisor of it: the map is then upsampled bilinearly.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        layers: int,
        channels: int,
        deformable: bool,
        groups: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.stride = stride
        widths = [in_channels] * (layers - 1) + [channels] * 2
        self.layers = nn.Sequential(
            *(_layer(i, o, deformable, groups) for i, o in itertools.pairwise(widths)),
        )
        self.project = nn.Conv2d(len(LEVELS) * channels, out_channels, 1)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, features: Mapping[str, Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B O h w"]:
        """The map at the size of p2 (times 4 / stride), from at least p2..p5."""
        output = _with_gradient_alike(self.fuse(self.layers(features[level]) for level in LEVELS))
        if self.stride == P2_STRIDE:
            return output
        return F.interpolate(output, scale_factor=P2_STRIDE / self.stride, mode="bilinear", align_corners=False)

    def fuse(self, decoded: Iterable[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B O h w"]:
        """Upsample, concatenate and project; in another order, because a 1x1 convolution and bilinear upsampling
        commute.

        Each level is convolved at its own size with its columns of the 1x1 convolution, and the results are upsampled
        and added. This saves the wide concatenation and the convolution of the coarse levels at stride 4. Each level is
        made when it is its turn, so that one at a time is in memory.
        """
        first, *others = self.project.weight.chunk(len(LEVELS), dim=1)
        levels = iter(decoded)
        output = F.conv2d(next(levels), first, self.project.bias)
        for weight, level in zip(others, levels, strict=True):
            part = F.conv2d(level, weight)
            output += F.interpolate(part, output.shape[-2:], mode="bilinear", align_corners=False)
        return output


def _with_gradient_alike(output: Float[Tensor, "B O h w"]) -> Float[Tensor, "B O h w"]:
    """The map, whose gradient will lie in memory as it does: what is computed image by image returns it otherwise.

    The backward pass of `F.interpolate` takes twelve times as long on a CPU if the channels of its input come last and
    those of the gradient do not.
    """
    if output.requires_grad and output.is_contiguous(memory_format=torch.channels_last):
        output.register_hook(_channels_last)  # type: ignore[no-untyped-call]
    return output


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _layer(in_channels: int, out_channels: int, deformable: bool, groups: int) -> nn.Sequential:
    convolution: nn.Module
    if deformable:
        convolution = DeformableConv(in_channels=in_channels, out_channels=out_channels)
        inner: nn.Conv2d | DeformConv2d = convolution.conv
    else:
        convolution = inner = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.kaiming_normal_(inner.weight, nonlinearity="relu")
    nn.init.zeros_(inner.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.GroupNorm(groups, out_channels), nn.ReLU(inplace=True))
