"""A panoptic map in a notebook: its overlay, and a legend of its classes."""

import base64
from collections import Counter

from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import png_of_rgb
from unipan.visualization.flat import Picture, resize_map
from unipan.visualization.named_overlay import STUFF_ALPHA, THING_ALPHA, named_overlay
from unipan.visualization.overlay import overlay, shrink
from unipan.visualization.pages import render_template
from unipan.visualization.palette import segment_colors

NOTEBOOK_WIDTH = 960
"""Pixels: the longer side of a picture in a notebook."""


def notebook_png(image: Picture, panoptic: PanopticMap) -> bytes:
    """With names and a legend, as an exported notebook has no HTML; at most as large as a notebook's column."""
    return png_of_rgb(shrink(named_overlay(image, panoptic), NOTEBOOK_WIDTH))


def notebook_html(image: Picture, panoptic: PanopticMap, name: str) -> str:
    """The overlay, and for each class its colour, number of segments and share of the image.

    Args:
        image: RGB, of the map's size.
        panoptic: the map.
        name: of the image.
    """
    areas, counts = Counter[str](), Counter[str]()
    colors = {segment.category.name: segment.category.color for segment in panoptic}
    for segment in panoptic:
        areas[segment.category.name] += segment.area
        counts[segment.category.name] += 1
    height, width = panoptic.ids.shape
    small = shrink(image, NOTEBOOK_WIDTH)
    resized = resize_map(panoptic, (small.shape[0], small.shape[1]))
    picture = overlay(small, resized, segment_colors(panoptic), THING_ALPHA, STUFF_ALPHA)
    return render_template(
        "notebook.html",
        name=name,
        png=base64.b64encode(png_of_rgb(picture)).decode(),
        size=(width, height),
        segments=len(panoptic),
        legend=[(key, colors[key], counts[key], area / panoptic.ids.size) for key, area in areas.most_common()],
    )
