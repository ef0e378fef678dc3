"""The config of an experiment. The docstring of each field says what it does, with the paper's section, and becomes its
`--help`.

Values that the paper leaves open and that we chose are marked (ours); docs/design_choices.md has the measurements.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal, cast, get_args

from unipan.config_values import (
    COUNT,
    COUNT_OR_NONE,
    PIXELS,
    PIXELS_OR_NONE,
    POSITIVE,
    SEED,
    SHARE,
    SOME_SHARE,
    STEPS,
    WEIGHT,
    Range,
    Section,
    check_value,
)
from unipan.network_config import (
    AffinityConfig,
    BackboneConfig,
    DecoderConfig,
    DetectionConfig,
    PotentialConfig,
)

__all__ = [
    "AffinityConfig",
    "BackboneConfig",
    "Config",
    "DataConfig",
    "DecoderConfig",
    "DetectionConfig",
    "Fusion",
    "HeuristicConfig",
    "InferenceConfig",
    "LossConfig",
    "MatchingConfig",
    "PotentialConfig",
    "Runtime",
    "TrainConfig",
    "UpsnetConfig",
    "check_fusion",
]

Fusion = Literal["affinity", "potential", "heuristic", "upsnet"]
Precision = Literal["32", "bf16"]
"""Of a network's convolutions and matrix products at inference."""
Runtime = Literal["auto", "torch", "onnx"]
"""What runs a network; `auto` takes torch, the reference, where it is installed."""


@dataclass(frozen=True)
class MatchingConfig(Section):
    """The panoptic matching loss (Sec. 3.5)."""

    iou_threshold: Annotated[float, SHARE] = 0.5
    """Minimum box IoU of a match, t."""
    stride: Literal[1, 2, 4] = 4
    """Stride at which the loss is computed, at most `decoder.stride`; if it is finer, P is upsampled bilinearly first,
    as at inference."""
    use_gt_boxes: bool = False
    """Build Psi from the ground-truth boxes in training, not from the predicted ones (upper row of Table H)."""
    gt_box_keep_rate: Annotated[float, SOME_SHARE] = 1.0
    """Share of the ground-truth boxes that are used, with `use_gt_boxes`; 0.7 in UPSNet, whose void channel learns from
    the things that are left out."""


@dataclass(frozen=True)
class LossConfig(Section):
    """The weights and kinds of the losses (Sec. 4, A.2, App. B)."""

    detection: Annotated[float, WEIGHT] = 1.0
    """Weight of RPN + box + mask; 0.25 on Cityscapes, 1 on COCO."""
    semantic: Annotated[float, WEIGHT] = 1.0
    """Weight of the semantic loss; 1 on Cityscapes, 0.2 on COCO."""
    panoptic: Annotated[float, WEIGHT] = 1.0
    """Weight of the panoptic matching loss; 1 on Cityscapes, 0.1 on COCO; 0 (without affinity head) gives models A
    and C."""
    potential: Annotated[float, WEIGHT] = 0.0
    """Weight of the same loss on Psi, in addition to that on P. (ours)"""
    semantic_kind: Literal["cross_entropy", "lovasz", "both"] = "cross_entropy"
    """Lovasz softmax on Cityscapes, cross entropy on COCO."""
    semantic_stride: Literal[1, 2, 4] = 1
    """Stride at which the semantic loss is computed; V is upsampled bilinearly."""
    mask_kind: Literal["lovasz", "cross_entropy", "both"] = "lovasz"
    """Lovasz hinge in the paper (A.2)."""


@dataclass(frozen=True)
class InferenceConfig(Section):
    """Inference (App. B)."""

    score_threshold: Annotated[float, SHARE] = 0.5
    """Detections below this score do not enter Psi; 0.5 on Cityscapes, 0.75 on COCO."""
    fusion: Fusion = "affinity"
    """affinity: argmax of P. potential: argmax of Psi. heuristic: Panoptic FPN's fusion. upsnet: UPSNet's."""


@dataclass(frozen=True)
class HeuristicConfig(Section):
    """Heuristic fusion of Panoptic FPN, a baseline (arXiv 1901.02446, Sec. 3), with the thresholds of panopticapi."""

    score_threshold: Annotated[float, SHARE] = 0.5
    """Detections below it are skipped."""
    overlap_threshold: Annotated[float, SHARE] = 0.5
    """Masks with a larger share of their pixels already taken are skipped."""
    mask_threshold: Annotated[float, SHARE] = 0.5
    """Minimum probability at which a pixel belongs to a mask."""
    min_stuff_area: Annotated[float, SHARE] = 0.0133
    """Stuff regions smaller than this share of the image become void (4096 pixels of 640 x 480); UPSNet's fusion uses
    it as well."""


