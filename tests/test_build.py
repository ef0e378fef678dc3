"""From a config to objects."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.tiny import CATEGORIES, tiny_config
from unipan.build import build_criterion, build_network
from unipan.panoptic.categories import Categories, Category


def test_every_number_reaches_its_part() -> None:
    base = tiny_config()
    config = replace(
        base,
        affinity=replace(base.affinity, channels=12, activation="elu", normalise="pixels", temperature=3.0),
        potential=replace(base.potential, variant="C"),
        matching=replace(base.matching, iou_threshold=0.6, stride=2, use_gt_boxes=True),
        inference=replace(base.inference, score_threshold=0.7),
        loss=replace(base.loss, mask_kind="both"),
    )
    network = build_network(config, CATEGORIES)
    assert network.affinity is not None
    assert (network.affinity.activation, network.affinity.normalise) == ("elu", "pixels")
    assert network.affinity.phi0.weight.shape[0] == 12
    assert (network.potential.variant, network.potential.num_things) == ("C", 2)
    assert (network.detection.use_gt_boxes, network.detection.mask_kind) == (True, "both")
    assert (network.iou_threshold, network.label_stride) == (0.6, 2)
    assert network.score_threshold == 0.7
    assert float(network.temperature) == 3
    assert network.semantic.out_channels == len(CATEGORIES)
    assert build_criterion(config).weights["semantic"] == 1


def test_the_seed_makes_the_weights() -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(build_network(tiny_config(), CATEGORIES).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(weights[0].values(), weights[1].values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(weights[0].values(), weights[2].values(), strict=True))


def test_class_counts_come_from_the_categories() -> None:
    many = Categories(tuple(Category(i, str(i), i < 80, (0, 0, 0)) for i in range(133)))
    network = build_network(tiny_config(), many)
    state = network.state_dict()
    assert state["semantic.project.weight"].shape[0] == 133
    assert state["detection.roi.box_predictor.cls_score.weight"].shape[0] == 81
    assert state["detection.mask_predictor.mask_fcn_logits.weight"].shape[0] == 80


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    base = tiny_config()
    with pytest.raises(ValueError, match="divisible"):
        build_network(replace(base, decoder=replace(base.decoder, groups=3)), CATEGORIES)


def test_pretrained_weights_are_loaded_on_request_alone() -> None:
    base = tiny_config()
    missing = replace(base, backbone=replace(base.backbone, weights="no_such_file.pth"))
    build_network(missing, CATEGORIES)
    with pytest.raises(FileNotFoundError, match=r"no_such_file\.pth"):
        build_network(missing, CATEGORIES, pretrained=True)


def test_names_of_the_weights_stay() -> None:
    """Checkpoints of users depend on them."""
    keys = build_network(tiny_config(), CATEGORIES).state_dict()
    parts = {key.split(".")[0] for key in keys}
    assert parts == {"backbone", "semantic", "detection", "affinity", "temperature", "mean", "std"}
    for key in (
        "backbone.resnet.layer4.1.conv2.weight",
        "backbone.fpn.layer_blocks.0.0.weight",
        "semantic.project.weight",
        "detection.roi.box_head.fc6.weight",
        "detection.rpn.head.cls_logits.weight",
        "detection.mask_predictor.mask_fcn_logits.weight",
        "affinity.extractor.project.weight",
        "affinity.phi0.weight",
    ):
        assert key in keys


def test_weights_of_a_checkpoint_come_with_it_and_can_stand_still() -> None:
    base = tiny_config()
    backbone = replace(base.backbone, weights="checkpoint", frozen=True)
    config = replace(base, backbone=backbone, affinity=replace(base.affinity, rope=1))
    with pytest.raises(ValueError, match="give --init FILE, or other weights"):
        build_network(config, CATEGORIES, pretrained=True)
    network = build_network(config, CATEGORIES)
    assert not [module for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not network.backbone.resnet.conv1.weight.requires_grad
    assert network.affinity is not None
    assert network.affinity.rope == 1
