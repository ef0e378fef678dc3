"""Time per image of several networks, in turn on the same images: on a busy machine only ratios are reliable."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from unipan.datasets.panoptic_data import PanopticData
from unipan.inference import Segmenter

TIMING_RESAMPLES = 1000


@dataclass(frozen=True)
class Timing:
    """Milliseconds per image, median over images and rounds.

    Attributes:
        network: from the image to detections, V, Psi and P.
        fusion: from there to the panoptic map at the image's own size.
        ratio: of both together to the first network's, median over images and rounds.
        low, high: of the ratio, 95 % percentile bootstrap over images, all rounds of an image together.
    """

    network: float
    fusion: float
    ratio: float
    low: float
    high: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.network + self.fusion


def time_in_turn(
    segmenters: dict[str, tuple[Segmenter, str]], data: PanopticData, images: int = 20, rounds: int = 3
) -> dict[str, Timing]:
    """Segment the same images with every network, one after the other, image by image.

    Args:
        segmenters: by name, each with its fusion; the first is what the others are compared with.
        data: to segment; decoding an image is not counted.
        images: how many, evenly spread.
        rounds: after one that warms up.
    """
    chosen = np.unique(np.linspace(0, len(data) - 1, min(images, len(data))).astype(int)).tolist()
    pictures = [data[index].image for index in chosen]
    times = np.zeros((rounds + 1, len(pictures), len(segmenters), 2))
    for turn in range(rounds + 1):
        for place, picture in enumerate(pictures):
            for row, (segmenter, fusion) in enumerate(segmenters.values()):
                times[turn, place, row] = _time_scene(segmenter, fusion, picture)
    measured = 1000 * times[1:]
    totals = measured.sum(axis=-1)
    ratios = totals / totals[:, :, :1]  # round, image, network
    drawn = np.random.default_rng(0).integers(len(pictures), size=(TIMING_RESAMPLES, len(pictures)))
    found = {}
    for row, name in enumerate(segmenters):
        network, fusion = np.median(measured[:, :, row], axis=(0, 1)).tolist()
        medians = np.median(ratios[:, drawn, row], axis=(0, 2))
        low, high = np.percentile(medians, (2.5, 97.5)).tolist()
        found[name] = Timing(network, fusion, float(np.median(ratios[:, :, row])), low, high)
    return found


def _time_scene(segmenter: Segmenter, fusion: str, picture: np.ndarray) -> tuple[float, float]:
    start = _now(segmenter)
    scene = segmenter.scene(picture)
    middle = _now(segmenter)
    scene.result(fusion)
    return middle - start, _now(segmenter) - middle


def _now(segmenter: Segmenter) -> float:
    if segmenter.device.type == "cuda":
        torch.cuda.synchronize(segmenter.device)
    return time.perf_counter()
