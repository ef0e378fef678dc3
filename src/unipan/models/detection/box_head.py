"""Sec. 3.3: the box head, torchvision's, and the proposals that it trains on.

Legend: N proposals of one image, T thing classes.
"""

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads

from unipan.models.detection.proposals import Truth, sample


def box_heads(
    *,
    channels: int,
    num_things: int,
    pool: nn.Module,
    features: int,
    batch_size: int,
    score_threshold: float,
    nms_threshold: float,
    max_detections: int,
) -> RoIHeads:
    """torchvision's container of the box head and its settings; its own forward returns no detections in training.

    Args:
        channels: of the FPN levels.
        num_things: T.
        pool: RoIAlign to 7 x 7 cells.
        features: width of the two fully connected layers.
        batch_size: proposals per image in the loss, a quarter of them foreground.
        score_threshold: detections below it are dropped before NMS.
        nms_threshold: of class-wise NMS.
        max_detections: per image.
    """
    return RoIHeads(
        pool,
        TwoMLPHead(channels * 7 * 7, features),
        FastRCNNPredictor(features, num_things + 1),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=batch_size,
        positive_fraction=0.25,
        bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
        score_thresh=score_threshold,
        nms_thresh=nms_threshold,
        detections_per_img=max_detections,
    )


def sample_proposals(
    roi: RoIHeads, proposals: list[Tensor], truths: list[Truth]
) -> tuple[list[Tensor], list[Tensor], list[Tensor], tuple[Tensor, ...]]:
    """What the box head trains on, per image: boxes (N 4), the thing that each should find, label, box deltas.

    torchvision's `select_training_samples`, drawn image by image.
    """
    boxes = [truth["boxes"].to(proposals[0].dtype) for truth in truths]
    proposals = roi.add_gt_proposals(proposals, boxes)
    rows, labels = roi.assign_targets_to_proposals(proposals, boxes, [truth["labels"] for truth in truths])
    most, share = roi.fg_bg_sampler.batch_size_per_image, roi.fg_bg_sampler.positive_fraction
    chosen = [sample(label, most, share, truth["draw"]) for label, truth in zip(labels, truths, strict=True)]
    proposals, rows, labels = ([each[c] for each, c in zip(p, chosen, strict=True)] for p in (proposals, rows, labels))
    # An image without things has only background, whose deltas count nowhere.
    wanted = [b[row] if len(b) else torch.zeros_like(p) for b, row, p in zip(boxes, rows, proposals, strict=True)]
    return proposals, rows, labels, roi.box_coder.encode(wanted, proposals)
