"""Sec. 3.1 in tiles: the feature pyramid of a whole picture.

A tile is seen with as much around it as one cell of C5 sees of the picture, and what lies around is cut off again: so
each cell is what it is in the whole picture. Squeeze-and-excite, which averages over the picture, and the pyramid come
afterwards, when C2 to C5 are complete.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from unipan.datasets.sizes import MULTIPLE
from unipan.models.backbone import ResNetFPN
from unipan.models.detection.head import DetectionHead
from unipan.models.network import PanopticNetwork
from unipan.models.parts import LEVELS
from unipan.models.semantic import PyramidDecoder
from unipan.models.timm_backbone import STRIDES, TimmFPN
from unipan.structures import IMAGENET_MEAN
from unipan.tiled.windows import CellWindow, FeatureMap, GridSize, windows


class PaddedPicture:
    """A picture at the network's size, padded at the bottom and right to multiples of 32, of which tiles are read."""

    def __init__(self, pixels: UInt8[Tensor, "3 H W"]) -> None:
        self.pixels = pixels
        height, width = pixels.shape[1:]
        self.size: GridSize = (math.ceil(height / MULTIPLE) * MULTIPLE, math.ceil(width / MULTIPLE) * MULTIPLE)

    def read(self, window: CellWindow, device: torch.device) -> Float[Tensor, "1 3 h w"]:
        """A tile, RGB in 0..1; padding has the mean colour."""
        tile = torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1).repeat(1, 1, *window.size)
        rows, columns = window.slices
        inside = self.pixels[:, rows, columns]
        tile[0, :, : inside.shape[1], : inside.shape[2]] = inside.to(device).float() / 255
        return tile


def feature_pyramid(network: PanopticNetwork, picture: PaddedPicture, side: int) -> dict[str, FeatureMap]:
    """P2 to P5 of the whole picture; tiles are squares of `side` pixels, a multiple of 64.

    Raises:
        ValueError: a backbone that cannot be cut into tiles, see `tileable`.
    """
    backbone = tileable(network)
    device = network.mean.device
    stages = _stages(network, backbone, picture, side)
    top = backbone.excite(stages[-1].tensor.to(device)[None])[0]
    stages[-1].tensor[:] = top.cpu()
    fpn: Any = backbone.fpn
    levels: dict[str, FeatureMap] = {}
    above: FeatureMap | None = None
    for index in reversed(range(len(LEVELS))):
        stage = stages.pop()
        inner, level = (FeatureMap(backbone.out_channels, stage.size) for _ in range(2))
        for window in windows(stage.size, side // STRIDES[0]):
            value = fpn.inner_blocks[index](stage.read(window, device)[None])[0]
            if above is not None:  # "nearest", by 2
                coarse = above.read(window.over(2), device)
                value += coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)
            inner.write(window, value)
        for window in windows(stage.size, side // STRIDES[0]):
            seen = window.grown(1, stage.size)
            value = fpn.layer_blocks[index](inner.read(seen, device)[None])[0]
            level.write(window, value[:, *window.within(seen)])
        levels[LEVELS[index]], above = level, inner
    return {name: levels[name] for name in LEVELS}


def tileable(network: PanopticNetwork) -> ResNetFPN | TimmFPN:
    """The backbone, if the network can be cut into tiles.

    Raises:
        ValueError: it cannot: a part is not ours, or sees the whole picture at once.
    """
    backbone = network.backbone
    if not isinstance(backbone, ResNetFPN | TimmFPN) or not isinstance(network.detection, DetectionHead):
        raise ValueError("tiles: only unipan's own backbones and detectors can be cut into tiles")
    decoders = [network.semantic, *([network.affinity.extractor] if network.affinity else [])]
    if not all(isinstance(decoder, PyramidDecoder) for decoder in decoders):
        raise ValueError("tiles: the decoder of Panoptic FPN (decoder.kind=sum) needs the whole picture; leave --tiles")
    receptive_radius(backbone)
    return backbone


@torch.no_grad()
def receptive_radius(backbone: ResNetFPN | TimmFPN) -> int:
    """Pixels on each side of a cell of C5 that it can depend on: the reach of all convolutions one after the other.

    Raises:
        ValueError: a layer that sees the whole picture at once.
    """
    probe = 4 * MULTIPLE
    reach = [0.0]

    def note(module: Any, arguments: Any, _output: Any) -> None:
        side = arguments[0].shape[-1]
        if arguments[0].ndim != 4 or side == 1:
            raise ValueError(
                "tiles: a layer of this backbone averages over the whole picture (squeeze-and-excite), so that it "
                "cannot be cut into tiles; leave out --tiles"
            )
        size, dilation = (v if isinstance(v, int) else v[0] for v in (module.kernel_size, module.dilation))
        reach[0] += (size - 1) / 2 * dilation * probe / side

    body = backbone.resnet if isinstance(backbone, ResNetFPN) else backbone.body
    kinds = (nn.Conv2d, nn.MaxPool2d)
    held = [module.register_forward_hook(note) for module in body.modules() if isinstance(module, kinds)]
    try:
        backbone.stages(torch.zeros(1, 3, probe, probe, device=next(body.parameters()).device))
    finally:
        for each in held:
            each.remove()
    return math.ceil(reach[0])


def halo_of(backbone: ResNetFPN | TimmFPN) -> int:
    """What surrounds a tile on each side: the receptive radius in whole cells of C5, which keeps all grids in step."""
    return math.ceil(receptive_radius(backbone) / MULTIPLE) * MULTIPLE


def _stages(
    network: PanopticNetwork, backbone: ResNetFPN | TimmFPN, picture: PaddedPicture, side: int
) -> list[FeatureMap]:
    """C2 to C5."""
    halo = halo_of(backbone)
    maps: list[FeatureMap] = []
    for window in windows(picture.size, side):
        seen = window.grown(halo, picture.size)
        pixels = picture.read(seen, network.mean.device)
        found = backbone.stages((pixels - network.mean) / network.std)
        if not maps:
            height, width = picture.size
            maps = [
                FeatureMap(level.shape[1], (height // stride, width // stride))
                for level, stride in zip(found, STRIDES, strict=True)
            ]
        for target, level, stride in zip(maps, found, STRIDES, strict=True):
            own = window.over(stride)
            target.write(own, level[0, :, *own.within(seen.over(stride))])
    return maps
