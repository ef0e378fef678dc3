"""Images of a dataset with their panoptic maps, on one page for `unipan data show`."""

import numpy as np

from unipan import __version__
from unipan.datasets.formats.convert import has_images
from unipan.datasets.formats.format import PanopticDataset
from unipan.visualization.flat import color_map
from unipan.visualization.overlay import draw_boxes, overlay, shrink
from unipan.visualization.pages import CaptionedImage, GalleryPage, ImageRow, data_uri
from unipan.visualization.palette import segment_colors

LONGEST = 720
"""Pixels of the longer side of a picture on the page."""


def dataset_page(data: PanopticDataset, count: int, title: str) -> GalleryPage:
    """A page of `count` images, evenly spaced: each with its panoptic map over it, and its things with their names."""
    count = min(count, len(data))
    chosen = [round(step * (len(data) - 1) / max(count - 1, 1)) for step in range(count)]
    images, used, rows = has_images(data), set(), []
    for index in chosen:
        row, names = _image_row(data, index, images)
        used |= names
        rows.append(row)
    legend = [(category.name, category.color) for category in data.categories if category.name in used]
    lead = f"{len(chosen)} of {len(data)} images, evenly spaced; {len(data.categories.things)} thing and "
    lead += f"{len(data.categories.stuff)} stuff classes, {len(legend)} of them here. Things of a class vary in hue; "
    lead += "a crowd is one segment."
    return GalleryPage(
        title=title,
        kicker="unipan data show",
        verb="data show",
        lead=[lead],
        rows=rows,
        legend=legend,
        colophon=f"unipan {__version__}",
    )


def _image_row(data: PanopticDataset, index: int, images: bool) -> tuple[ImageRow, set[str]]:
    """The pictures of one image, and the names of its classes."""
    truth = data.truth(index)
    picture = data[index].image if images else np.full((*truth.ids.shape, 3), 128, np.uint8)
    colors = segment_colors(truth)
    things = [segment for segment in truth if segment.isthing]
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (each.bbox for each in things)], np.float32).reshape(-1, 4)
    labels = [segment.category.name + " (crowd)" * segment.iscrowd for segment in things]
    named = draw_boxes(picture, boxes, labels, [colors[segment.id] for segment in things])
    drawn = overlay(picture, truth) if images else color_map(truth)
    crowds = sum(segment.iscrowd for segment in truth)
    size = f"{truth.ids.shape[1]} x {truth.ids.shape[0]}"
    note = f"{size}; things {len(things) - crowds}, crowds {crowds}, stuff segments {len(truth) - len(things)}, "
    note += f"void {100 * float((truth.ids == 0).mean()):.1f} %"
    pictures = {"image": picture} if images else {}
    pictures |= {"ground truth": drawn, "things": named}
    captioned = [CaptionedImage(title, data_uri(shrink(each, LONGEST))) for title, each in pictures.items()]
    return ImageRow(data.file_names[index], captioned, note), {segment.category.name for segment in truth}
