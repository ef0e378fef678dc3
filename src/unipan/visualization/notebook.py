"""A panoptic map in a notebook: its overlay, and a legend of its classes."""

import base64
from collections import Counter
from html import escape

from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import png_of_rgb
from unipan.visualization.flat import Picture, resize_map
from unipan.visualization.named_overlay import STUFF_ALPHA, THING_ALPHA
from unipan.visualization.overlay import overlay, shrink
from unipan.visualization.palette import segment_colors

NOTEBOOK_WIDTH = 960
"""Pixels: the longer side of a picture in a notebook."""


def notebook_png(image: Picture, panoptic: PanopticMap) -> bytes:
    """The overlay at the size of a notebook's column."""
    small = shrink(image, NOTEBOOK_WIDTH)
    resized = resize_map(panoptic, (small.shape[0], small.shape[1]))
    return png_of_rgb(overlay(small, resized, segment_colors(panoptic), THING_ALPHA, STUFF_ALPHA))


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
    chip = "display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em;background:rgb{}"
    rows = [
        f'<span style="margin-right:1.4em;white-space:nowrap"><i style="{chip.format(colors[key])}">'
        f"</i>{escape(key)} <small>{counts[key]}, {100 * area / panoptic.ids.size:.1f} %</small></span>"
        for key, area in areas.most_common()
    ]
    height, width = panoptic.ids.shape
    data = base64.b64encode(notebook_png(image, panoptic)).decode()
    return (
        f'<figure style="margin:0"><img alt="{escape(name)}" style="max-width:100%;min-width:min(100%,480px)" '
        f'src="data:image/png;base64,{data}">'
        f"<figcaption><b>{escape(name)}</b> {width} x {height}, {len(panoptic)} segments<br>{' '.join(rows)}"
        "</figcaption></figure>"
    )
