"""Colours of segments: the category's own, varied from instance to instance, and the same in every run."""

import colorsys
from collections import Counter
from collections.abc import Mapping, Sequence

from unipan.panoptic.categories import Category
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


def quiet(color: Color) -> Color:
    """A colour of less saturation and middling lightness: a page full of pure colours cannot be looked at.

    >>> quiet((0, 255, 0))
    (73, 182, 73)
    """
    hue, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in color))
    lightness, saturation = min(max(lightness, 0.3), 0.72), min(saturation, 0.43)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def segment_colors(panoptic: PanopticMap) -> dict[int, Color]:
    """Segment id -> RGB, see `instance_colors`."""
    colors = instance_colors([segment.category for segment in panoptic])
    return {segment.id: color for segment, color in zip(panoptic, colors, strict=True)}


def instance_colors(categories: Sequence[Category]) -> list[Color]:
    """The colours of segments of these categories: things are varied in their order, stuff keeps its category's."""
    return _with_new_colors(categories, [None] * len(categories), Counter())


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
    partners = _best_partners(panoptic, reference) if partners is None else partners
    position = {segment.id: number for number, segment in enumerate(reference)}
    colors = partner_colors(
        [segment.category for segment in panoptic],
        [segment.category for segment in reference],
        [position[partners[segment.id]] if segment.id in partners else None for segment in panoptic],
    )
    return {segment.id: color for segment, color in zip(panoptic, colors, strict=True)}


def partner_colors(
    categories: Sequence[Category], reference: Sequence[Category], partners: Sequence[int | None]
) -> list[Color]:
    """`colors_like` for segments of these categories.

    Args:
        categories: of the segments that get colours.
        reference: of those whose colours are taken over.
        partners: for each of the former the position of the latter whose colour it takes over, or None.
    """
    own = instance_colors(reference)
    taken = [None if partner is None else own[partner] for partner in partners]
    return _with_new_colors(categories, taken, Counter(category.name for category in reference))


def _with_new_colors(categories: Sequence[Category], colors: Sequence[Color | None], used: Counter[str]) -> list[Color]:
    """Complete the colours; `used` counts by category those that are taken already."""
    found = []
    for category, color in zip(categories, colors, strict=True):
        if color is None:
            found.append(instance_color(category.color, used[category.name] if category.isthing else 0))
            used[category.name] += 1
        else:
            found.append(color)
    return found


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
