"""Colours of segments: the category's own, varied from instance to instance, black for void; no chance in it."""

import colorsys
from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from unipan.panoptic.maps import VOID_ID, PanopticMap

Color = tuple[int, int, int]

GOLDEN = 0.618034
HUE_RANGE = 0.16
"""Width of the hues around a category's own, as a share of the circle."""
LEAST_OVERLAP = 0.3
"""IoU from which a segment borrows the colour of a reference's segment."""


def instance_color(color: Color, index: int) -> Color:
    """The colour of the `index`-th instance of a category: the category's own for 0, neighbours in hue after it."""
    if index == 0:
        return color
    hue, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in color))
    step, other = (index * GOLDEN) % 1.0, (index * GOLDEN * GOLDEN) % 1.0
    hue = (hue + (step - 0.5) * HUE_RANGE) % 1.0
    lightness = min(max(lightness + (other - 0.5) * 0.45, 0.28), 0.8)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, max(saturation, 0.45))
    return round(red * 255), round(green * 255), round(blue * 255)


def segment_colors(panoptic: PanopticMap) -> dict[int, Color]:
    """Segment id -> RGB; things are varied in the order of `segments`, stuff keeps its category's colour."""
    seen: Counter[str] = Counter()
    colors = {}
    for segment in panoptic:
        name = segment.category.name
        colors[segment.id] = instance_color(segment.category.color, seen[name] if segment.isthing else 0)
        seen[name] += 1
    return colors


def colors_like(panoptic: PanopticMap, reference: PanopticMap) -> dict[int, Color]:
    """`segment_colors` in which a segment takes over the colour of the reference's segment that it covers best.

    So the same car keeps its colour from picture to picture. Borrowed are only colours of the same category, each
    once, from an IoU of `LEAST_OVERLAP` on; the rest gets colours that the reference does not use.
    """
    own = segment_colors(reference)
    taken = _best_partners(panoptic, reference)
    seen = Counter(segment.category.name for segment in reference)
    colors = {}
    for segment in panoptic:
        if segment.id in taken:
            colors[segment.id] = own[taken[segment.id]]
        else:
            name = segment.category.name
            colors[segment.id] = instance_color(segment.category.color, seen[name] if segment.isthing else 0)
            seen[name] += 1
    return colors


def lookup(colors: Mapping[int, Color]) -> UInt8[np.ndarray, "n 3"]:
    """A table with the colour of each id up to the largest; void and ids without a colour are black."""
    table = np.zeros((max(colors, default=VOID_ID) + 1, 3), np.uint8)
    for identity, color in colors.items():
        if identity != VOID_ID:
            table[identity] = color
    return table


def _best_partners(panoptic: PanopticMap, reference: PanopticMap) -> dict[int, int]:
    size = max((segment.id for segment in reference), default=0) + 1
    pairs = panoptic.ids.astype(np.int64) * size + reference.ids
    found, shared = np.unique(pairs, return_counts=True)
    inside = {(int(p) // size, int(p) % size): int(n) for p, n in zip(found, shared, strict=True)}
    theirs = {segment.id: segment for segment in reference}
    ratings = []
    for segment in panoptic:
        for identity, other in theirs.items():
            common = inside.get((segment.id, identity), 0)
            if common and other.category.name == segment.category.name:
                ratings.append((common / (segment.area + other.area - common), segment.id, identity))
    partners: dict[int, int] = {}
    for rating, identity, partner in sorted(ratings, reverse=True):
        if rating >= LEAST_OVERLAP and identity not in partners and partner not in partners.values():
            partners[identity] = partner
    return partners
