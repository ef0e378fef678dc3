"""Sec. 3.5 and A.1: P lives on a 1/4 grid. True maps go down to it and up again: the best that any network can score.

The ground truth must go down by cell centres; by plain `nearest` it is shifted half a cell against the image, and the
ceiling sinks (facts.md 9.10).
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unipan.config import DataConfig
from unipan.data.coco import CocoPanoptic
from unipan.data.loading import PanopticData
from unipan.data.scenes import HELD_OUT, Scenes
from unipan.data.transforms import index_maps, network_size, target_of
from unipan.engine.ceiling import ceiling
from unipan.metrics.panoptic_quality import PanopticQuality
from unipan.models.decoding import decode
from unipan.models.matching import channel_labels
from unipan.structures import VOID, Detections

OWN_SIZE = DataConfig(short_side=0)


def centres(labels: Tensor, matched: Tensor) -> Tensor:
    return matched


def corners(labels: Tensor, matched: Tensor) -> Tensor:
    """What `nearest` takes: the first pixel of each cell."""
    return labels[::4, ::4]


def ceilings(data: PanopticData, images: range, reduce: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
    """PQ of argmax of a perfect P, in percent, through the loss's own labels and inference's own decoding."""
    quality = PanopticQuality(data.categories)
    for index in images:
        sample = data[index]
        height, width = sample.truth.ids.shape
        padded = (-(-height // 32) * 32, -(-width // 32) * 32)
        target = target_of(*index_maps(sample.truth, data.categories))
        rows, things = torch.arange(len(target.classes)), len(data.categories.things)
        fine = channel_labels(target, rows, things, padded, stride=1)
        labels = reduce(fine, channel_labels(target, rows, things, padded))
        count = len(rows) + len(data.categories.stuff)
        perfect = (labels == torch.arange(count)[:, None, None]).float()
        found = Detections(target.boxes, torch.ones(len(rows)), target.classes)
        result = decode(perfect, found, data.categories, (height, width), (height, width))
        quality.update(sample.truth, result, sample.name)
    scores = quality.compute()
    return {group: 100 * q.pq for group in ("All", "Things", "Stuff") if (q := scores[group]) is not None}


def compare(name: str, data: PanopticData, images: range) -> tuple[dict[str, float], dict[str, float]]:
    by_centre, by_corner = ceilings(data, images, centres), ceilings(data, images, corners)
    shown = ", ".join(f"{group.lower()} {by_centre[group]:.1f} ({by_corner[group]:.1f})" for group in by_centre)
    print(f"ceiling of a perfect P on {len(images)} images of {name}, by cell centres (by nearest): {shown}")
    return by_centre, by_corner


def test_scenes() -> None:
    by_centre, by_corner = compare("scenes", Scenes(range(HELD_OUT, HELD_OUT + 12)), range(12))
    assert by_centre["Things"] > 83
    assert by_centre["Stuff"] > 88
    assert by_centre["Things"] > by_corner["Things"] + 5


def test_a_shifted_truth_is_noticed() -> None:
    data = Scenes(range(HELD_OUT, HELD_OUT + 6))
    straight = ceilings(data, range(6), centres)
    for axis in (0, 1):
        for cells in (-1, 1):
            shifted = ceilings(data, range(6), lambda _, m, s=cells, a=axis: m.roll(s, a))  # type: ignore[misc]
            assert shifted["Things"] < straight["Things"] - 10


def test_the_commands_ceiling_is_the_same() -> None:
    data = Scenes(range(HELD_OUT, HELD_OUT + 6))
    told, own = ceiling(data, OWN_SIZE), ceilings(data, range(6), centres)
    for group, value in own.items():
        found = told.scores[group]
        assert found is not None
        assert 100 * found.pq == pytest.approx(value, abs=0.5)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "images", "least", "gain"),
    [("facades/val", 5, 84, 5), ("nuclei/val", 12, 70, 8), ("coco20", 6, 78, 5)],
)
def test_real_photographs(folder: str, images: int, least: float, gain: float, shared_data: Path) -> None:
    """Over the whole sets (facts.md): nearest / centre, nuclei 62.7 / 77.2, facades 79.2 / 87.4, coco20 73.2 / 84.5."""
    data = CocoPanoptic(shared_data / folder)
    by_centre, by_corner = compare(folder, data, range(images))
    assert by_centre["Things"] > least
    assert by_centre["Things"] > by_corner["Things"] + gain


def test_padding_and_void_have_no_channel() -> None:
    data = Scenes(range(HELD_OUT, HELD_OUT + 1), size=(100, 200))
    target = target_of(*index_maps(data[0].truth, data.categories))
    labels = channel_labels(target, torch.arange(len(target.classes)), len(data.categories.things), (128, 224))
    assert (labels[25:] == VOID).all()
    assert (labels[:, 50:] == VOID).all()
    assert network_size(100, 200, OWN_SIZE) == (100, 200)
