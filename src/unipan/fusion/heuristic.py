"""Heuristic fusion of Panoptic FPN (arXiv 1901.02446, Sec. 3), in the form of panopticapi.

Things are painted in the order of their scores, each on the pixels of its mask that are still free; stuff fills the
rest. Nothing here is learned, which is the point of the comparison.
"""

import numpy as np
from jaxtyping import Float, Int32
from torch import Tensor

from unipan.config import Config, HeuristicConfig
from unipan.fusion.argmax import Grid, argmax, upsample
from unipan.models.network import crop
from unipan.ops.masks import paste_full
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map
from unipan.structures import Detections, Geometry, PanopticOutput

IdMap = Int32[np.ndarray, "H W"]


def heuristic_fusion(output: PanopticOutput, categories: Categories, geometry: Geometry, config: Config) -> PanopticMap:
    """Heuristic fusion; it has a score threshold of its own, so it starts from all candidates."""
    semantic = crop(output.semantic[0], geometry.input_size, geometry.stride)
    return merge(output.candidates[0], semantic, categories, config.heuristic, geometry)


def merge(
    detections: Detections,
    semantic_logits: Float[Tensor, "L h w"],
    categories: Categories,
    limits: HeuristicConfig,
    geometry: Geometry,
) -> PanopticMap:
    """Fuse instance and semantic segmentation by rules.

    Args:
        detections: all candidates, with masks; boxes in pixels of the network's input.
        semantic_logits: V before its softmax, things first.
        limits: its four thresholds.
        geometry: of the image.

    Returns:
        things in the order of their scores, then stuff. Pixels that V labels as a thing and no mask covers, and stuff
        regions below the minimum area, are void.

    Raises:
        ValueError: the detections have no masks.
    """
    if detections.masks is None:
        raise ValueError(
            "heuristic fusion: this network predicts no masks; use the fusion affinity or potential, or a checkpoint "
            "with masks"
        )
    ids = np.full(geometry.image_size, VOID_ID, np.int32)
    found = _paint_things(ids, detections, categories, limits, geometry)
    grid = Grid.of(semantic_logits, geometry)
    labels = argmax(semantic_logits.float(), grid).cpu().numpy()
    confidence = upsample(semantic_logits.float().softmax(0).amax(0), grid).cpu().numpy()
    found += paint_stuff(ids, labels, confidence, categories, limits.min_stuff_area * ids.size)
    return numbered_map(ids, found)


def numbered_map(ids: IdMap, found: list[tuple[Category, float]]) -> PanopticMap:
    """The map of segments 1, 2, ... with these categories and scores."""
    segments = dict(enumerate(found, start=1))
    categories = {key: category for key, (category, _) in segments.items()}
    return panoptic_map(ids, categories, {key: score for key, (_, score) in segments.items()})


def _paint_things(
    ids: IdMap,
    detections: Detections,
    categories: Categories,
    limits: HeuristicConfig,
    geometry: Geometry,
) -> list[tuple[Category, float]]:
    """Paint ids 1.. of the kept masks into `ids`; their categories and scores, in the order of the ids."""
    height, width = ids.shape
    boxes = geometry.to_image(detections.boxes.cpu())
    order = detections.scores.argsort(descending=True, stable=True)
    found: list[tuple[Category, float]] = []
    for index in order.tolist():
        score = float(detections.scores[index])
        if score < limits.score_threshold:
            break
        assert detections.masks is not None
        probabilities = detections.masks[index].float().sigmoid()
        window, mask = paste_full(probabilities, boxes[index], height, width, limits.mask_threshold)
        free = mask & (ids[window] == VOID_ID)
        area = int(mask.sum())
        if area == 0 or not free.any() or (area - int(free.sum())) / area > limits.overlap_threshold:
            continue
        found.append((categories[int(detections.classes[index])], score))
        ids[window][free] = len(found)
    return found


def paint_stuff(
    ids: IdMap,
    labels: np.ndarray,
    confidence: np.ndarray,
    categories: Categories,
    least_area: float,
) -> list[tuple[Category, float]]:
    """Give the free pixels of every large enough stuff class the next id; their categories and mean confidences."""
    free = ids == VOID_ID
    areas = np.bincount(labels[free], minlength=len(categories))
    sums = np.bincount(labels[free], confidence[free], minlength=len(categories))
    start = int(ids.max(initial=VOID_ID))
    table = np.zeros(len(categories), np.int32)
    found: list[tuple[Category, float]] = []
    for index in range(len(categories.things), len(categories)):
        if areas[index] == 0 or areas[index] < least_area:
            continue
        found.append((categories[index], min(float(sums[index] / areas[index]), 1.0)))
        table[index] = start + len(found)
    ids[free] = table[labels[free]]
    return found
