"""Sec. 3.5: panoptic matching, Eq. 5. Ground truth is renumbered to the channels of the predicted detections.

Legend: D detections, N ground-truth things, K = D + S channels.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from unipan.ops.boxes import box_iou
from unipan.ops.masks import reduce_labels
from unipan.panoptic.maps import VOID
from unipan.structures import Detections, Target


def class_gated_iou(detections: Detections, target: Target) -> Float[Tensor, "D N"]:
    """Box IoU, 0 between different classes (below Eq. 5)."""
    iou = box_iou(detections.boxes.detach().float(), target.boxes)
    return iou * (detections.classes[:, None] == target.classes[None, :])


def match(detections: Detections, target: Target, threshold: float = 0.5) -> tuple[Detections, Int[Tensor, " _"]]:
    """The detections that enter the panoptic submodule in training, and the ground-truth row of each, else VOID.

    Maximises the sum of IoU_t over all one-to-one assignments (Eq. 5). Unmatched detections whose best IoU reaches the
    threshold t are duplicates and are removed; the other false positives stay, as channels that should win nowhere (the
    paper does not mention them).
    """
    iou = class_gated_iou(detections, target)
    valid = iou * (iou >= threshold)
    from scipy.optimize import linear_sum_assignment  # half a second, for training alone

    first, second = linear_sum_assignment(valid.cpu().numpy(), maximize=True)
    rows = torch.full((len(detections),), VOID, dtype=torch.long, device=iou.device)
    assigned = torch.as_tensor(first, device=iou.device)
    rows[assigned] = torch.as_tensor(second, device=iou.device)
    matched = torch.zeros_like(rows, dtype=torch.bool)
    matched[assigned] = valid[assigned, rows[assigned]] > 0
    rows[~matched] = VOID
    duplicate = ~matched & (valid.amax(1) > 0 if valid.shape[1] else torch.zeros_like(matched))
    return detections[~duplicate], rows[~duplicate]


def channel_labels(
    target: Target,
    rows: Int[Tensor, " D"],
    num_things: int,
    padded: tuple[int, int],
    stride: int,
    unmatched: int = VOID,
) -> Int[Tensor, "h w"]:
    """The matched ground truth T*: for each cell the channel of P that should win, VOID where there is no loss.

    Stuff is matched by class. Void, padding and crowds are VOID, and so are things that no detection matches.

    Args:
        target: the truth at the input's size.
        rows: ground-truth row of each detection, VOID for a false positive.
        num_things: T.
        padded: height and width of the padded input.
        stride: pixels per cell of the result.
        unmatched: the label of things that no detection matches; the channel of void in UPSNet.
    """
    channel_of_row = torch.full((len(target.classes) + 1,), unmatched, device=rows.device)
    matched = (rows != VOID).nonzero()[:, 0]
    channel_of_row[rows[matched]] = matched
    channel_of_row[VOID] = VOID  # the last entry is for pixels without a thing
    things = channel_of_row[target.instances]
    is_stuff = target.semantic >= num_things
    stuff = target.semantic - num_things + len(rows)
    labels = torch.where(is_stuff, stuff, things)
    height, width = labels.shape
    labels = F.pad(labels, (0, padded[1] - width, 0, padded[0] - height), value=VOID)
    return reduce_labels(labels, padded[0] // stride, padded[1] // stride)
