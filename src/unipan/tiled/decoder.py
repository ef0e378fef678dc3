"""Sec. 3.2 and A.1 in tiles: V or Q of a whole picture, from its feature pyramid.

GroupNorm normalises by the mean and variance of a whole level. So each layer is computed twice over: the convolution of
all tiles first, which counts both, and then what the next layer sees of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unipan.models.parts import LEVELS
from unipan.models.semantic import DeformableConv, PyramidDecoder
from unipan.tiled.windows import FeatureMap, windows

OFFSET_REACH = 16
"""Cells that a deformable convolution may look away, on each side; beyond it sees zeros."""


@dataclass(frozen=True)
class Normalised:
    """A map with what is done to it when it is read: scale and shift of each channel, then ReLU; or nothing."""

    map: FeatureMap
    scale: Tensor | None = None
    shift: Tensor | None = None

    def read(self, *place: Any) -> Float[Tensor, "1 C h w"]:
        """A window, as a batch of one."""
        values = self.map.read(*place)
        if self.scale is not None and self.shift is not None:
            values = torch.addcmul(self.shift, values, self.scale).relu_()
        return values[None]


@torch.no_grad()
def decoded(decoder: PyramidDecoder, levels: Mapping[str, FeatureMap], side: int) -> FeatureMap:
    """The decoder's map at the size of P2; windows are squares of `side` cells."""
    device = decoder.project.weight.device
    output: FeatureMap | None = None
    for step, (name, weight) in enumerate(zip(LEVELS, decoder.project.weight.chunk(len(LEVELS), dim=1), strict=True)):
        hidden = Normalised(levels[name])
        for layer in decoder.layers:
            hidden = _convolved(cast(nn.Sequential, layer), hidden, side, device)
        bias = decoder.project.bias if output is None else None
        part = FeatureMap(decoder.out_channels, hidden.map.size)
        for window in windows(part.size, side):
            part.write(window, F.conv2d(hidden.read(window, device), weight, bias)[0])
        if output is None:
            output = part
        else:
            _add_upsampled(output, part, 2**step, side, device)
    assert output is not None
    return output


def _convolved(layer: nn.Sequential, before: Normalised, side: int, device: torch.device) -> Normalised:
    """One convolution of a whole level, with the statistics of its GroupNorm."""
    convolution, norm = layer[0], cast(nn.GroupNorm, layer[1])
    reach = 1 + OFFSET_REACH if isinstance(convolution, DeformableConv) else 1
    size = before.map.size
    after = FeatureMap(norm.num_channels, size)
    sums = torch.zeros(2, norm.num_groups, dtype=torch.float64, device=device)
    for window in windows(size, side):
        seen = window.grown(reach, size)
        values = convolution(before.read(seen, device))[0, :, *window.within(seen)]
        after.write(window, values)
        grouped = values.reshape(norm.num_groups, -1).double()
        sums += torch.stack([grouped.sum(1), grouped.square().sum(1)])
    mean, square = sums / (size[0] * size[1] * (norm.num_channels // norm.num_groups))
    deviation = (square - mean.square()).clamp(min=0).add(norm.eps).sqrt()
    mean, deviation = (each.repeat_interleave(norm.num_channels // norm.num_groups) for each in (mean, deviation))
    scale = norm.weight.double() / deviation
    shift = norm.bias.double() - mean * scale
    return Normalised(after, *(each.float()[:, None, None] for each in (scale, shift)))


def _add_upsampled(output: FeatureMap, part: FeatureMap, factor: int, side: int, device: torch.device) -> None:
    """Add a coarser level, bilinearly."""
    for window in windows(output.size, side):
        upsampled = read_upsampled(part, window, factor, device)
        output.write(window, output.read(window, device) + upsampled)


def read_upsampled(part: FeatureMap, window: Any, factor: int, device: torch.device) -> Float[Tensor, "C h w"]:
    """A window of a map after bilinear upsampling by `factor`; the window is one of the finer grid."""
    if factor == 1:
        return part.read(window, device)
    seen = window.over(factor).grown(1, part.size)
    fine = F.interpolate(part.read(seen, device)[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]
    return fine[:, *window.within(seen.times(factor))]
