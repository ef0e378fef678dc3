"""The ceiling: the PQ of a perfect P, which is below 100 because P has 1/d of the input's resolution (Sec. 3.5).

Small things cover few cells there, so that their outlines, or the things themselves, are lost whatever the network
learns.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unipan.config import DataConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sizes import network_size
from unipan.datasets.transforms import index_maps
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import PanopticScores
from unipan.fusion.argmax import decode
from unipan.models.matching import channel_labels
from unipan.ops.masks import reduce_labels
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Detections, Geometry, Target

ENOUGH = 0.8
"""A thing PQ of the ceiling below this is worth a warning."""
ENLARGED = (1.5, 2.0)
"""Factors on the short side that are tried in that case."""


@dataclass(frozen=True)
class Ceiling:
    """The best that a network can reach on a dataset at one image size.

    Attributes:
        short_side: of the network's input.
        scores: PQ of a perfect P.
    """

    short_side: int
    scores: PanopticScores

    @property
    def things(self) -> float:
        """Thing PQ as a fraction; 1 where there are no things."""
        found = self.scores["Things"]
        return found.pq if found else 1.0

    def __str__(self) -> str:
        parts = [f"{group.lower()} {100 * q.pq:.1f}" for group, q in self.scores.groups.items() if q is not None]
        return f"short side {self.short_side}: PQ {', '.join(parts)}"


def perfect_panoptic(
    truth: PanopticMap, categories: Categories, geometry: Geometry
) -> tuple[Float[Tensor, "K h w"], Detections]:
    """P that is right in every cell (1 for the true channel, else 0), and the detections of its first channels.

    Args:
        truth: at the image's own size; a crowd of things gets a channel too, as it has no better place.
        categories: of the dataset.
        geometry: of the image; the grid is rounded up to whole cells.
    """
    counted = replace(truth, segments=tuple(replace(segment, iscrowd=False) for segment in truth))
    instances, semantic, classes = index_maps(counted, categories)
    boxes = torch.zeros(len(classes), 4)
    size, stride = geometry.input_size, geometry.stride
    target = Target(boxes, classes, reduce_labels(instances, *size), reduce_labels(semantic, *size))
    height, width = (-(-side // stride) * stride for side in size)
    rows = torch.arange(len(classes))
    labels = channel_labels(target, rows, len(categories.things), (height, width), stride)
    channels = torch.arange(len(classes) + len(categories.stuff))
    panoptic = (labels == channels[:, None, None]).float()
    return panoptic, Detections(boxes, torch.ones(len(classes)), classes)


def ceiling(data: PanopticData, config: DataConfig, stride: int, images: int = 40) -> Ceiling:
    """PQ of a perfect P over up to `images` evenly spread images, decoded and scored as any other."""
    quality = PanopticQuality(data.categories)
    shorts = []
    for index in np.linspace(0, len(data) - 1, min(images, len(data))).astype(int):
        sample = data[int(index)]
        truth = sample.truth
        height, width = truth.ids.shape
        geometry = Geometry((height, width), network_size(height, width, config), stride)
        panoptic, detections = perfect_panoptic(truth, data.categories, geometry)
        found = decode(panoptic, detections, data.categories, geometry)
        quality.update(truth, found, sample.name)
        shorts.append(min(geometry.input_size))
    return Ceiling(int(np.median(shorts)), quality.compute())


def enlarged(config: DataConfig, short_side: int, factor: float) -> DataConfig:
    """The same with a larger short side; the limit of the long side grows along."""
    return replace(config, short_side=round(short_side * factor), max_side=max(1, round(config.max_side * factor)))


def advise(data: PanopticData, config: DataConfig, stride: int, images: int = 40) -> str:
    """The ceiling at the chosen size; where it is low, larger sizes with theirs and which one to take."""
    here = ceiling(data, config, stride, images)
    text = f"ceiling of a perfect P on its 1/{stride} grid, {here}"
    if here.things >= ENOUGH:
        return text
    tried = [(factor, ceiling(data, enlarged(config, here.short_side, factor), stride, images)) for factor in ENLARGED]
    lines = [f"  x{factor:g} {found}" for factor, found in tried]
    reached = [pair for pair in tried if pair[1].things >= ENOUGH]
    factor, best = reached[0] if reached else max(tried, key=lambda pair: pair[1].things)
    if best.things <= here.things:
        return "\n".join([text, *lines, "warning: the things are small, but larger images do not raise the ceiling"])
    options = f"--data.short-side {round(here.short_side * factor)} --data.max-side {round(config.max_side * factor)}"
    warning = (
        f"warning: even a perfect network stays at thing PQ {100 * here.things:.1f} at this image size; "
        f"{options} lifts it to {100 * best.things:.1f} (a step then takes about {factor**2:.2g} times as long)"
    )
    return "\n".join([text, *lines, warning])
