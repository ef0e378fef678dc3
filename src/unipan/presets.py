"""The named experiments, as functions that return a Config; `unipan train NAME` starts from one."""

import math
from dataclasses import replace

from unipan.config import (
    AffinityConfig,
    BackboneConfig,
    Config,
    DataConfig,
    DecoderConfig,
    DetectionConfig,
    HeuristicConfig,
    InferenceConfig,
    LossConfig,
    MatchingConfig,
    PotentialConfig,
    TrainConfig,
)


def scenes() -> Config:
    """Procedural street scenes from scratch on a laptop: the recipe of the bundled checkpoints."""
    return Config(
        name="scenes",
        backbone=BackboneConfig(depth=18, width=32, fpn_channels=64, weights="none", frozen=False),
        # Things are a few dozen pixels wide here: at d = 4 even a perfect P would stay at thing PQ 85.
        decoder=DecoderConfig(layers=2, channels=64, deformable=False, groups=8, stride=2),
        affinity=AffinityConfig(rope=5, shortest_wavelength=32.0),  # alike and near (ours)
        matching=MatchingConfig(stride=1),
        detection=DetectionConfig(
            anchor_sizes=(16, 28, 48, 84, 144),
            rpn_pre_nms=(200, 200),
            rpn_post_nms=(80, 80),
            rpn_batch_size=128,
            roi_batch_size=48,
            roi_canonical=80,
            sampling_ratio=1,
            box_features=256,
            mask_channels=64,
            mask_layers=2,
            nms_threshold=0.35,  # a second box on an object would split it in the argmax (ours)
            max_detections=24,
        ),
        loss=LossConfig(semantic_stride=2, potential=1.0),
        data=DataConfig(short_side=0, flip=0.5),
        train=TrainConfig(
            iterations=4800,
            batch_size=8,
            optimizer="adamw",
            lr=1.5e-3,
            weight_decay=1e-3,
            schedule="cosine",
            warmup=100,
            warmup_factor=0.05,
            max_grad_norm=5.0,
            ema_decay=0.998,
            validations=8,
            validation_images=60,
        ),
    )


def scenes_mask_free() -> Config:
    """`scenes` with boxes only (the paper's models A and B)."""
    return mask_free(scenes())


def finetune() -> Config:
    """Your own data in COCO panoptic format: small images, a CPU or one GPU, starting from the bundled checkpoint."""
    base = scenes()
    return replace(
        base,
        name="finetune",
        # With hundreds of channels per image, losses at full resolution and on Psi would cost more than the network.
        matching=replace(base.matching, stride=2),
        loss=replace(base.loss, potential=0.0),
        data=DataConfig(
            short_side=384, max_side=768, scale=(0.8, 1.25), crop=(256, 384), window=(0.1, 99.9), flip=0.5, color=0.5
        ),
        train=replace(
            base.train, batch_size=4, lr=1e-3, iterations=1500, validations=5, validation_images=20, ema_decay=0.99
        ),
    )


def equation_4() -> AffinityConfig:
    """Eq. 4 as the paper describes it: a 1x1 convolution followed by an activation, and linear in Psi.

    The paper does not name the activation; with a ReLU the affinities die. Nor does it say how a sum over tens of
    thousands of cells is kept in bounds; here it is a mean (docs/design_choices.md).
    """
    return AffinityConfig(activation="gelu", normalise="pixels")


def cityscapes() -> Config:
    """The paper on Cityscapes (Tables 1, 2, 4): ResNet-50, masks, 32 crops of 512 x 1024, variant B."""
    return Config(
        name="cityscapes",
        # Fields that are not listed here keep Config's defaults, which are the paper's numbers.
        decoder=DecoderConfig(layers=2),
        potential=PotentialConfig("B"),
        affinity=equation_4(),
        loss=LossConfig(detection=0.25, semantic=1.0, panoptic=1.0, semantic_kind="lovasz"),
        inference=InferenceConfig(score_threshold=0.5),
        heuristic=HeuristicConfig(min_stuff_area=2048 / (1024 * 2048)),
        data=DataConfig(short_side=1024, max_side=2048, scale=(0.5, 2.0), crop=(512, 1024), color=1.0),
        train=TrainConfig(
            iterations=65_000, batch_size=32, reference_batch=32, lr=0.01, bias_lr_factor=2.0, num_workers=4
        ),
    )


