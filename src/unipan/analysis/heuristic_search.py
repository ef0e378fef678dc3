"""Grid search of the heuristic fusion's four thresholds, on images of its own, so that it is a fair opponent."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from unipan.config import HeuristicConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.inference import Segmenter

GRID = {
    "score_threshold": (0.1, 0.2, 0.3, 0.5, 0.7),
    "overlap_threshold": (0.1, 0.3, 0.5, 0.7),
    "mask_threshold": (0.4, 0.5, 0.6),
    "min_stuff_area": (0.0, 0.002, 0.0133),
}
"""180 combinations around the published thresholds."""


def search_thresholds(
    segmenter: Segmenter, data: PanopticData, images: Iterable[int]
) -> list[tuple[HeuristicConfig, PanopticQuality]]:
    """Every combination of GRID with its quality, best PQ first; the network runs once per image.

    Raises:
        ValueError: the data's classes are not the segmenter's.
    """
    segmenter = segmenter.with_categories(data.categories)
    cells = [HeuristicConfig(*values) for values in itertools.product(*GRID.values())]
    found = [PanopticQuality(data.categories) for _ in cells]
    for index in images:
        sample = data[index]
        scene = segmenter.scene(sample.image)
        for cell, quality in zip(cells, found, strict=True):
            result = replace(scene, config=replace(scene.config, heuristic=cell)).result("heuristic")
            quality.update(sample.truth, result, sample.name)
    return sorted(zip(cells, found, strict=True), key=lambda pair: -_overall_pq(pair[1]))


def _overall_pq(quality: PanopticQuality) -> float:
    found = quality.compute()["All"]
    return found.pq if found else 0.0
