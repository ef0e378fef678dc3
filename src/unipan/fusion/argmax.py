"""Inference (App. B): single scale, argmax of P at the image's own size, no other post-processing.

Legend: D detections, S stuff classes, K = D + S channels of one image (detections first), h w = cells of P's grid (1/d
of the network's input, d = 4 in the paper), H W = pixels of the image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unipan.config import Config
from unipan.models.criterion import scaled
from unipan.numpy_fusion.painting import channel_map
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.structures import Detections, Geometry, PanopticOutput

CHUNK = 1_000_000
"""Interpolated values, or pixels, that exist at once, whatever the image's size."""


@dataclass(frozen=True)
class Axis:
    """Where the pixels of one side of the image lie between the cells of the network's grid.

    Attributes:
        low, high: for each pixel the cells whose centres lie before and after its own.
        weight: share of `high`, 0..1.
    """

    low: Int[Tensor, " n"]
    high: Int[Tensor, " n"]
    weight: Float[Tensor, " n"]

    def __getitem__(self, span: slice) -> "Axis":
        return Axis(self.low[span], self.high[span], self.weight[span])


@dataclass(frozen=True)
class Grid:
    """The bilinear sampling of a padded 1/d grid at the pixels of the image (half-pixel centres, clamped)."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, cells: Tensor, geometry: Geometry) -> "Grid":
        """The sampling of maps of the size of `cells`."""
        sides = zip(cells.shape[-2:], geometry.input_size, geometry.image_size, strict=True)
        return cls(*(sample_axis(*each, geometry.stride, cells.device) for each in sides))

    def __getitem__(self, window: tuple[slice, slice]) -> "Grid":
        """The sampling at a window of the image's pixels."""
        return Grid(self.rows[window[0]], self.columns[window[1]])


def sample_axis(cells: int, input_side: int, image_side: int, stride: int, device: torch.device) -> Axis:
    """One axis of `Grid`: pixel y lies at (y + 0.5) * input_side / image_side / stride - 0.5 cells."""
    pixels = torch.arange(image_side, dtype=torch.float64, device=device)
    place = ((pixels + 0.5) * (input_side / image_side / stride) - 0.5).clamp(0, cells - 1)
    low = place.floor().long()
    return Axis(low, (low + 1).clamp(max=cells - 1), (place - low).float())


