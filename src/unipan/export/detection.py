"""The detection submodule (Sec. 3.3) as the exporter can follow it: one image, and no branch that depends on data.

torchvision's `filter_proposals` and `batched_nms` ask how many boxes there are before they decide what to do. These
functions do the same for any number, with the same modules and thresholds; the tests compare them.

Legend: R proposals, D detections, T thing classes.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import MultiScaleRoIAlign, nms, roi_align

from unipan.models.detection.head import DetectionHead
from unipan.models.detection.pooling import FIRST_LEVEL, AlignedRoIPool
from unipan.models.detection.proposals import ImagewiseRPN
from unipan.models.parts import LEVELS
from unipan.structures import Detections

SMALLEST_DETECTION = 1e-2
"""Side in pixels, as in `DetectionHead`."""


def find(
    detector: DetectionHead,
    features: dict[str, Tensor],
    pixels: Float[Tensor, "1 3 H W"],
    size: Int[Tensor, " 2"],
) -> Detections:
    """What `DetectionHead` finds in one image.

    Args:
        detector: in evaluation mode.
        features: p2..p6.
        pixels: the padded image.
        size: height and width of what is no padding.
    """
    proposals = propose(detector.rpn, features, pixels, size)
    roi = detector.roi
    logits, deltas = roi.box_predictor(roi.box_head(pool(roi.box_roi_pool, features, proposals)))
    refined = roi.box_coder.decode_single(deltas, proposals).view(-1, logits.shape[1], 4)[:, 1:]
    boxes, scores = within(refined, size), logits.softmax(-1)[:, 1:]
    row, label = (scores > roi.score_thresh).nonzero(as_tuple=True)
    box, score = boxes[row, label], scores[row, label]
    big = large_enough(box, SMALLEST_DETECTION)
    box, score, label = box[big], score[big], label[big]
    keep = suppress(box, score, label, roi.nms_thresh)[: roi.detections_per_img]
    box, score, label = box[keep], score[keep], label[keep]
    return Detections(box, score, label, mask_logits_of(detector, features, box, label))


def propose(
    rpn: ImagewiseRPN, features: dict[str, Tensor], pixels: Float[Tensor, "1 3 H W"], size: Int[Tensor, " 2"]
) -> Float[Tensor, "R 4"]:
    """The proposals of torchvision's RPN."""
    levels = list(features.values())
    objectness, deltas = rpn.head(levels)
    counts = [each.shape[1] * each.shape[2] * each.shape[3] for each in objectness]
    anchors = rpn.anchor_generator(ImageList(pixels, [(0, 0)]), levels)[0]
    logits, codes = concat_box_prediction_layers(objectness, deltas)
    decoded = rpn.box_coder.decode_single(codes, anchors)
    boxes, scores, numbers = [], [], []
    each_level = zip(torch.split(logits[:, 0], counts), torch.split(decoded, counts), strict=True)
    for number, (logit, box) in enumerate(each_level):
        best, rows = logit.topk(torch.sym_min(rpn.pre_nms_top_n(), logit.shape[0]))
        boxes.append(box[rows])
        scores.append(best)
        numbers.append(torch.full_like(rows, number))
    clipped, chances, groups = within(torch.cat(boxes), size), torch.cat(scores).sigmoid(), torch.cat(numbers)
    big = large_enough(clipped, rpn.min_size)
    clipped, chances, groups = clipped[big], chances[big], groups[big]
    return clipped[suppress(clipped, chances, groups, rpn.nms_thresh)[: rpn.post_nms_top_n()]]


def mask_logits_of(
    detector: DetectionHead, features: dict[str, Tensor], boxes: Float[Tensor, "D 4"], classes: Int[Tensor, " D"]
) -> Float[Tensor, "D m m"] | None:
    """The mask of each box's class; None without a mask head."""
    if detector.mask_pool is None:
        return None
    logits = detector.mask_predictor(detector.mask_head(pool(detector.mask_pool, features, boxes)))
    chosen: Tensor = logits[torch.arange(classes.shape[0]), classes]
    return chosen


def pool(module: nn.Module, features: dict[str, Tensor], boxes: Float[Tensor, "R 4"]) -> Float[Tensor, "R I m m"]:
    """RoIAlign from the level of each box, as `region_pool` has it; the levels' boxes are joined again by sorting."""
    if isinstance(module, AlignedRoIPool):
        levels, side, aligned = module.levels(boxes) - FIRST_LEVEL, module.size, True
    else:
        assert isinstance(module, MultiScaleRoIAlign)
        levels, side, aligned = module.map_levels([boxes]), module.output_size[0], False
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    rows = [(levels == step).nonzero()[:, 0] for step in range(len(LEVELS))]
    pooled = [
        roi_align(features[name], rois[row], side, 2.0 ** -(FIRST_LEVEL + step), module.sampling_ratio, aligned)
        for step, (name, row) in enumerate(zip(LEVELS, rows, strict=True))
    ]
    return torch.cat(pooled)[torch.cat(rows).argsort()]


def within(boxes: Float[Tensor, "*n 4"], size: Int[Tensor, " 2"]) -> Float[Tensor, "*n 4"]:
    """Boxes cut off at the image's edges (`clip_boxes_to_image`)."""
    edges: Tensor = size.flip(0).repeat(2).to(boxes.dtype)
    return torch.minimum(boxes.clamp(min=0), edges)


def large_enough(boxes: Float[Tensor, "N 4"], side: float) -> Int[Tensor, " _"]:
    """Rows of the boxes whose sides have this length (`remove_small_boxes`)."""
    return ((boxes[:, 2:] - boxes[:, :2]) >= side).all(1).nonzero()[:, 0]


def suppress(
    boxes: Float[Tensor, "N 4"], scores: Float[Tensor, " N"], groups: Int[Tensor, " N"], threshold: float
) -> Int[Tensor, " _"]:
    """Non-maximum suppression within each group, as `batched_nms` does it for few boxes: groups are moved apart."""
    step = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).amax(0) + 1
    kept: Tensor = nms(boxes + (groups.to(boxes.dtype) * step)[:, None], scores, threshold)
    return kept
