"""The rows of the paper's figures: the panels of one example."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unipan.config import Fusion
from unipan.fusion.argmax import Grid, upsample
from unipan.reproduction.figures.examples import Example, FusedImage
from unipan.scene import Scene
from unipan.visualization.heatmap import affinity_picture
from unipan.visualization.palette import Color, colors_like, segment_colors
from unipan.visualization.panels import (
    AnyPicture,
    Panel,
    View,
    boxes_panel,
    contour,
    corners,
    panoptic_panel,
)
from unipan.visualization.regions import own_box

UNOWNED: Color = (190, 190, 190)
"""Boxes that fit no object."""
STRONGEST = 0.995
"""Absolute values from this quantile on get the full colour; scaled to the maximum, most would be pale."""
ROOM = 6
"""Pixels of the image between a region and the corners drawn around it."""


def truncated(seen: FusedImage, example: Example) -> list[Panel]:
    """Figure 1: image, truth, heuristic fusion, ours, affinities, argmax of Psi, around one object."""
    view = _window(seen, example)
    maps = [_map_picture(view, seen, fusion) for fusion in ("heuristic", "affinity", "potential")]
    affinity = _affinity_picture(view, seen, example)
    panels = [_boxes_picture(view, seen, example), _truth_picture(view, seen), *maps[:2], affinity, maps[2]]
    return _crossed(view, example, panels, but=1)


def revised(seen: FusedImage, example: Example) -> list[Panel]:
    """Figure 6: image, affinities, lead of the object's channel in Psi and in P."""
    view, scene = _window(seen, example), seen.scene
    outline = view.part(seen.sample.truth).ids == example.segment
    leads = [lead(scene, channels, example) for channels in (scene.potential, scene.panoptic)]
    # The sign of the lead matters most, so the square root stretches the values near zero.
    drawn = [contour(_signed(view, seen, np.sign(each) * np.sqrt(np.abs(each))), outline) for each in leads]
    panels = [_boxes_picture(view, seen, example, alone=True), _affinity_picture(view, seen, example), *drawn]
    return _crossed(view, example, panels)


def attributed(seen: FusedImage, example: Example) -> list[Panel]:
    """Figure I: image with boxes, truth, affinities, prediction."""
    view = _window(seen, example)
    panels = [
        _boxes_picture(view, seen, example),
        _truth_picture(view, seen),
        _affinity_picture(view, seen, example),
        _map_picture(view, seen, "affinity"),
    ]
    return _crossed(view, example, panels, but=1)


def compared(seen: FusedImage, example: Example, one: Fusion, other: Fusion) -> list[Panel]:
    """Figures 7, J and K: the whole image, its truth and two fusions; corners frame the example's region."""
    view = View.whole(seen.scene.size)
    maps = [_map_picture(view, seen, fusion) for fusion in (one, other)]
    if example.region is not None:
        around = np.array([example.region], np.float64) + np.array([-ROOM, -ROOM, ROOM, ROOM])
        x0, y0, x1, y1 = view.boxes(around)[0].tolist()
        maps = [corners(picture, (x0, y0, x1, y1)) for picture in maps]
    return [Panel(view.photo(seen.sample.image)), Panel(_truth_picture(view, seen)), *map(Panel, maps)]


def affinities(scene: Scene, x: int, y: int) -> Float32[np.ndarray, "H W"]:
    """A pixel's affinities as the argmax sees them.

    If each channel of Psi is divided by its mass, a channel of P gains the mean affinity to its segment. A constant
    added to all affinities of a pixel is then added to all channels and changes nothing, so the mean is subtracted.
    """
    values = scene.affinity(x, y)
    return values - values.mean() if scene.config.affinity.normalise == "segment" else values


@torch.no_grad()
def lead(scene: Scene, channels: Float[Tensor, "K h w"], example: Example) -> Float32[np.ndarray, "H W"]:
    """The example's channel minus the best other one, at the image's size; negative where it loses."""
    assert example.detection is not None
    row = example.detection
    others = torch.cat([channels[:row], channels[row + 1 :]])
    ahead = channels[row].float() - (others.float().amax(0) if len(others) else 0)
    return np.asarray(upsample(ahead, Grid.of(ahead, scene.geometry)).cpu().numpy(), np.float32)


def _window(seen: FusedImage, example: Example) -> View:
    """The surroundings of the example's object and of its predicted box."""
    segment = next(s for s in seen.sample.truth if s.id == example.segment)
    x, y, width, height = segment.bbox
    x0, y0, x1, y1 = seen.scene.detections.boxes[example.detection].tolist()
    box = (min(x, x0), min(y, y0), max(x + width, x1), max(y + height, y1))
    left, top, right, bottom = (float(side) for side in box)
    return View.around((left, top, right, bottom), seen.scene.size)


def _crossed(view: View, example: Example, pictures: list[AnyPicture], but: int | None = None) -> list[Panel]:
    """The pictures with a cross on the example's pixel; the truth (`but`) stays bare, as in the paper."""
    assert example.pixel is not None
    place = view.place(*example.pixel)
    panels = [Panel(picture, place) for picture in pictures]
    return [replace(panel, cross=None) if index == but else panel for index, panel in enumerate(panels)]


def _boxes_picture(view: View, seen: FusedImage, example: Example, alone: bool = False) -> AnyPicture:
    """The image with its predicted boxes in the colours of the objects that they fit; `alone`: the object's only."""
    found, colors = seen.scene.detections, segment_colors(seen.sample.truth)
    every, classes = found.boxes.cpu().numpy(), found.classes.cpu().numpy()
    owners: dict[int, Color] = {}
    for segment in seen.sample.truth:
        row = own_box(segment, every, classes == seen.scene.categories.index_of_name[segment.category.name])
        if row is not None and segment.isthing:
            owners[row] = colors[segment.id]
    rows = [row for row in range(len(found)) if not alone or row == example.detection]
    boxes = every[rows].astype(np.float64)
    strong = None if example.detection is None else rows.index(example.detection)
    return boxes_panel(view, seen.sample.image, boxes, [owners.get(row, UNOWNED) for row in rows], strong)


def _truth_picture(view: View, seen: FusedImage) -> AnyPicture:
    truth = seen.sample.truth
    return panoptic_panel(view, seen.sample.image, truth, segment_colors(truth))


def _map_picture(view: View, seen: FusedImage, fusion: Fusion) -> AnyPicture:
    result = seen.results[fusion]
    return panoptic_panel(view, seen.sample.image, result, colors_like(result, seen.sample.truth))


def _affinity_picture(view: View, seen: FusedImage, example: Example) -> AnyPicture:
    assert example.pixel is not None
    return _signed(view, seen, affinities(seen.scene, *example.pixel))


def _signed(view: View, seen: FusedImage, values: Float32[np.ndarray, "H W"]) -> AnyPicture:
    part = view.values(values)
    return affinity_picture(part, None, view.photo(seen.sample.image), float(np.quantile(np.abs(part), STRONGEST)))
