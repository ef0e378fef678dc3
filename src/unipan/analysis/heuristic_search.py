"""The heuristic merger's four limits, searched on images of their own, so that it is a fair opponent."""

import itertools
from collections.abc import Iterable

from unipan.config import HeuristicConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.fusion.heuristic import merge
from unipan.inference import Scene, Segmenter
from unipan.panoptic.maps import PanopticMap

GRID = {
    "score_threshold": (0.1, 0.2, 0.3, 0.5, 0.7),
    "overlap_threshold": (0.1, 0.3, 0.5, 0.7),
    "mask_threshold": (0.4, 0.5, 0.6),
    "min_stuff_area": (0.0, 0.002, 0.0133),
}
"""180 cells around the published limits."""


def merged(scene: Scene, limits: HeuristicConfig) -> PanopticMap:
    """The merger's map of one scene under other limits than its checkpoint's."""
    return merge(
        scene.output.candidates[0], scene.semantic, scene.categories, limits, scene.input_size, scene.size, scene.stride
    )


def search_merger(
    segmenter: Segmenter, data: PanopticData, images: Iterable[int]
) -> list[tuple[HeuristicConfig, PanopticQuality]]:
    """Every cell of GRID with its quality, best PQ first; the network runs once an image.

    Raises:
        ValueError: other classes than the segmenter's.
    """
    segmenter = segmenter.with_categories(data.categories)
    cells = [HeuristicConfig(*values) for values in itertools.product(*GRID.values())]
    found = [PanopticQuality(data.categories) for _ in cells]
    for index in images:
        sample = data[index]
        scene = segmenter.scene(sample.image)
        for cell, quality in zip(cells, found, strict=True):
            quality.update(sample.truth, merged(scene, cell), sample.name)
    return sorted(zip(cells, found, strict=True), key=lambda pair: -_pq(pair[1]))


def _pq(quality: PanopticQuality) -> float:
    found = quality.compute()["All"]
    return found.pq if found else 0.0
