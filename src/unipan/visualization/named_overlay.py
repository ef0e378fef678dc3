"""A panoptic map over its photograph with names, scores and a legend: what `unipan predict` writes to look at.

Things are vivid and have their name and score; stuff is quiet and named in the legend alone, which stands below the
picture. Small pictures are enlarged, so that words fit.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import combining, normalize

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, Segment
from unipan.visualization.flat import Picture, resize_ids
from unipan.visualization.overlay import INK, WHITE, overlay
from unipan.visualization.palette import Color, segment_colors
from unipan.visualization.regions import deepest

THING_ALPHA, STUFF_ALPHA = 0.62, 0.34
READABLE_SIDE = 640
"""Pixels: a picture whose longer side is shorter is enlarged by a whole number."""
LEAST_SHARE = 0.0004
"""Things of a smaller share of the picture have no name in it."""
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Chip:
    """A name on the picture: its text, its middle, the size of its box, and the colour of the segment."""

    text: str
    box: Rectangle
    color: Color


def named_overlay(image: Picture, panoptic: PanopticMap) -> UInt8[np.ndarray, "_ _ 3"]:
    """The overlay with names, scores and the legend.

    Args:
        image: RGB, of the map's size.
        panoptic: the map.

    Returns:
        RGB; the width is the image's, or a multiple of it for a small image; the legend adds to the height.

    Raises:
        ValueError: image and map differ in size.
    """
    colors = segment_colors(panoptic)
    factor = max(-(-READABLE_SIDE // max(image.shape[:2])), 1)
    if factor > 1:
        height, width = (side * factor for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
        panoptic = PanopticMap(resize_ids(panoptic.ids, (height, width)), panoptic.segments)
    mixed = overlay(image, panoptic, colors, THING_ALPHA, STUFF_ALPHA)
    height, width = mixed.shape[:2]
    size = font_size(width, height)
    font = ImageFont.load_default(size)
    for chip in _chips(panoptic, colors, font, factor, (width, height)):
        _draw_chip(mixed, chip, font, size)
    return np.concatenate([mixed, np.asarray(_legend(panoptic, width, size))])


def font_size(width: int, height: int) -> int:
    """Of names on a picture of this size, in pixels: 13 on 640 x 480, 66 on 6000 x 4000."""
    return max(13, round(math.sqrt(width * height) / 75))


def drawable(category: Category) -> str:
    """The name as Pillow's own font can write it, which has ASCII: without accents, or else the class's number."""
    plain = "".join(each for each in normalize("NFKD", category.name) if not combining(each))
    return plain if plain.isascii() else f"class {category.id}"


def _chips(
    panoptic: PanopticMap,
    colors: dict[int, Color],
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    factor: int,
    size: tuple[int, int],
) -> list[Chip]:
    """The names that have room, larger things first; none covers another, and none is much larger than its thing."""
    chips: list[Chip] = []
    for segment in sorted(panoptic, key=lambda each: -each.area):
        if not segment.isthing or segment.area * factor**2 < LEAST_SHARE * size[0] * size[1]:
            continue
        x, y = _middle(panoptic, segment, factor)
        for text in (f"{drawable(segment.category)} {100 * segment.score:.0f} %", f"{100 * segment.score:.0f} %"):
            left, top, right, bottom = font.getbbox(text)
            width, height = right - left + 0.7 * (bottom - top), 1.7 * (bottom - top)
            x0 = min(max(x - width / 2, 1), size[0] - width - 1)
            y0 = min(max(y - height / 2, 1), size[1] - height - 1)
            box = (x0, y0, x0 + width, y0 + height)
            fits = width <= 1.15 * factor * segment.bbox[2] and height <= 1.1 * factor * segment.bbox[3]
            if fits and not any(_boxes_overlap(box, other.box) for other in chips):
                chips.append(Chip(text, box, colors[segment.id]))
                break
    return chips


def _middle(panoptic: PanopticMap, segment: Segment, factor: int) -> tuple[float, float]:
    """x, y inside a segment, far from its outline, on the enlarged picture."""
    x, y, width, height = (side * factor for side in segment.bbox)
    step = max(1, max(width, height) // 256)  # of a large thing a coarse view is enough
    region = panoptic.ids[y : y + height : step, x : x + width : step] == segment.id
    column, row = deepest(region)
    return x + (column + 0.5) * step, y + (row + 0.5) * step


def _boxes_overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_chip(picture: Picture, chip: Chip, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", size: int) -> None:
    """Draw a name into the picture; only its surroundings are copied, as Pillow wants a picture of its own."""
    x0, y0, x1, y1 = chip.box
    left, top = (max(math.floor(side) - size, 0) for side in (x0, y0))
    around = picture[top : math.ceil(y1) + size, left : math.ceil(x1) + size]
    canvas = Image.fromarray(around)
    draw = ImageDraw.Draw(canvas)
    box = (x0 - left, y0 - top, x1 - left, y1 - top)
    draw.rounded_rectangle(box, radius=size / 4, fill=INK, outline=chip.color, width=max(1, size // 9))
    draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), chip.text, WHITE, font, anchor="mm")
    around[:] = np.asarray(canvas)


def _legend(panoptic: PanopticMap, width: int, size: int) -> Image.Image:
    """The classes of the picture with their colours: things with how many there are, then stuff."""
    font, pad = ImageFont.load_default(size), round(size * 0.7)
    entries = _entries([segment.category for segment in panoptic])
    rows: list[list[tuple[float, str, Color]]] = [[]]
    x = float(pad)
    for text, color in entries:
        needed = 1.5 * size + font.getlength(text) + 1.4 * size
        if x + needed > width and rows[-1]:
            rows.append([])
            x = float(pad)
        rows[-1].append((x, text, color))
        x += needed
    strip = Image.new("RGB", (width, round(2 * pad + len(rows) * 1.6 * size)), INK)
    draw = ImageDraw.Draw(strip)
    for number, row in enumerate(rows):
        middle = pad + (number + 0.5) * 1.6 * size
        for left, text, color in row:
            draw.rounded_rectangle(
                (left, middle - size / 2, left + size, middle + size / 2), size / 5, color, outline=WHITE
            )
            draw.text((left + 1.5 * size, middle), text, WHITE, font, anchor="lm")
    return strip


def _entries(categories: Sequence[Category]) -> list[tuple[str, Color]]:
    """Name and colour of each class, things first, both by how often they occur."""
    counts = Counter(categories)
    things = [(f"{count} {drawable(each)}", each.color) for each, count in counts.most_common() if each.isthing]
    stuff = [(drawable(each), each.color) for each, _ in counts.most_common() if not each.isthing]
    return [*things, *stuff] or [("nothing was found", (90, 90, 90))]
