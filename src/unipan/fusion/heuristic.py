"""Heuristic fusion of Panoptic FPN (arXiv 1901.02446, Sec. 3), in the form of panopticapi.

Things are painted in the order of their scores, each on the pixels of its mask that are still free; stuff fills the
rest. Nothing here is learned, which is the point of the comparison.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from unipan.config import Config, HeuristicConfig
from unipan.fusion.argmax import Grid, argmax, upsample
from unipan.models.network import crop
from unipan.numpy_fusion.painting import Window, numbered_map, paint_stuff, paint_things
from unipan.ops.masks import paste_full
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID_ID, PanopticMap
from unipan.structures import Detections, Geometry, PanopticOutput


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
    found = paint_things(ids, _image_masks(detections, categories, limits, geometry), limits.overlap_threshold)
    grid = Grid.of(semantic_logits, geometry)
    labels = argmax(semantic_logits.float(), grid).cpu().numpy()
    confidence = upsample(semantic_logits.float().softmax(0).amax(0), grid).cpu().numpy()
    found += paint_stuff(ids, labels, confidence, categories, limits.min_stuff_area * ids.size)
    return numbered_map(ids, found)


def _image_masks(
    detections: Detections, categories: Categories, limits: HeuristicConfig, geometry: Geometry
) -> Iterator[tuple[Window, Bool[np.ndarray, "a b"], Category, float]]:
    """The masks at the image's size in the order of the scores, as `paint_things` takes them."""
    assert detections.masks is not None
    boxes = geometry.to_image(detections.boxes.cpu())
    for index in detections.scores.argsort(descending=True, stable=True).tolist():
        score = float(detections.scores[index])
        if score < limits.score_threshold:
            break
        probabilities = detections.masks[index].float().sigmoid()
        window, mask = paste_full(
            probabilities, boxes[index], *geometry.image_size, limits.mask_threshold, detections.whole
        )
        yield window, mask, categories[int(detections.classes[index])], score
