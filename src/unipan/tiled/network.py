"""Fig. 2 in tiles: the network and the argmax of P on a picture that is too large for memory, as if it were whole.

Memory holds a tile with what surrounds it, and the picture and its map; what the network computes of the whole picture
lies in temporary files (see `FeatureMap`).
"""

import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from unipan.config import Config
from unipan.datasets.transforms import resize_pixels
from unipan.fusion.argmax import Axis, Grid, argmax, sample_axis, upsample
from unipan.fusion.margin import margin_on
from unipan.models.criterion import scaled
from unipan.models.detection.head import DetectionHead
from unipan.models.network import PanopticNetwork
from unipan.models.parts import P2_STRIDE
from unipan.models.semantic import PyramidDecoder
from unipan.numpy_fusion.painting import map_of_channels
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Geometry
from unipan.tiled.decoder import decoded
from unipan.tiled.detection import detected
from unipan.tiled.features import PaddedPicture, feature_pyramid, tileable
from unipan.tiled.panoptic import WindowedPanoptic
from unipan.tiled.windows import CellWindow, GridSize, split, windows

TRAINED_AREA = 128 * 256
"""Pixels of the network's input that the limits of detections are for, where the config does not say (`scenes`)."""


@dataclass(frozen=True, eq=False)
class TiledOutput:
    """What `run_tiled` found, kept to decode it window by window.

    Attributes:
        panoptic: P or Psi of any window.
        categories: of the classes.
        geometry: of the picture.
        temperature: learned factor on P before a softmax.
        log: whether the loss takes log P.
        side: pixels of a tile.
    """

    panoptic: WindowedPanoptic
    categories: Categories
    geometry: Geometry
    temperature: float
    log: bool
    side: int

    @torch.no_grad()
    def decode(self) -> PanopticMap:
        """The argmax at the picture's size, as `fusion.argmax.decode` makes it."""
        detections = self.panoptic.detections
        things, count = len(detections), len(detections) + len(self.categories.stuff)
        channels = np.empty(self.geometry.image_size, np.int32)
        area, sums = np.zeros(count, np.int64), np.zeros(count)
        for window, grid, values, rows in self._parts():
            columns = np.concatenate([rows.cpu().numpy(), np.arange(things, count)]).astype(np.int32)
            won = columns[argmax(values, grid).cpu().numpy()]
            confidence = upsample(self._confidence(values, self.panoptic.absent(rows)), grid).cpu().numpy()
            channels[window.slices] = won
            area += np.bincount(won.ravel(), minlength=count)
            sums += np.bincount(won.ravel(), confidence.ravel(), minlength=count)
        mean = (sums / np.maximum(area, 1))[things:].clip(0, 1)
        classes, scores = detections.classes.tolist(), [*detections.scores.tolist(), *mean.tolist()]
        return map_of_channels(channels, area, classes, scores, self.categories)

    @torch.no_grad()
    def margin(self) -> Float32[np.ndarray, "H W"]:
        """By how much the best channel leads the second one, as `fusion.margin.channel_margin`."""
        found = np.empty(self.geometry.image_size, np.float32)
        for window, grid, values, _ in self._parts():
            found[window.slices] = margin_on(values, grid).cpu().numpy()
        return found

    def _confidence(self, values: Float[Tensor, "K h w"], absent: int) -> Float[Tensor, "h w"]:
        """The winner's probability among these channels and some that are 0."""
        logits = scaled(values, self.temperature, self.log)
        total = logits.logsumexp(0)
        if absent:
            zero = scaled(values.new_zeros(()), self.temperature, self.log)
            total = torch.logaddexp(total, zero + math.log(absent))
        return (logits.amax(0) - total).exp()

    def _parts(self) -> Iterator[tuple[CellWindow, Grid, Tensor, Tensor]]:
        """The picture in windows: each with its sampling of the cells, the values of these cells, and the detections
        that have the first channels."""
        places = zip(self.panoptic.size, self.geometry.input_size, self.geometry.image_size, strict=True)
        axes = [sample_axis(*each, self.geometry.stride, self.panoptic.device) for each in places]
        for large in windows(self.geometry.image_size, self.side):
            for window in split(large, lambda part: self.panoptic.count(_cells_of(part, *axes))):
                cells = _cells_of(window, *axes)
                rows, columns = (axis[span] for axis, span in zip(axes, window.slices, strict=True))
                yield window, Grid(_moved(rows, cells.top), _moved(columns, cells.left)), *self.panoptic.panoptic(cells)