def cityscapes_mask_free() -> Config:
    """The paper's model B on Cityscapes: boxes only (Tables 1, 2, H, J)."""
    return mask_free(cityscapes())


def cityscapes_r101() -> Config:
    """The paper's ResNet-101 on Cityscapes (Table 4); it starts from COCO's: `--init FILE --decoder.layers 3`."""
    return resnet101(cityscapes())


def cityscapes_r101_mask_free() -> Config:
    """`cityscapes_r101` with boxes only."""
    return mask_free(cityscapes_r101())


def coco() -> Config:
    """The paper on COCO (Tables 3, 5): ResNet-50, masks, 16 whole images of 800 / 1333, variant C."""
    return Config(
        name="coco",
        decoder=DecoderConfig(layers=3),
        potential=PotentialConfig("C"),
        affinity=equation_4(),
        loss=LossConfig(detection=1.0, semantic=0.2, panoptic=0.1, semantic_kind="cross_entropy"),
        inference=InferenceConfig(score_threshold=0.75),
        data=DataConfig(short_side=800, max_side=1333, pad=True),
        # The batch is not in the paper; 16 is that of the 1x schedules whose learning rate it takes.
        train=TrainConfig(
            iterations=200_000,
            batch_size=16,
            reference_batch=16,
            lr=0.02,
            bias_lr_factor=2.0,
            milestones=(0.75, 0.95),
            num_workers=4,
        ),
    )


def coco_mask_free() -> Config:
    """`coco` with boxes only."""
    return mask_free(coco())


def coco_r101() -> Config:
    """The paper's ResNet-101 on COCO (Table 5)."""
    return resnet101(coco())


def coco_r101_mask_free() -> Config:
    """`coco_r101` with boxes only."""
    return mask_free(coco_r101())


def mask_free(config: Config) -> Config:
    """The experiment with boxes only (the paper's models A and B)."""
    return replace(config, name=f"{config.name}_mask_free", detection=replace(config.detection, masks=False))


def resnet101(config: Config) -> Config:
    """The experiment with a ResNet-101."""
    return replace(config, name=f"{config.name}_r101", backbone=replace(config.backbone, depth=101))


PUBLISHED = {
    make.__name__: make
    for make in (
        cityscapes,
        cityscapes_mask_free,
        cityscapes_r101,
        cityscapes_r101_mask_free,
        coco,
        coco_mask_free,
        coco_r101,
        coco_r101_mask_free,
    )
}
"""Recipes whose numbers are the paper's; they are not fitted to the data."""

PRESETS = {make.__name__: make for make in (scenes, scenes_mask_free, finetune)} | PUBLISHED


def panoptic_fpn(config: Config) -> Config:
    """Panoptic FPN (arXiv 1901.02446) with another preset's sizes, data and schedule: Table 2's baseline.

    A head that sums the levels, cross entropy for V and M, no panoptic submodule, heuristic fusion. Squeeze-and-excite
    and deformable convolutions, which are the paper's, are removed as well. The loss weights of the preset are kept.
    """
    return replace(
        config,
        name=f"{config.name}_panoptic_fpn",
        backbone=replace(config.backbone, se_reduction=0),
        decoder=replace(config.decoder, kind="sum", deformable=False),
        detection=replace(config.detection, masks=True),
        affinity=AffinityConfig(enabled=False, temperature=0.0),
        matching=replace(config.matching, use_gt_boxes=False),
        loss=replace(
            config.loss, panoptic=0.0, potential=0.0, semantic_kind="cross_entropy", mask_kind="cross_entropy"
        ),
        inference=replace(config.inference, fusion="heuristic"),
    )


