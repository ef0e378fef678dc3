"""Affinities of one pixel as a picture: a diverging scale, blue below zero, white at zero, red above."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from unipan.visualization.overlay import mark

STOPS = np.array(
    [[5, 48, 97], [33, 102, 172], [103, 169, 207], [247, 247, 247], [239, 138, 98], [178, 24, 43], [103, 0, 31]],
    np.float32,
)
"""Dark blue to white to dark red, evenly spaced and symmetric in lightness (after ColorBrewer's RdBu)."""


def diverging(values: Float[np.ndarray, "H W"], limit: float | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """Signed values as colours from blue (-limit) over white (0) to red (limit); values beyond are clipped.

    `limit` is the largest absolute value by default.
    """
    limit = _limit(values, limit)
    place = (np.clip(values / limit, -1, 1) + 1) * ((len(STOPS) - 1) / 2)
    below = np.minimum(place.astype(np.int64), len(STOPS) - 2)
    share = (place - below)[..., None]
    return np.asarray(np.rint(STOPS[below] * (1 - share) + STOPS[below + 1] * share), np.uint8)


def affinity_picture(
    affinity: Float[np.ndarray, "H W"],
    pixel: tuple[int, int] | None = None,
    image: UInt8[np.ndarray, "H W 3"] | None = None,
    limit: float | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """The affinities of one pixel as a heatmap.

    Args:
        affinity: to every pixel.
        pixel: x, y of the pixel itself, which is marked with a cross; None leaves it out.
        image: shown in grey below the colours, whose opacity grows with the absolute value; None gives flat colours.
        limit: see `diverging`.
    """
    colors = diverging(affinity, limit)
    if image is not None:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
        paper = grey * 0.55 + 255 * 0.45
        strength = np.sqrt(np.clip(np.abs(affinity) / _limit(affinity, limit), 0, 1))[..., None] * 0.85
        colors = np.rint(paper * (1 - strength) + colors * strength).astype(np.uint8)
    return colors if pixel is None else mark(colors, *pixel)


def _limit(values: np.ndarray, limit: float | None) -> float:
    largest = float(np.abs(values).max(initial=0)) if limit is None else limit
    return largest or 1.0
