"""A code of where a cell lies, as sines of its row and column (Vaswani et al. 2017, sec. 3.5, on two axes)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SHORTEST = 8.0
"""Cells of the first wavelength; each further one is twice as long."""


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
