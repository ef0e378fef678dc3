"""Colours of segments: the category's own, varied from instance to instance, and the same in every run."""

import colorsys
from collections import Counter
from collections.abc import Mapping

from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.pair_counts import count_pairs

Color = tuple[int, int, int]

GOLDEN = 0.618034
HUE_RANGE = 0.16
"""Width of the hues around a category's own, as a share of the circle."""
LEAST_OVERLAP = 0.3
"""The least IoU with a reference's segment to take over its colour."""


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
    return _with_new_colors(panoptic, {}, Counter())


def colors_like(
    panoptic: PanopticMap, reference: PanopticMap, partners: Mapping[int, int] | None = None
) -> dict[int, Color]:
    """Segment id -> RGB such that an object keeps its colour from picture to picture.

    Args:
        panoptic: whose segments get colours.
        reference: the map whose colours are taken over; other segments get colours that it does not use.
        partners: segment id -> id of the reference's segment whose colour it takes over. By default the one of its
            category with the highest IoU, from `LEAST_OVERLAP` on, none used twice.
    """
    own = segment_colors(reference)
    partners = _best_partners(panoptic, reference) if partners is None else partners
    taken = {key: own[partner] for key, partner in partners.items()}
    return _with_new_colors(panoptic, taken, Counter(segment.category.name for segment in reference))


def _with_new_colors(panoptic: PanopticMap, colors: dict[int, Color], used: Counter[str]) -> dict[int, Color]:
    """Complete the colours; `used` counts by category those that are taken already."""
    for segment in panoptic:
        name, color = segment.category.name, segment.category.color
        if segment.id not in colors:
            colors[segment.id] = instance_color(color, used[name] if segment.isthing else 0)
            used[name] += 1
    return colors


def _best_partners(panoptic: PanopticMap, reference: PanopticMap) -> dict[int, int]:
    """Segment id -> id of the reference's segment of its category with the highest IoU, none used twice."""
    pairs = list(zip(*(column.tolist() for column in count_pairs(panoptic.ids, reference.ids)), strict=True))
    area: Counter[int] = Counter()
    reference_area: Counter[int] = Counter()
    for key, other, shared in pairs:
        area[key] += shared
        reference_area[other] += shared
    names, reference_names = ({s.id: s.category.name for s in side} for side in (panoptic, reference))
    ious = [
        (shared / (area[key] + reference_area[other] - shared), key, other)
        for key, other, shared in pairs
        if key in names and names[key] == reference_names.get(other)
    ]
    partners: dict[int, int] = {}
    for iou, key, other in sorted(ious, reverse=True):
        if iou >= LEAST_OVERLAP and key not in partners and other not in partners.values():
            partners[key] = other
    return partners
