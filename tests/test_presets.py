"""The named experiments: they build, and the published ones hold the paper's numbers."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, image_batch
from unipan.build import build_criterion, build_detection, build_network
from unipan.config import DetectionConfig
from unipan.panoptic.categories import Categories, Category
from unipan.presets import (
    PRESETS,
    PUBLISHED,
    cityscapes,
    coco,
    fit_detection,
    ground_truth_boxes,
    mask_free,
    resnet101,
    scenes,
    scenes_mask_free,
)

CITYSCAPES = Categories(
    tuple(Category(index, f"class {index}", index < 8, (index, 0, 0)) for index in range(19)),
)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds(name: str) -> None:
    config = PRESETS[name]()
    assert config.name == name
    build_criterion(config)
    with torch.device("meta"):
        network = build_network(config, CATEGORIES)
    assert (network.detection.mask_pool is not None) == config.detection.masks
    assert network.affinity is not None
    assert network.score_threshold == config.inference.score_threshold


def test_small_presets_run() -> None:
    for config in (scenes(), scenes_mask_free()):
        network = build_network(config, CATEGORIES).eval()
        with torch.no_grad():
            output = network(image_batch())
        assert output.panoptic[0].shape[1:] == (HEIGHT // 2, WIDTH // 2)


def test_cityscapes_is_the_papers_network() -> None:
    with torch.device("meta"):
        network = build_network(cityscapes(), CITYSCAPES)
    state = network.state_dict()
    assert network.backbone.depth == 50
    assert state["semantic.project.weight"].shape == (19, 512, 1, 1)
    assert state["affinity.extractor.project.weight"].shape == (128, 512, 1, 1)
    assert network.detection.roi.detections_per_img == 100
    # The extra parameters of the affinity submodule with two layers.
    assert network.affinity is not None
    assert sum(p.numel() for p in network.affinity.parameters()) == 604_068
    assert sum(p.numel() for p in network.backbone.excite.parameters()) == 526_464
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    assert millions == pytest.approx(45.5, abs=2)


def test_the_recipes_are_the_papers() -> None:
    """The settings that Appendix B states."""
    street, photos = cityscapes(), coco()
    assert (street.train.iterations, street.train.batch_size, street.train.lr) == (65_000, 32, 0.01)
    assert [share * 65_000 for share in street.train.milestones] == pytest.approx([40_000, 55_000])
    assert (street.loss.detection, street.loss.semantic, street.loss.panoptic) == (0.25, 1, 1)
    assert (street.loss.semantic_kind, street.loss.mask_kind) == ("lovasz", "lovasz")
    assert (street.data.scale, street.data.crop, street.data.flip) == ((0.5, 2.0), (512, 1024), 0.5)
    assert (street.potential.variant, street.inference.score_threshold) == ("B", 0.5)
    assert (photos.train.iterations, photos.train.lr) == (200_000, 0.02)
    assert [share * 200_000 for share in photos.train.milestones] == [150_000, 190_000]
    assert (photos.loss.detection, photos.loss.semantic, photos.loss.panoptic) == (1, 0.2, 0.1)
    assert photos.loss.semantic_kind == "cross_entropy"
    assert (photos.data.short_side, photos.data.max_side) == (800, 1333)
    assert (photos.potential.variant, photos.inference.score_threshold, photos.decoder.layers) == ("C", 0.75, 3)
    assert (street.train.reference_batch, photos.train.reference_batch) == (
        street.train.batch_size,
        photos.train.batch_size,
    )
    assert (street.train.batch_size, photos.train.batch_size) == (32, 16)
    assert (street.data.color, photos.data.color, photos.data.scale, photos.data.crop) == (1, 0, (1, 1), (0, 0))
    assert (street.decoder.layers, photos.loss.mask_kind) == (2, "lovasz")
    # The stuff limit of heuristic fusion: 2048 pixels of 1024 x 2048, 4096 of COCO's 640 x 480.
    assert street.heuristic.min_stuff_area * 1024 * 2048 == 2048
    assert photos.heuristic.min_stuff_area * 640 * 480 == pytest.approx(4096, rel=1e-2)
    for recipe in (street, photos):
        assert recipe.train.bias_lr_factor == 2
        assert (recipe.decoder.channels, recipe.decoder.groups, recipe.decoder.stride) == (128, 32, 4)
        assert (recipe.decoder.deformable, recipe.matching.stride) == (True, 4)
        assert recipe.backbone.weights == "imagenet"
        # As maskrcnn-benchmark publishes them.
        detection = recipe.detection
        assert detection.anchor_sizes == (32, 64, 128, 256, 512)
        assert detection.anchor_ratios == (0.5, 1, 2)
        assert (detection.rpn_batch_size, detection.rpn_pre_nms) == (256, (2000, 1000))
        assert (detection.roi_batch_size, detection.sampling_ratio, detection.roi_canonical) == (512, 2, 224)
        assert (detection.box_features, detection.mask_channels, detection.mask_layers) == (1024, 256, 4)
        assert (detection.score_threshold, detection.nms_threshold) == (0.05, 0.5)
        assert (recipe.train.warmup, recipe.train.warmup_factor) == (500, pytest.approx(1 / 3))
        assert (recipe.train.optimizer, recipe.train.weight_decay) == ("sgd", 1e-4)
        assert recipe.backbone.frozen
        assert (recipe.affinity.channels, recipe.matching.iou_threshold, recipe.detection.max_detections) == (
            128,
            0.5,
            100,
        )


def test_the_published_recipes_are_four_of_each_data() -> None:
    assert set(PUBLISHED) == {
        f"{data}{depth}{masks}"
        for data in ("cityscapes", "coco")
        for depth in ("", "_r101")
        for masks in ("", "_mask_free")
    }
    for name, make in PUBLISHED.items():
        config, base = make(), cityscapes() if name.startswith("cityscapes") else coco()
        assert config.detection.masks == ("mask_free" not in name)
        assert config.backbone.depth == (101 if "r101" in name else 50)
        same = replace(config, name=base.name, backbone=base.backbone, detection=base.detection)
        assert same == base
        assert replace(config.detection, masks=True) == base.detection
        assert replace(config.backbone, depth=50) == base.backbone
    assert mask_free(resnet101(coco())) == PUBLISHED["coco_r101_mask_free"]()


def test_table_h() -> None:
    assert ground_truth_boxes(scenes()).matching.use_gt_boxes
    assert replace(ground_truth_boxes(scenes()), matching=scenes().matching) == scenes()


def ascending(most: float) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(st.floats(0, most), min_size=7, max_size=7).map(lambda v: tuple(sorted(v)))


@settings(max_examples=80, deadline=None)
@given(st.floats(0, 400), ascending(2000), st.lists(st.floats(0.01, 100), min_size=3, max_size=3).map(sorted))
def test_fit_detection(per_image: float, sides: tuple[float, ...], aspects: list[float]) -> None:
    start = DetectionConfig()
    fitted = fit_detection(start, per_image, sides, (aspects[0], aspects[1], aspects[2]))
    assert fitted.max_detections >= max(10, per_image)
    assert list(fitted.anchor_sizes) == sorted(fitted.anchor_sizes)
    assert min(fitted.anchor_sizes) >= 4
    # Every box from the 10th to the 99th percentile is within one step of an anchor.
    step = max(b / a for a, b in zip(fitted.anchor_sizes, fitted.anchor_sizes[1:], strict=False))
    for side in sides[1:]:
        nearest = min(abs(math.log(max(side, 4) / anchor)) for anchor in fitted.anchor_sizes)
        assert nearest <= math.log(step) + 0.12 or side < 8
    assert all(ratio > 0 for ratio in fitted.anchor_ratios)
    assert fitted.anchor_ratios[-1] / fitted.anchor_ratios[0] >= 1.4
    for phase in (0, 1):
        assert fitted.rpn_post_nms[phase] >= 2 * fitted.max_detections
        assert fitted.rpn_pre_nms[phase] >= fitted.rpn_post_nms[phase] or fitted.rpn_pre_nms == start.rpn_pre_nms
    assert fitted.roi_batch_size >= fitted.max_detections // 2
    kept = ("masks", "nms_threshold", "score_threshold", "box_features", "mask_channels")
    assert all(getattr(fitted, name) == getattr(start, name) for name in kept)
    with torch.device("meta"):
        build_detection(replace(scenes(), detection=replace(fitted, box_features=4, mask_channels=4)), 2)
