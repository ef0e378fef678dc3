"""What one map has right and another has not, pixel by pixel."""

import cv2
import numpy as np

from unipan.arrays import Bool, UInt8
from unipan.evaluation.matching import match_segments
from unipan.panoptic.maps import PanopticMap
from unipan.visualization.flat import error_map, resize_ids, segment_index

REPAIRED, SPOILED = (38, 140, 84), (201, 48, 70)
"""Colours of pixels that only the second map has right, and only the first one."""


def right_pixels(truth: PanopticMap, prediction: PanopticMap) -> Bool[np.ndarray, "H W"]:
    """Pixels of a ground-truth segment that lie in the prediction matched with it."""
    pairs = match_segments(truth, prediction, "demo")
    right = np.zeros(truth.ids.shape, bool)
    for t, p in zip(pairs.truth.tolist(), pairs.prediction.tolist(), strict=True):
        right |= (truth.ids == truth.segments[t].id) & (prediction.ids == prediction.segments[p].id)
    return right


def change_picture(
    image: UInt8[np.ndarray, "H W 3"], before: Bool[np.ndarray, "h w"], after: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Repaired and spoiled pixels over the pale grey image, which may be larger than the masks."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    picture = (0.35 * grey + 0.65 * 255).astype(np.uint8)
    for mask, color in ((after & ~before, REPAIRED), (before & ~after, SPOILED)):
        large = cv2.resize(mask.astype(np.uint8), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
        picture[large > 0] = color
    return picture


def error_picture(truth: PanopticMap, prediction: PanopticMap, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """`error_map` at another size, height x width."""
    pairs = match_segments(truth, prediction, "demo")
    match, spurious = np.full(len(truth), -1), np.zeros(len(prediction), bool)
    match[pairs.truth], spurious[pairs.false_positives] = pairs.prediction, True
    counted = np.array([not segment.iscrowd for segment in truth], bool)
    index, guess = (
        segment_index(resize_ids(each.ids, size), [segment.id for segment in each]) for each in (truth, prediction)
    )
    return error_map(index, guess, match, counted, spurious).rgb()
