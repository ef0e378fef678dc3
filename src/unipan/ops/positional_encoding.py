"""Positional encodings in two dimensions: sinusoidal (Vaswani et al. 2017, Sec. 3.5) and rotary (RoPE, Su et al. 2021,
arXiv 2104.09864)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

DIRECTIONS = 4
"""Directions of RoPE, evenly spread over 180 degrees: with rows and columns alone, what counts as near is a cross."""
ROPE_CHANNELS = 2 * DIRECTIONS
"""Channels that one wavelength of RoPE rotates: a pair per direction."""


def sinusoidal_encoding(
    height: int,
    width: int,
    wavelengths: int,
    device: torch.device,
    spacing: int = 1,
    shortest: float = 8.0,
    origin: tuple[int, int] = (0, 0),
) -> Float[Tensor, "E h w"]:
    """Sine and cosine of each cell's row and column at every wavelength, E = 4 x wavelengths.

    The product of the encodings of two cells depends on the offset between them, not on where they are.

    Args:
        height, width: of the grid.
        wavelengths: how many; each is twice as long as the one before.
        device: of the result.
        spacing: of the grid, in the unit of the wavelengths.
        shortest: the first wavelength.
        origin: row and column of the first cell, where the grid is a part of a larger one.
    """
    lengths = shortest / spacing * 2.0 ** torch.arange(wavelengths, device=device)
    places = [first + torch.arange(side, device=device) for first, side in zip(origin, (height, width), strict=True)]
    turns = [2 * math.pi * place / lengths[:, None] for place in places]
    rows, columns = (torch.cat([turn.sin(), turn.cos()]) for turn in turns)
    return torch.cat([rows[:, :, None].expand(-1, -1, width), columns[:, None, :].expand(-1, height, -1)])


def rope_angles(
    height: int,
    width: int,
    wavelengths: int,
    device: torch.device,
    spacing: int = 1,
    shortest: float = 8.0,
    origin: tuple[int, int] = (0, 0),
) -> Float[Tensor, "pairs n"]:
    """The angle in radians by which each pair of channels is rotated in each cell; n = height x width, row by row.

    Args:
        height, width: of the grid.
        wavelengths: how many, each twice as long as the one before; there are DIRECTIONS pairs for each.
        device: of the result.
        spacing: of the grid, in the unit of the wavelengths.
        shortest: the first wavelength.
        origin: row and column of the first cell, where the grid is a part of a larger one.
    """
    lengths = shortest / spacing * 2.0 ** torch.arange(wavelengths, device=device)
    heading = math.pi * torch.arange(DIRECTIONS, device=device) / DIRECTIONS
    rows, columns = (
        first + torch.arange(side, device=device) for first, side in zip(origin, (height, width), strict=True)
    )
    along = heading.sin()[:, None, None] * rows[:, None] + heading.cos()[:, None, None] * columns
    return ((2 * math.pi / lengths)[:, None, None] * along.flatten(1)).flatten(0, 1)


def rotate(features: Float[Tensor, "C n"], angles: Float[Tensor, "pairs n"]) -> Float[Tensor, "C n"]:
    """The features with their last channels rotated, pair by pair.

    The product rotate(a)_i . rotate(b)_j of two cells i and j depends on a_i, b_j and the offset from i to j only,
    because rotating both by the same angle does not change it.
    """
    pairs = len(angles)
    kept, x, y = torch.split(features, [len(features) - 2 * pairs, pairs, pairs])
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([kept, x * cos - y * sin, x * sin + y * cos])
