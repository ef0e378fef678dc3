"""A.2: "Thanks to the modular design of our network, it is easy to substitute it with any other detector architecture".

Tried with one: FCOS (arXiv 1904.01355), which has one stage, no anchors, no RoIs and no masks.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.image_list import ImageList

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, S, T, image_batch, square_target, tiny_config, tiny_network
from unipan.build import build_criterion
from unipan.fusion.argmax import decode
from unipan.models.network import PanopticNetwork
from unipan.models.parts import Detector
from unipan.structures import Detections, Geometry, ImageBatch, Target


class Levels(nn.Module):
    """All that FCOS asks of a backbone that it never runs."""

    out_channels = 32


class OneStage(nn.Module):
    """torchvision's FCOS on the network's own levels, which speaks as `DetectionHead` does."""

    def __init__(self) -> None:
        super().__init__()
        cells = AnchorGenerator(((8,), (16,), (24,), (32,), (64,)), ((1.0,),) * 5)
        self.fcos = FCOS(Levels(), T, anchor_generator=cells, score_thresh=0.0, detections_per_img=8)

    def forward(
        self,
        features: dict[str, Tensor],
        images: ImageBatch,
        targets: list[Target] | None = None,
        *,
        detect: bool = True,
    ) -> tuple[list[Detections], dict[str, Tensor]]:
        levels, fcos = list(features.values()), self.fcos
        said: dict[str, Tensor] = fcos.head(levels)
        places = fcos.anchor_generator(ImageList(images.pixels, images.sizes), levels)
        counts = [level.shape[-2] * level.shape[-1] for level in levels]
        losses = {}
        if targets is not None and self.training:
            truths = [{"boxes": each.boxes, "labels": each.classes} for each in targets]
            terms = fcos.compute_loss(truths, said, places, counts)
            losses = {"box_class": terms["classification"], "box_regression": terms["bbox_regression"]}
            losses["box_regression"] = losses["box_regression"] + terms["bbox_ctrness"]
        if not detect:
            return [], losses
        by_level = {name: list(value.split(counts, 1)) for name, value in said.items()}
        found = fcos.postprocess_detections(by_level, [list(each.split(counts)) for each in places], images.sizes)
        return [Detections(each["boxes"].detach(), each["scores"], each["labels"], None) for each in found], losses

    def masks(self, features: dict[str, Tensor], boxes: list[Tensor], classes: list[Tensor]) -> list[None]:
        return [None] * len(boxes)


def network_with_fcos() -> PanopticNetwork:
    base = tiny_config(masks=False)
    network = tiny_network(replace(base, backbone=replace(base.backbone, fpn_channels=Levels.out_channels)))
    network.detection = OneStage()
    assert isinstance(network.detection, Detector)
    return network


def test_the_network_trains_with_another_detector() -> None:
    network, criterion = network_with_fcos().train(), build_criterion(tiny_config(masks=False))
    wanted = [square_target(), square_target(things=False)]
    output = network(image_batch(2), wanted)
    terms = criterion(output, wanted)
    assert set(terms) == {"box_class", "box_regression", "semantic", "panoptic"}
    # The panoptic loss alone teaches it, through its scores.
    scores = network.detection.fcos.head.classification_head.cls_logits.weight  # type: ignore[union-attr]
    terms["panoptic"].backward(retain_graph=True)
    assert scores.grad.any()
    early = criterion(network(image_batch(2), wanted, panoptic=False), wanted)  # before a late start
    assert set(early) == {"box_class", "box_regression", "semantic"}
    network.zero_grad()
    criterion.total(terms).backward()
    untaught = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert untaught == []


def test_the_network_segments_with_another_detector() -> None:
    network = network_with_fcos().train()
    network.backbone(image_batch(4).pixels)  # batch norm has seen something
    network.eval().score_threshold = 0.0
    with torch.no_grad():
        output = network(image_batch())
    found = output.detections[0]
    assert len(found) > 1
    assert found.masks is None
    assert output.panoptic[0].shape == (len(found) + S, HEIGHT // 4, WIDTH // 4)
    result = decode(output.panoptic[0], found, CATEGORIES, Geometry((HEIGHT, WIDTH), (HEIGHT, WIDTH), 4))
    assert (result.ids > 0).all()