@torch.no_grad()
def run_tiled(
    network: PanopticNetwork,
    image: UInt8[np.ndarray, "H W 3"],
    size: GridSize,
    *,
    config: Config,
    categories: Categories,
    side: int,
    reach: int | None = None,
    affinities: bool = True,
    factor: int | None = None,
) -> TiledOutput:
    """The network's output for one picture, tile by tile.

    Args:
        network: in evaluation mode.
        image: the picture.
        size: height and width at which the network sees it.
        config: of the network.
        categories: its classes.
        side: of a tile in pixels of the network's input, without what surrounds it; a multiple of 64.
        reach: see `WindowedPanoptic`.
        affinities: False for the argmax of Psi.
        factor: of the limits on the number of detections, which are meant for pictures of the training; by default
            they grow with the picture, see `limit_factor`.

    Raises:
        ValueError: a network that cannot be cut into tiles.
        OSError: no room for temporary files.
    """
    tileable(network)
    detector, decoder = cast(DetectionHead, network.detection), cast(PyramidDecoder, network.semantic)
    extractor = cast(PyramidDecoder, network.affinity.extractor) if network.affinity and affinities else None
    device, stride = network.mean.device, network.potential.stride
    picture = PaddedPicture(resize_pixels(torch.from_numpy(image).permute(2, 0, 1), *size))
    levels = feature_pyramid(network, picture, side)
    cells = side // P2_STRIDE
    with larger_limits(detector, factor or limit_factor(size, config)):
        detections = detected(detector, levels, picture.size, size, cells, device, network.score_threshold)
    semantic = decoded(decoder, levels, cells)
    queries = None if extractor is None else decoded(extractor, levels, cells)
    log = config.affinity.loss == "log"
    grid = -(-size[0] // stride), -(-size[1] // stride)
    panoptic = WindowedPanoptic(network, semantic, queries, detections, grid, reach, log)
    geometry = Geometry(image.shape[:2], size, stride)
    return TiledOutput(panoptic, categories, geometry, float(network.temperature), log, side)


def limit_factor(size: GridSize, config: Config) -> int:
    """How many pictures of the training a picture of this size (of the network's input) would fill, rounded up."""
    data = config.data
    area = math.prod(data.crop) or data.short_side**2 or TRAINED_AREA
    return max(1, math.ceil(math.prod(size) / area))


@contextmanager
def larger_limits(detector: DetectionHead, factor: int) -> Generator[None, None, None]:
    """Let the detector find `factor` times as many things as its config says."""
    rpn, roi = detector.rpn, detector.roi
    most = roi.detections_per_img
    rpn.factor, roi.detections_per_img = factor, most * factor
    try:
        yield
    finally:
        rpn.factor, roi.detections_per_img = 1, most


def _cells_of(window: CellWindow, rows: Axis, columns: Axis) -> CellWindow:
    """The cells that a window of the image's pixels is interpolated from."""
    (top, bottom), (left, right) = (
        (int(axis.low[span.start]), int(axis.high[span.stop - 1]) + 1)
        for axis, span in zip((rows, columns), window.slices, strict=True)
    )
    return CellWindow(top, bottom, left, right)


def _moved(axis: Axis, first: int) -> Axis:
    """The sampling counted from another cell."""
    return Axis(axis.low - first, axis.high - first, axis.weight)
