"""The fusion of UPSNet, after its paper (arXiv 1901.03784) and its released configuration.

Masks are pruned; one channel per remaining thing, one per stuff class and one for void compete at the image's size;
then V votes on every thing. It differs from the released code in two points: detections have passed class-wise NMS
before the one across classes, and V and masks are interpolated to the image's size directly, not via the network's.

Legend: D detections, S stuff classes, K = D + S + 1 channels, L = T + S classes (things first).
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unipan.config import Config, UpsnetConfig
from unipan.fusion.argmax import Grid, argmax, upsample
from unipan.models.network import crop
from unipan.numpy_fusion.painting import voted_map
from unipan.ops.masks import paste_window
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Detections, Geometry, PanopticOutput


def upsnet_fusion(output: PanopticOutput, categories: Categories, geometry: Geometry, config: Config) -> PanopticMap:
    """UPSNet's fusion; it has a score threshold of its own and makes Psi anew at the image's size."""
    semantic = crop(output.semantic[0], geometry.input_size, geometry.stride)
    limits, area = config.upsnet, config.heuristic.min_stuff_area
    return prune_and_vote(output.candidates[0], semantic, categories, limits, area, geometry)


def prune_and_vote(
    detections: Detections,
    semantic_logits: Float[Tensor, "L h w"],
    categories: Categories,
    limits: UpsnetConfig,
    min_stuff_area: float,
    geometry: Geometry,
) -> PanopticMap:
    """Read a panoptic map off a network of variant A with the void channel.

    Args:
        detections: all candidates, with masks; boxes in pixels of the network's input.
        semantic_logits: V before its softmax, things first.
        limits: thresholds of pruning and voting.
        min_stuff_area: stuff regions smaller than this share of the image become void.
        geometry: of the image.

    Returns:
        things in the order of their scores, then stuff.

    Raises:
        ValueError: the detections have no masks.
    """
    things, v = len(categories.things), semantic_logits.detach().float().cpu()
    kept = prune(_at_image(detections, geometry), limits, geometry.image_size)
    grid = Grid.of(v, geometry)
    winners = compete(v, kept, grid, things)
    labels = argmax(v, grid).numpy()
    confidence = upsample(v.softmax(0).amax(0), grid).numpy()
    return voted_map(
        winners,
        labels,
        confidence,
        kept.classes.numpy(),
        kept.scores.tolist(),
        categories,
        limits.stuff_vote_threshold,
        min_stuff_area * winners.size,
    )


def _at_image(detections: Detections, geometry: Geometry) -> Detections:
    """On the CPU, boxes in pixels of the image."""
    if detections.masks is None:
        raise ValueError(
            "UPSNet's fusion: this network predicts no masks; use the fusion affinity or potential, or a checkpoint "
            "with masks"
        )
    boxes, scores, masks = (
        each.detach().float().cpu() for each in (detections.boxes, detections.scores, detections.masks)
    )
    return Detections(geometry.to_image(boxes), scores, detections.classes.cpu(), masks, detections.whole)


def prune(detections: Detections, limits: UpsnetConfig, image_size: tuple[int, int]) -> Detections:
    """The detections that take part, in the order of their scores.

    NMS over all classes together, then the score, then, most confident first: a mask is dropped that is empty, or
    of which kept masks of its class have taken more than the limit.

    Args:
        detections: boxes in pixels of the image, mask logits; on the CPU.
        limits: of NMS, score and overlap.
        image_size: (H, W).
    """
    from torchvision.ops import nms  # torchvision takes seconds to import, which the other fusions need not wait for

    assert detections.masks is not None
    taken: dict[int, np.ndarray] = {}
    kept: list[int] = []
    for index in nms(detections.boxes, detections.scores, limits.nms_threshold).tolist():
        if float(detections.scores[index]) <= limits.score_threshold:
            break
        window, values = paste_window(detections.masks[index], detections.boxes[index], *image_size, detections.whole)
        mask = (values > 0).numpy()
        canvas = taken.setdefault(int(detections.classes[index]), np.zeros(image_size, bool))
        if not mask.any() or (canvas[window] & mask).sum() / mask.sum() > limits.overlap_threshold:
            continue
        canvas[window] |= mask
        kept.append(index)
    return detections[torch.tensor(kept, dtype=torch.long)]


def compete(v: Float[Tensor, "L h w"], detections: Detections, grid: Grid, num_things: int) -> Int[np.ndarray, "H W"]:
    """The winning channel of every pixel: argmax of `channels`, which exist one at a time."""
    size = (len(grid.rows.low), len(grid.columns.low))
    best, winners = torch.full(size, -torch.inf), torch.zeros(size, dtype=torch.long)
    for index, channel in enumerate(channels(v, detections, grid, num_things)):
        winners[channel > best] = index
        best = torch.maximum(best, channel)
    return winners.numpy()


def channels(
    v: Float[Tensor, "L h w"], detections: Detections, grid: Grid, num_things: int
) -> Iterator[Float[Tensor, "H W"]]:
    """The K channels of Psi, variant A with void, at the image's size (`DynamicPotential` has them on the grid)."""
    assert detections.masks is not None
    size = (len(grid.rows.low), len(grid.columns.low))
    let_through = torch.full(size, -torch.inf if len(detections) else 0.0)
    for mask, box, label in zip(detections.masks, detections.boxes, detections.classes.tolist(), strict=True):
        window, m_k = paste_window(mask, box, *size, detections.whole)
        v_k = torch.zeros(size)
        v_k[window] = upsample(v[label], grid[window])
        let_through = torch.maximum(let_through, v_k)
        v_k[window] += m_k
        yield v_k
    for stuff in v[num_things:]:
        yield upsample(stuff, grid)
    highest = upsample(v[0], grid)
    for thing in v[1:num_things]:
        highest = torch.maximum(highest, upsample(thing, grid))
    yield highest - let_through