@dataclass(frozen=True)
class UpsnetConfig(Section):
    """Fusion of UPSNet, the other baseline (arXiv 1901.03784 and its released configuration)."""

    nms_threshold: Annotated[float, SHARE] = 0.5
    """IoU threshold of a second NMS, across classes."""
    score_threshold: Annotated[float, SHARE] = 0.6
    """Detections at or below it are dropped."""
    overlap_threshold: Annotated[float, SHARE] = 0.3
    """Masks of which a larger share is covered by more confident masks of their class are dropped."""
    stuff_vote_threshold: Annotated[float, Range(0, 2)] = 0.5  # above 1: no thing becomes stuff
    """A thing segment in which V favours another class becomes stuff where V assigns at least this share of it to one
    stuff class."""


@dataclass(frozen=True)
class DataConfig(Section):
    """Image size and augmentation (App. B)."""

    short_side: Annotated[int, PIXELS_OR_NONE] = 800
    """Images are resized to this short side, in training (before `scale`) and at test; 0 keeps their size."""
    max_side: Annotated[int, PIXELS] = 1333
    """Upper limit of the long side."""
    scale: Annotated[tuple[float, float], Range(0, 100, above=True)] = (1.0, 1.0)
    """Range of the random resize; 0.5 to 2 on Cityscapes."""
    crop: Annotated[tuple[int, int], PIXELS_OR_NONE] = (0, 0)
    """Height and width of the random crop; 0 0 takes the whole image. 512 1024 on Cityscapes."""
    crop_around_things: Annotated[float, SHARE] = 0.0
    """Share of the crops that contain the centre of a thing; for few things on much background. (ours)"""
    pad: bool = False
    """Fill whole images up to a multiple of 32, as on COCO, instead of resizing each side to the nearest multiple."""
    window: Annotated[tuple[float, float], Range(0, 100)] = (0.0, 0.0)
    """Percentiles of an image of more than 8 bits that become black and white; 0 0: the whole range of 16. (ours)"""
    flip: Annotated[float, SHARE] = 0.5
    """Probability of a horizontal flip."""
    vertical_flip: Annotated[float, SHARE] = 0.0
    """Probability of a vertical flip, for images without a natural orientation."""
    color: Annotated[float, Range(0, 5)] = 0.0  # torchvision turns hues by half a circle at most
    """Strength of SSD's colour jitter; 1 is the published range, 0 turns it off."""
    min_thing_area: Annotated[int, Range(0, 2**32)] = 0
    """Things with fewer pixels than this after the transforms are ignored in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"data.scale: {_pair(self.scale)} are not in order; give the smaller factor first")
        if (self.crop[0] == 0) != (self.crop[1] == 0):
            raise ValueError(f"data.crop: {_pair(self.crop)}: one side is 0; give two above 0, or 0 0 for none")
        if self.window != (0, 0) and self.window[0] >= self.window[1]:
            raise ValueError(f"data.window: {_pair(self.window)}: give two percentiles in order, like 0.1 99.9")


def _pair(values: tuple[float, float]) -> str:
    return f"{values[0]:g} {values[1]:g}"


@dataclass(frozen=True)
class TrainConfig(Section):
    """Optimiser and schedule (App. B)."""

    iterations: Annotated[int, STEPS] = 65000
    """Optimiser steps; `--minutes` overrides it."""
    batch_size: Annotated[int, COUNT] = 32
    """Images per optimiser step, over all processes and accumulation steps."""
    accumulation_steps: Annotated[int, COUNT] = 1
    """Backward passes per optimiser step."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum 0.9 in the paper; AdamW from scratch on small data. (ours)"""
    reference_batch: Annotated[int, COUNT_OR_NONE] = 0
    """Batch size for which a published recipe states lr, iterations and warm-up (32 on Cityscapes, 16 on COCO): with
    another `batch_size` they follow the linear scaling rule, which keeps the number of epochs; 0 keeps them as they
    are."""
    lr: Annotated[float, POSITIVE] = 0.01
    """Base learning rate at `batch_size`."""
    bias_lr_factor: Annotated[float, WEIGHT] = 1.0
    """Factor on the learning rate of biases; 2 in the published recipes, as in maskrcnn-benchmark (the paper does not
    say)."""
    weight_decay: Annotated[float, WEIGHT] = 1e-4
    """Weight decay; not applied to norms and biases."""
    schedule: Literal["step", "cosine"] = "step"
    """Divide by 10 at the milestones, or a half cosine to zero. (cosine is ours)"""
    milestones: Annotated[tuple[float, ...], SHARE] = (40 / 65, 55 / 65)
    """Iterations at which the learning rate drops, as shares of `iterations`."""
    warmup: Annotated[int, Range(0, 10**9)] = 500
    """Iterations of the linear warm-up, at most a tenth of all; the paper's 500."""
    warmup_factor: Annotated[float, SHARE] = 1 / 3
    """Factor on the learning rate at the start of the warm-up."""
    panoptic_from: Annotated[float, SHARE] = 0.0
    """Share of the iterations before the panoptic submodule takes part: without it a step trains V and the detections
    alone and costs less. (ours)"""
    max_grad_norm: Annotated[float, WEIGHT] = 0.0
    """Maximum gradient norm; 0 turns clipping off."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """auto: bf16 autocast where the processor multiplies it natively (CUDA, AMX, AVX512_BF16), else 32 bit."""
    ema_decay: Annotated[float, Range(0, 1, below=True)] = 0.0
    """Decay of the moving average (EMA) of the weights, which is validated and saved; 0 turns it off. (ours)"""
    validations: Annotated[int, COUNT_OR_NONE] = 10
    """Number of validations per run."""
    validation_images: Annotated[int, Range(0, 10**9)] = 100
    """Images per validation; 0 uses all."""
    num_workers: Annotated[int, Range(0, 1024)] = 0
    """Worker processes of the data loader."""
    seed: Annotated[int, SEED] = 0
    """Seed of initial weights, order, augmentation and sampling."""


@dataclass(frozen=True)
class Config:
    """One experiment: what `unipan train` runs and what a checkpoint stores."""

    name: str = "custom"
    """The preset it came from."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    potential: PotentialConfig = field(default_factory=PotentialConfig)
    affinity: AffinityConfig = field(default_factory=AffinityConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    heuristic: HeuristicConfig = field(default_factory=HeuristicConfig)
    upsnet: UpsnetConfig = field(default_factory=UpsnetConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_value("name", self.name, str)
        self._check_groups()
        if self.affinity.loss == "log" and self.potential.variant == "A":
            raise ValueError(
                "affinity: loss=log needs P >= 0, but potential.variant=A builds Psi from signed logits; "
                "use variant B or C, or loss=logits"
            )
        if self.matching.stride > self.decoder.stride:
            raise ValueError(
                f"matching.stride: {self.matching.stride} is coarser than P, whose decoder.stride is "
                f"{self.decoder.stride}; make it at most that"
            )
        if self.loss.panoptic == 0 and self.affinity.enabled:
            raise ValueError(
                "loss: with panoptic=0 nothing trains the affinity head; set affinity.enabled=False "
                "(the paper's models A and C), or a weight above 0"
            )
        if self.loss.potential > 0 and not self.affinity.enabled:
            raise ValueError(
                "loss: without the affinity head, P is Psi, and loss.potential would count the panoptic loss twice; "
                "set loss.potential=0, and loss.panoptic above 0 to train Psi directly"
            )
        if self.potential.void_channel and self.potential.variant != "A":
            raise ValueError(
                f"potential: void_channel=True compares logits, but variant={self.potential.variant} has "
                "probabilities; use variant=A, or void_channel=False"
            )
        if self.matching.gt_box_keep_rate < 1 and not (self.potential.void_channel and self.matching.use_gt_boxes):
            raise ValueError(
                "matching.gt_box_keep_rate: leaving out ground-truth boxes only serves the void channel; set "
                "matching.use_gt_boxes=True and potential.void_channel=True, or gt_box_keep_rate=1"
            )
        check_fusion(self, self.inference.fusion)

    def _check_groups(self) -> None:
        widths = {"decoder.channels": self.decoder.channels}
        if self.decoder.kind == "concat" and self.decoder.layers == 3:  # the first of them keeps the FPN's width
            widths["backbone.fpn_channels"] = self.backbone.fpn_channels
        for name, width in widths.items():
            if width % self.decoder.groups:
                raise ValueError(
                    f"decoder.groups: {name}={width} is not divisible by {self.decoder.groups} groups; give a divisor"
                )


def check_fusion(config: Config, fusion: str) -> Fusion:
    """Check that networks of this config allow a fusion, and return it.

    Raises:
        ValueError: an unknown fusion, or one that needs what these networks lack.
    """
    if fusion not in get_args(Fusion):
        raise ValueError(f"fusion: {fusion!r} is unknown; choose from {', '.join(get_args(Fusion))}")
    if fusion == "heuristic" and not config.detection.masks:
        raise ValueError(
            f"fusion heuristic: {config.name} predicts no masks, which heuristic fusion needs; use the fusion "
            "affinity or potential, or a checkpoint with masks"
        )
    if fusion == "upsnet" and not (config.detection.masks and config.potential.void_channel):
        raise ValueError(
            f"fusion upsnet: {config.name} has no {'void channel' if config.detection.masks else 'masks'}; UPSNet's "
            "fusion needs masks, potential.variant=A and potential.void_channel=True, as in presets that end in _upsnet"
        )
    return cast(Fusion, fusion)
