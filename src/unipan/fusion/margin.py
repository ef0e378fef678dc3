"""Where the argmax is unsure: by how much the winning channel of P leads the second one, at the image's size.

Legend: K channels of one image, h w = cells of P's grid, H W = pixels of the image.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unipan.fusion.argmax import Grid, upsample
from unipan.structures import Geometry

VALUES_AT_ONCE = 4_000_000
"""More than in the argmax, because each piece takes a call for every channel."""


def channel_margin(channels: Float[Tensor, "K h w"], geometry: Geometry) -> Float32[np.ndarray, "H W"]:
    """The best minus the second best channel of P (or Psi) at every pixel, bilinear as in the argmax; 0 is a tie.

    The unit is P's own: Psi has values around 0..1, and P's may be larger. A single channel has no rival, its margin is
    infinite. At most `VALUES_AT_ONCE` interpolated values exist at once.
    """
    channels = channels.float()
    return margin_on(channels, Grid.of(channels, geometry)).cpu().numpy()


def margin_on(channels: Float[Tensor, "K h w"], grid: Grid) -> Float[Tensor, "H W"]:
    """`channel_margin` where the grid samples."""
    count, height, width = channels.shape[0], len(grid.rows.low), len(grid.columns.low)
    found = torch.full((height, width), torch.inf, device=channels.device)
    if count < 2:
        return found
    rows = max(VALUES_AT_ONCE // (count * width), 1)
    for start in range(0, height, rows):
        window = grid[slice(start, start + rows), slice(None)]
        values = torch.stack([upsample(channel, window) for channel in channels])
        best = values.topk(2, dim=0).values
        found[start : start + rows] = best[0] - best[1]
    return found
