"""The rows of the paper's figures: what stands in each column for one example."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unipan.config import Fusion
from unipan.fusion.argmax import Grid, upsample
from unipan.inference import Scene
from unipan.reproduction.examples import Example, Reading, own_box
from unipan.visualization.palette import Color, colors_like, segment_colors
from unipan.visualization.panels import (
    AnyPicture,
    Panel,
    View,
    boxes_panel,
    contour,
    corners,
    panoptic_panel,
    signed_panel,
)

UNOWNED: Color = (190, 190, 190)
"""Boxes that fit no object."""
STRONGEST = 0.995
"""This quantile of the absolute values is drawn in full colour: the few strongest would leave the rest pale."""
ROOM = 6
"""Pixels of the image between what corners stand around and the corners."""


def truncated(reading: Reading, example: Example) -> list[Panel]:
    """Figure 1: image, truth, merger, ours, affinities, argmax of Psi, around one object."""
    view = _window(reading, example)
    maps = [_map(view, reading, fusion) for fusion in ("heuristic", "affinity", "potential")]
    affinity = _affinity(view, reading, example)
    panels = [_boxes(view, reading, example), _truth(view, reading), *maps[:2], affinity, maps[2]]
    return _crossed(view, example, panels, but=1)


def revised(reading: Reading, example: Example) -> list[Panel]:
    """Figure 6: image, affinities, lead of the object's channel in Psi and in P."""
    view, scene = _window(reading, example), reading.scene
    outline = view.part(reading.sample.truth).ids == example.segment
    leads = [lead(scene, channels, example) for channels in (scene.potential, scene.panoptic)]
    # Of the lead its sign matters most, so what lies near zero is drawn out.
    drawn = [contour(_signed(view, reading, np.sign(each) * np.sqrt(np.abs(each))), outline) for each in leads]
    panels = [_boxes(view, reading, example, alone=True), _affinity(view, reading, example), *drawn]
    return _crossed(view, example, panels)


def attributed(reading: Reading, example: Example) -> list[Panel]:
    """Figure I: image with boxes, truth, affinities, prediction."""
    view = _window(reading, example)
    panels = [
        _boxes(view, reading, example),
        _truth(view, reading),
        _affinity(view, reading, example),
        _map(view, reading, "affinity"),
    ]
    return _crossed(view, example, panels, but=1)


def compared(reading: Reading, example: Example, one: Fusion, other: Fusion) -> list[Panel]:
    """Figures 7, J and K: the whole image, its truth, two readings; corners stand around the example's region."""
    view = View.whole(reading.scene.size)
    maps = [_map(view, reading, fusion) for fusion in (one, other)]
    if example.region is not None:
        around = np.array([example.region], np.float64) + np.array([-ROOM, -ROOM, ROOM, ROOM])
        x0, y0, x1, y1 = view.boxes(around)[0].tolist()
        maps = [corners(picture, (x0, y0, x1, y1)) for picture in maps]
    return [Panel(view.photo(reading.sample.image)), Panel(_truth(view, reading)), *map(Panel, maps)]


def affinities(scene: Scene, x: int, y: int) -> Float32[np.ndarray, "H W"]:
    """A pixel's affinities as the argmax sees them.

    Where each channel of Psi is divided by its mass, a channel of P gains the mean affinity to its segment: what is
    added to all affinities of a pixel is added to all its channels and decides nothing. So the mean is taken off.
    """
    values = scene.affinity(x, y)
    return values - values.mean() if scene.config.affinity.normalise == "segment" else values


@torch.no_grad()
def lead(scene: Scene, channels: Float[Tensor, "K h w"], example: Example) -> Float32[np.ndarray, "H W"]:
    """By how much the example's channel is above the best other one, at the image's size; below zero where it loses."""
    assert example.detection is not None
    row = example.detection
    others = torch.cat([channels[:row], channels[row + 1 :]])
    ahead = channels[row].float() - (others.float().amax(0) if len(others) else 0)
    grid = Grid.of(ahead, scene.input_size, scene.size, scene.stride)
    return np.asarray(upsample(ahead, grid).cpu().numpy(), np.float32)


def _window(reading: Reading, example: Example) -> View:
    """The surroundings of the example's object and of its predicted box."""
    segment = next(s for s in reading.sample.truth if s.id == example.segment)
    x, y, width, height = segment.bbox
    x0, y0, x1, y1 = reading.scene.detections.boxes[example.detection].tolist()
    box = (min(x, x0), min(y, y0), max(x + width, x1), max(y + height, y1))
    left, top, right, bottom = (float(side) for side in box)
    return View.around((left, top, right, bottom), reading.scene.size)


def _crossed(view: View, example: Example, pictures: list[AnyPicture], but: int | None = None) -> list[Panel]:
    """The pictures with a cross on the example's pixel; the truth (`but`) stays bare, as in the paper."""
    assert example.pixel is not None
    place = view.place(*example.pixel)
    panels = [Panel(picture, place) for picture in pictures]
    return [replace(panel, cross=None) if index == but else panel for index, panel in enumerate(panels)]


def _boxes(view: View, reading: Reading, example: Example, alone: bool = False) -> AnyPicture:
    """The image with its predicted boxes in the colours of the objects that they fit; `alone`: the object's only."""
    found, colors = reading.scene.detections, segment_colors(reading.sample.truth)
    owners: dict[int, Color] = {}
    for segment in reading.sample.truth:
        row = own_box(segment, found, reading.scene.categories.index_of_name[segment.category.name])
        if row is not None and segment.isthing:
            owners[row] = colors[segment.id]
    rows = [row for row in range(len(found)) if not alone or row == example.detection]
    boxes = found.boxes.cpu().numpy()[rows].astype(np.float64)
    strong = None if example.detection is None else rows.index(example.detection)
    return boxes_panel(view, reading.sample.image, boxes, [owners.get(row, UNOWNED) for row in rows], strong)


def _truth(view: View, reading: Reading) -> AnyPicture:
    truth = reading.sample.truth
    return panoptic_panel(view, reading.sample.image, truth, segment_colors(truth))


def _map(view: View, reading: Reading, fusion: Fusion) -> AnyPicture:
    result = reading.results[fusion]
    return panoptic_panel(view, reading.sample.image, result, colors_like(result, reading.sample.truth))


def _affinity(view: View, reading: Reading, example: Example) -> AnyPicture:
    assert example.pixel is not None
    return _signed(view, reading, affinities(reading.scene, *example.pixel))


def _signed(view: View, reading: Reading, values: Float32[np.ndarray, "H W"]) -> AnyPicture:
    limit = float(np.quantile(np.abs(view.values(values)), STRONGEST))
    return signed_panel(view, reading.sample.image, values, limit)
