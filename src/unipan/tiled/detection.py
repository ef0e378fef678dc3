"""Sec. 3.3 on the feature pyramid of a whole picture: proposals window by window, boxes and masks some at a time."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from unipan.models.detection.head import DetectionHead
from unipan.models.parts import LEVELS
from unipan.structures import Detections
from unipan.tiled.windows import FeatureMap, GridSize, windows

BOXES_AT_ONCE, MASKS_AT_ONCE = 2048, 256
"""Boxes whose features exist at the same time; those of masks have four to sixteen times as many cells."""


@torch.no_grad()
def detected(
    head: DetectionHead,
    levels: Mapping[str, FeatureMap],
    padded: GridSize,
    size: GridSize,
    side: int,
    device: torch.device,
    score_threshold: float,
) -> Detections:
    """The detections that enter Psi, on `device`.

    Args:
        head: of the network.
        levels: P2 to P5.
        padded: height and width of the network's input, in pixels.
        size: the same without padding.
        side: of the windows, in cells.
        device: of the head.
        score_threshold: the least score.
    """
    proposals = _proposals(head, levels, padded, size, side, device)
    features = {name: levels[name].tensor[None] for name in LEVELS}
    scores, boxes = [], []
    for some in torch.split(proposals, BOXES_AT_ONCE):
        found = head.classified(features, [some])
        scores += found[0]
        boxes += found[1]
    box, score, label, _ = head.suppress(torch.cat(scores), torch.cat(boxes), size)
    kept = score >= score_threshold
    box, score, label = box[kept], score[kept], label[kept]
    masks = None
    if head.mask_pool is not None:
        rows = zip(torch.split(box, MASKS_AT_ONCE), torch.split(label, MASKS_AT_ONCE), strict=True)
        logits = [head.masks(features, [some], [kind])[0] for some, kind in rows]
        masks = torch.cat([each for each in logits if each is not None])
    return Detections(box, score, label, masks)


def _proposals(
    head: DetectionHead,
    levels: Mapping[str, FeatureMap],
    padded: GridSize,
    size: GridSize,
    side: int,
    device: torch.device,
) -> Float[Tensor, "R 4"]:
    """What torchvision's RPN proposes; only its best boxes of each level are decoded."""
    rpn = head.rpn
    maps = [levels[name] for name in LEVELS]
    half = maps[-1].tensor[:, ::2, ::2]
    p6 = FeatureMap(half.shape[0], (half.shape[1], half.shape[2]))
    p6.tensor[:] = half
    maps.append(p6)
    pixels = torch.empty(1, device=device)  # torchvision wants tensors, and reads their sizes alone
    like = [pixels.expand(1, 1, *level.size) for level in maps]
    anchors = rpn.anchor_generator(ImageList(pixels.expand(1, 3, *padded), [size]), like)[0]
    per_cell = rpn.anchor_generator.num_anchors_per_location()
    first, boxes, chances, counts = 0, [], [], []
    for level, count in zip(maps, per_cell, strict=True):
        objectness, deltas = _head_outputs(head, level, count, side, device)
        chance, rows = objectness.topk(min(rpn.pre_nms_top_n(), len(objectness)))
        boxes.append(rpn.box_coder.decode(deltas[rows], [anchors[first + rows]]).view(-1, 4))
        chances.append(chance)
        counts.append(len(rows))
        first += len(objectness)
    kept, _ = rpn.filter_proposals(torch.cat(boxes)[None], torch.cat(chances)[None], [size], counts)
    proposals: Tensor = kept[0]
    return proposals


def _head_outputs(
    head: DetectionHead, level: FeatureMap, anchors: int, side: int, device: torch.device
) -> tuple[Float[Tensor, " N"], Float[Tensor, "N 4"]]:
    """Objectness and box deltas of all anchors of a level, in the order of torchvision's: row, column, anchor."""
    height, width = level.size
    objectness = torch.empty(height, width, anchors, device=device)
    deltas = torch.empty(height, width, 4 * anchors, device=device)
    for window in windows(level.size, side):
        seen = window.grown(1, level.size)
        chance, delta = head.rpn.head([level.read(seen, device)[None]])
        rows, columns = window.slices
        objectness[rows, columns] = chance[0][0, :, *window.within(seen)].permute(1, 2, 0)
        deltas[rows, columns] = delta[0][0, :, *window.within(seen)].permute(1, 2, 0)
    return objectness.flatten(), deltas.view(-1, 4)
