"""Sec. 3.3, A.2: the object detection submodule gives boxes B, scores s, classes c and, optionally, masks M.

Built from torchvision's RPN, RoIAlign and heads. Detections are predicted in the same way in training and at test, so
that the panoptic submodule learns to deal with their errors. Stuff classes are added in the potential head, as
detections that cover the whole image.

Legend: B images, R proposals, D detections, T thing classes; in torchvision class 0 is the background, so in detection/
its labels are thing classes plus one.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from unipan.models.criterion import LossKind, mask_loss
from unipan.models.detection.box_head import sample_proposals
from unipan.models.detection.pooling import pooled_at_home
from unipan.models.detection.proposals import ImagewiseRPN, Truth, thin_out, truth_of
from unipan.ops.distributed import mean_count
from unipan.ops.mask_logits import class_mask_logits
from unipan.ops.masks import crop_targets
from unipan.structures import Detections, ImageBatch, Target


class DetectionHead(nn.Module):
    """RPN, box head and optional mask head on the FPN levels.

    Args:
        rpn: of `region_proposals`.
        roi: of `box_heads`.
        mask_pool: RoIAlign to half the cells of M; None leaves out the mask head.
        channels: of the FPN levels.
        num_things: T.
        mask_channels: width of the mask head.
        mask_layers: 3x3 convolutions of the mask head before its deconvolution.
        mask_kind: `lovasz` (the paper's), `cross_entropy`, or `both`.
        use_gt_boxes: in training return the ground-truth boxes with score 1, not the predicted ones (Table H).
        gt_box_keep_rate: probability of each of those boxes to be kept; below 1 in UPSNet.
    """

    def __init__(
        self,
        *,
        rpn: ImagewiseRPN,
        roi: RoIHeads,
        mask_pool: nn.Module | None,
        channels: int,
        num_things: int,
        mask_channels: int = 256,
        mask_layers: int = 4,
        mask_kind: LossKind = "lovasz",
        use_gt_boxes: bool = False,
        gt_box_keep_rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.rpn = rpn
        self.roi = roi
        self.mask_kind = mask_kind
        self.use_gt_boxes = use_gt_boxes
        self.gt_box_keep_rate = gt_box_keep_rate
        self.mask_pool = mask_pool
        if mask_pool is not None:
            self.mask_head = MaskRCNNHeads(channels, [mask_channels] * mask_layers, 1)
            self.mask_predictor = MaskRCNNPredictor(mask_channels, mask_channels, num_things)

    def forward(
        self,
        features: dict[str, Tensor],
        images: ImageBatch,
        targets: list[Target] | None = None,
        *,
        detect: bool = True,
    ) -> tuple[list[Detections], dict[str, Tensor]]:
        """Detections of each image (none without `detect`) and, in training mode, the named losses."""
        truths = None if targets is None else [truth_of(target) for target in targets]
        proposals, losses = self.rpn(ImageList(images.pixels, images.sizes), features, truths)
        if targets is None or truths is None or not self.training:
            return self.detect(features, proposals, images.sizes), {}
        losses = {"rpn_objectness": losses["loss_objectness"], "rpn_box": losses["loss_rpn_box_reg"]}
        losses |= self._head_losses(features, proposals, targets, truths)
        if not detect:
            return [], losses
        if self.use_gt_boxes:
            return self._truth(features, truths), losses
        return self.detect(features, proposals, images.sizes), losses

    def detect(
        self, features: dict[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Detections]:
        """Score, refine and suppress the proposals of each image.

        Scores and masks carry gradients (A.4); boxes do not, as a crop has no gradient towards its corners. All
        proposals are therefore scored without a graph, and the kept ones once more with it.
        """
        with torch.no_grad():
            scored, refined = self.classified(features, proposals)
            found = [self.suppress(s, b, size) for s, b, size in zip(scored, refined, sizes, strict=True)]
        boxes, scores, classes, rows = (list(parts) for parts in zip(*found, strict=True))
        if torch.is_grad_enabled():
            kept = [p[row] for p, row in zip(proposals, rows, strict=True)]
            scores = self._scores(features, kept, classes)
        masks = self.masks(features, boxes, classes)
        return [Detections(*parts) for parts in zip(boxes, scores, classes, masks, strict=True)]

    def classified(self, features: dict[str, Tensor], proposals: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Per image the scores (R, T) and refined boxes (R, T, 4) of its proposals; `features` may be on the CPU."""
        logits, deltas = self._box_head(features, proposals)
        counts = [len(p) for p in proposals]
        decoded = self.roi.box_coder.decode(deltas.float(), proposals)  # of no proposals: (0, 4 classes)
        refined = torch.split(decoded.reshape(-1, logits.shape[1], 4)[:, 1:], counts)
        return list(torch.split(logits.float().softmax(-1)[:, 1:], counts)), list(refined)

    def suppress(
        self, scores: Float[Tensor, "R T"], boxes: Float[Tensor, "R T 4"], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The usual post-processing of one image: boxes, scores, classes and proposal rows of the detections."""
        boxes = clip_boxes_to_image(boxes, size)
        row, label = (scores > self.roi.score_thresh).nonzero(as_tuple=True)
        box, score = boxes[row, label], scores[row, label]
        big = remove_small_boxes(box, 1e-2)
        box, score, label, row = box[big], score[big], label[big], row[big]
        keep = batched_nms(box, score, label, self.roi.nms_thresh)[: self.roi.detections_per_img]
        return box[keep], score[keep], label[keep], row[keep]

    def _scores(self, features: dict[str, Tensor], boxes: list[Tensor], classes: list[Tensor]) -> list[Tensor]:
        logits, _ = self._box_head(features, boxes)
        probabilities = torch.split(logits.float().softmax(-1)[:, 1:], [len(b) for b in boxes])
        return [p.gather(1, label[:, None])[:, 0] for p, label in zip(probabilities, classes, strict=True)]

    def _truth(self, features: dict[str, Tensor], truths: list[Truth]) -> list[Detections]:
        boxes, classes = (
            list(parts) for parts in zip(*(thin_out(t, self.gt_box_keep_rate) for t in truths), strict=True)
        )
        masks = self.masks(features, boxes, classes)
        return [
            Detections(box, torch.ones_like(box[:, 0]), label, mask)
            for box, label, mask in zip(boxes, classes, masks, strict=True)
        ]

    def _head_losses(
        self, features: dict[str, Tensor], proposals: list[Tensor], targets: list[Target], truths: list[Truth]
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            sampled, rows, labels, deltas = sample_proposals(self.roi, proposals, truths)
        class_logits, box_deltas = self._box_head(features, sampled)
        box_class, box_regression = fastrcnn_loss(class_logits.float(), box_deltas.float(), labels, deltas)
        # torchvision averages over the proposals of this process; the losses are averages over all processes.
        share = len(class_logits) / mean_count(len(class_logits), class_logits.device)
        losses = {"box_class": box_class * share, "box_regression": box_regression * share}
        if self.mask_pool is not None:
            positive = [(label > 0).nonzero()[:, 0] for label in labels]
            boxes = [p[keep] for p, keep in zip(sampled, positive, strict=True)]
            classes = [label[keep] - 1 for label, keep in zip(labels, positive, strict=True)]
            logits = torch.cat(self._mask_logits(self.mask_pool, features, boxes, classes))
            wanted = [
                crop_targets(target.instances, box, row[keep], logits.shape[-1])
                for target, box, row, keep in zip(targets, boxes, rows, positive, strict=True)
            ]
            losses["mask"] = mask_loss(logits.float(), torch.cat(wanted), self.mask_kind)
        return losses

    def _box_head(self, features: dict[str, Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        pooled = pooled_at_home(self.roi.box_roi_pool, features, boxes)
        logits, deltas = self.roi.box_predictor(self.roi.box_head(pooled))
        return logits, deltas

    def masks(
        self, features: dict[str, Tensor], boxes: list[Tensor], classes: list[Tensor]
    ) -> list[Tensor] | list[None]:
        """Mask logits (D, m, m) for any boxes of each image; None per image without a mask head."""
        if self.mask_pool is None:
            return [None] * len(boxes)
        return self._mask_logits(self.mask_pool, features, boxes, classes)

    def _mask_logits(
        self, pool: nn.Module, features: dict[str, Tensor], boxes: list[Tensor], classes: list[Tensor]
    ) -> list[Tensor]:
        """Mask logits of each box's class, per image.

        It runs on zero boxes as well, so that every parameter gets a gradient, which distributed training needs.
        """
        logits = self.pooled_mask_logits(pooled_at_home(pool, features, boxes), torch.cat(classes))
        return list(torch.split(logits, [len(b) for b in boxes]))

    def pooled_mask_logits(
        self, pooled: Float[Tensor, "D _ _ _"], classes: Int[Tensor, " D"]
    ) -> Float[Tensor, "D m m"]:
        """Mask logits of each box's class from its pooled features."""
        up, last = self.mask_predictor.conv5_mask, self.mask_predictor.mask_fcn_logits
        return class_mask_logits(self.mask_head(pooled), classes, up.weight, up.bias, last.weight, last.bias)
