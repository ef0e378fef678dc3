"""Where a cell lies: as sines of its row and column (Vaswani et al. 2017, sec. 3.5, on two axes), or as a turn of its
features that leaves of two cells' product only their offset (Su et al. 2021, arXiv 2104.09864, on two axes)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SHORTEST = 8.0
"""Cells of the first wavelength; each further one is twice as long."""
DIRECTIONS = 4
"""Of the waves of a rotary code, evenly spread over half a turn: along rows and columns alone, what is near would be a
cross."""
TURNED = 2 * DIRECTIONS
"""Channels that one wavelength of a rotary code turns: a pair for every direction."""


def sine_code(height: int, width: int, wavelengths: int, device: torch.device) -> Float[Tensor, "E h w"]:
    """Sine and cosine of each cell's row and column at every wavelength, E = 4 x wavelengths.

    The product of two cells' codes depends on how far they are apart, not on where they lie.

    Args:
        height, width: of the grid.
        wavelengths: how many.
        device: of the result.
    """
    lengths = SHORTEST * 2.0 ** torch.arange(wavelengths, device=device)
    turns = [2 * math.pi * torch.arange(side, device=device) / lengths[:, None] for side in (height, width)]
    rows, columns = (torch.cat([turn.sin(), turn.cos()]) for turn in turns)
    return torch.cat([rows[:, :, None].expand(-1, -1, width), columns[:, None, :].expand(-1, height, -1)])


def rotary_angles(height: int, width: int, wavelengths: int, device: torch.device) -> Float[Tensor, "pairs n"]:
    """By how much each pair of channels is turned in each cell, in radians; n = height x width, rows of the image.

    Args:
        height, width: of the grid.
        wavelengths: how many; there are DIRECTIONS pairs for each.
        device: of the result.
    """
    lengths = SHORTEST * 2.0 ** torch.arange(wavelengths, device=device)
    heading = math.pi * torch.arange(DIRECTIONS, device=device) / DIRECTIONS
    rows, columns = (torch.arange(side, device=device) for side in (height, width))
    along = heading.sin()[:, None, None] * rows[:, None] + heading.cos()[:, None, None] * columns
    return ((2 * math.pi / lengths)[:, None, None] * along.flatten(1)).flatten(0, 1)


def rotate(features: Float[Tensor, "C n"], angles: Float[Tensor, "pairs n"]) -> Float[Tensor, "C n"]:
    """The last channels turned, pair by pair; the others as they were.

    Of two cells i and j, rotate(a)_i . rotate(b)_j depends on a_i, b_j and on the offset from i to j, not on where they
    lie: turning both by the same angle changes no product.
    """
    pairs = len(angles)
    kept, x, y = torch.split(features, [len(features) - 2 * pairs, pairs, pairs])
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([kept, x * cos - y * sin, x * sin + y * cos])