def bands(grid: Grid) -> Iterator[tuple[slice, Grid]]:
    """The image in bands of at most `CHUNK` pixels (or one row): its rows and their sampling.

    What lies between cells and result exists for one band at a time; whole, it took three times the result's memory.
    """
    height, width = len(grid.rows.low), len(grid.columns.low)
    step = max(CHUNK // max(width, 1), 1)
    for start in range(0, height, step):
        span = slice(start, start + step)
        yield span, grid[span, slice(None)]


def upsample(values: Float[Tensor, "h w"], grid: Grid) -> Float[Tensor, "H W"]:
    """One map of the grid, bilinearly at the pixels of the image."""
    size = len(grid.rows.low), len(grid.columns.low)
    result = torch.empty(size, dtype=torch.result_type(values, grid.rows.weight), device=values.device)
    for span, band in bands(grid):
        tall = _interpolate(values[band.rows.low], values[band.rows.high], band.rows.weight[:, None])
        result[span] = _interpolate(tall[:, band.columns.low], tall[:, band.columns.high], band.columns.weight)
    return result


def argmax(channels: Float[Tensor, "K h w"], grid: Grid) -> Int[Tensor, "H W"]:
    """Upsample bilinearly, then argmax over the channels, without ever holding K x H x W values.

    A channel that wins in all four cells around a pixel wins there too, because the interpolation is a convex
    combination; so only pixels whose four cells disagree (mostly outlines) are interpolated, `CHUNK` values at a time.
    """
    winners, cells = channels.argmax(0), channels.flatten(1).T.contiguous()
    size = len(grid.rows.low), len(grid.columns.low)
    result = torch.empty(size, dtype=torch.int32, device=channels.device)
    for span, band in bands(grid):
        result[span] = _argmax_of_band(winners, cells, band)
    return result


def _argmax_of_band(winners: Int[Tensor, "h w"], cells: Float[Tensor, "hw K"], grid: Grid) -> Int[Tensor, "H W"]:
    """A band of `argmax`, from the channel that wins each cell and the channels of all cells, row after row."""
    rows, columns, width = grid.rows, grid.columns, winners.shape[1]
    upper, lower = winners[rows.low], winners[rows.high]
    result = upper[:, columns.low]
    agree = (upper == lower)[:, columns.low] & (result == upper[:, columns.high]) & (result == lower[:, columns.high])
    open_pixels = (~agree).flatten().nonzero().squeeze(1)
    for pixels in torch.split(open_pixels, max(CHUNK // cells.shape[1], 1)):
        y, x = pixels // result.shape[1], pixels % result.shape[1]
        above, below = rows.low[y] * width, rows.high[y] * width
        left, right, across = columns.low[x], columns.high[x], columns.weight[x, None]
        top = _interpolate(cells[above + left], cells[above + right], across)
        bottom = _interpolate(cells[below + left], cells[below + right], across)
        result.view(-1)[pixels] = _interpolate(top, bottom, rows.weight[y, None]).argmax(1)
    return result


def affinity(output: PanopticOutput, categories: Categories, geometry: Geometry, config: Config) -> PanopticMap:
    """The argmax of P (App. B)."""
    return _argmax_of(output.panoptic[0], output, categories, geometry, config)


def potential(output: PanopticOutput, categories: Categories, geometry: Geometry, config: Config) -> PanopticMap:
    """The argmax of Psi."""
    return _argmax_of(output.potentials[0], output, categories, geometry, config)


def _argmax_of(
    channels: Float[Tensor, "K h w"], output: PanopticOutput, categories: Categories, geometry: Geometry, config: Config
) -> PanopticMap:
    return decode(
        channels,
        output.detections[0],
        categories,
        geometry,
        temperature=float(output.temperature),
        log=config.affinity.loss == "log",
        void=config.potential.void_channel,
    )


def decode(
    panoptic: Float[Tensor, "K h w"],
    detections: Detections,
    categories: Categories,
    geometry: Geometry,
    *,
    temperature: float = 1.0,
    log: bool = False,
    void: bool = False,
) -> PanopticMap:
    """The panoptic map of the argmax of P (or Psi) at the image's size.

    Args:
        panoptic: one channel per detection, then one per stuff class, then, with `void`, that of void.
        detections: the D detections of the first channels.
        categories: of the classes.
        geometry: of the image.
        temperature: what the loss multiplies P by; it only shapes the scores of stuff.
        log: whether the loss takes log P, as above.
        void: whether the last channel is UPSNet's void; the pixels that it wins have no segment.

    Returns:
        one segment per channel that wins a pixel. A thing's score is its detection's; the score of stuff is its
        mean winning probability, softmax over the channels on the grid.

    Raises:
        ValueError: the channels are not D + S (+ 1 with void).
    """
    expected = len(detections) + len(categories.stuff) + void
    if panoptic.shape[0] != expected:
        raise ValueError(
            f"decode: {panoptic.shape[0]} channels for {len(detections)} detections and "
            f"{len(categories.stuff)} stuff classes{' and void' if void else ''}; pass the detections that made these "
            "channels"
        )
    if expected == 0:
        return panoptic_map(np.zeros(geometry.image_size, np.int32), {})
    panoptic = panoptic.float()
    grid = Grid.of(panoptic, geometry)
    channels = argmax(panoptic, grid).cpu().numpy()
    confidence = upsample(_confidence(panoptic, temperature, log), grid).cpu().numpy()
    return channel_map(channels, confidence, detections.classes.tolist(), detections.scores.tolist(), categories)


def _confidence(panoptic: Float[Tensor, "K h w"], temperature: float, log: bool) -> Float[Tensor, "h w"]:
    """The largest probability of each cell, some rows at a time: a whole softmax is as large as P."""
    rows = max(CHUNK // (panoptic.shape[0] * panoptic.shape[2]), 1)
    return torch.cat([scaled(some, temperature, log).softmax(0).amax(0) for some in torch.split(panoptic, rows, 1)])


def _interpolate(low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
    # Written as a sum of products, not as torch.lerp: it is monotone in both ends also after rounding, which the
    # shortcut of `argmax` relies on.
    return low * (1 - weight) + high * weight