def upsnet(config: Config) -> Config:
    """UPSNet (arXiv 1901.03784) with another preset's sizes, data and schedule: the other baseline of Tables 2 and 3.

    Variant A with the void channel, trained on true boxes of which three tenths are left out, on Psi's own grid; cross
    entropy for V and M; the panoptic loss has half the weight of the semantic one, as in both of UPSNet's recipes. No
    affinity head and no squeeze-and-excite. The decoder is UPSNet's already (with the GroupNorm that the paper adds).
    """
    return replace(
        config,
        name=f"{config.name}_upsnet",
        backbone=replace(config.backbone, se_reduction=0),
        detection=replace(config.detection, masks=True),
        potential=PotentialConfig("A", void_channel=True),
        affinity=AffinityConfig(enabled=False, temperature=0.0),
        matching=replace(config.matching, use_gt_boxes=True, gt_box_keep_rate=0.7, stride=config.decoder.stride),
        loss=replace(
            config.loss,
            panoptic=0.5 * config.loss.semantic,
            potential=0.0,
            semantic_kind="cross_entropy",
            mask_kind="cross_entropy",
        ),
        inference=replace(config.inference, fusion="upsnet", score_threshold=config.upsnet.score_threshold),
    )


BASELINES = {make.__name__: make for make in (panoptic_fpn, upsnet)}
"""The baselines that `unipan train PRESET_NAME` derives from any preset, by NAME."""


def preset(name: str) -> Config:
    """The experiment of this name: that of a preset, or of a preset, `_` and a baseline (`scenes_upsnet`).

    Raises:
        ValueError: no such preset.
    """
    base, baseline = split_baseline(name)
    if base not in PRESETS:
        raise ValueError(f"preset: there is none named {name!r}; `unipan train` lists them")
    config = PRESETS[base]()
    return BASELINES[baseline](config) if baseline else config


def split_baseline(name: str) -> tuple[str, str]:
    """The preset's name and the baseline's, "" without one."""
    for baseline in BASELINES:
        if name.endswith(f"_{baseline}"):
            return name.removesuffix(f"_{baseline}"), baseline
    return name, ""


def ground_truth_boxes(config: Config) -> Config:
    """Table H, upper row: the panoptic submodule is trained on ground-truth boxes."""
    return replace(config, matching=replace(config.matching, use_gt_boxes=True))


def fit_detection(
    config: DetectionConfig, per_image: float, sides: tuple[float, ...], aspects: tuple[float, float, float]
) -> DetectionConfig:
    """Anchors, RoI scale and limits fitted to the data.

    Args:
        config: its other fields are kept.
        per_image: 99th percentile of the number of things per image.
        sides: 1, 10, 25, 50, 75, 90, 99th percentile of the box sides in pixels of the network's input.
        aspects: 10, 50, 90th percentile of height / width.
    """
    low, high = max(sides[1], 4.0), max(sides[6], 8.0)
    step = (high / low) ** (1 / 4)
    anchors = [max(4, round(low * step**level)) for level in range(5)]
    ratios = sorted(round(min(max(aspect, 0.2), 5.0), 2) for aspect in aspects)
    if ratios[-1] / ratios[0] < 1.5:  # nearly a single shape: use the usual three ratios around it
        ratios = [round(ratios[1] * factor, 2) for factor in (0.5, 1.0, 2.0)]
    things = max(10, math.ceil(per_image * 1.25))
    return replace(
        config,
        anchor_sizes=(anchors[0], anchors[1], anchors[2], anchors[3], anchors[4]),
        anchor_ratios=tuple(ratios),
        # The median box is pooled from between P2 and P3, whose cells are still much smaller than it.
        roi_canonical=max(16, round(4 * sides[3])),
        max_detections=things,
        rpn_pre_nms=(max(config.rpn_pre_nms[0], 4 * things), max(config.rpn_pre_nms[1], 4 * things)),
        rpn_post_nms=(max(config.rpn_post_nms[0], 2 * things), max(config.rpn_post_nms[1], 2 * things)),
        rpn_batch_size=max(config.rpn_batch_size, 2 * things),
        roi_batch_size=max(config.roi_batch_size, things // 2),
    )
