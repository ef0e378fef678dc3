"""The knobs. Each field's docstring says what it does and where the paper says so, and becomes `--help`.

Every value that the paper leaves open and that we chose is marked (ours); docs/readings.md has the measurements.
"""

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

Fusion = Literal["affinity", "potential", "heuristic", "upsnet"]


@dataclass(frozen=True)
class BackboneConfig:
    """ResNet-FPN (Sec. 3.1)."""

    depth: Literal[18, 34, 50, 101] = 50
    """ResNet depth; the paper uses 50 and, on the test servers, 101."""
    width: int = 64
    """Channels of the ResNet's stem; 64 is the standard ResNet, less is for CPUs and has no pretrained weights."""
    fpn_channels: int = 256
    """Channels of every FPN level."""
    se_reduction: int = 16
    """Reduction of the squeeze-and-excite on C5; 0 leaves it out."""
    weights: str = "imagenet"
    """`imagenet` (torchvision's), `none` (train from scratch), a file of torchvision-style ResNet weights, or
    `checkpoint` (what `--init` brings; only then can `frozen` hold for it)."""
    frozen: bool = True
    """Batch norm (statistics, scale, shift), stem and res2 stay as pretrained; from scratch all is trained."""
    stride_in_1x1: bool = False
    """A stage's stride stands in its first 1x1 convolution, as in MSRA's ResNets (Caffe's, detectron2's), not in the
    3x3, as in torchvision's."""

    def __post_init__(self) -> None:
        if self.stride_in_1x1 and self.depth not in (50, 101):
            raise ValueError(
                f"backbone: stride_in_1x1 needs blocks with a 1x1, which ResNet-{self.depth} lacks; set depth to 50 or "
                "101, or stride_in_1x1=False"
            )


@dataclass(frozen=True)
class DecoderConfig:
    """The feature decoder of V and of Q: one design, two sets of weights (Sec. 3.2, A.1)."""

    kind: Literal["concat", "sum"] = "concat"
    """concat: UPSNet's design, which the paper takes. sum: Panoptic FPN's semantic head (arXiv 1901.02446), which
    sums the levels; it has no `layers`, because their number follows from the level, and is never deformable."""
    layers: Literal[2, 3] = 2
    """3x3 convolutions per level; 2 for Cityscapes, 3 for COCO."""
    channels: int = 128
    """Channels of the last two layers."""
    deformable: bool = True
    """Deformable convolutions v1; a plain one is 9 to 16 times faster on a CPU, a whole step about 5 times."""
    groups: int = 32
    """Groups of the GroupNorm after each convolution."""
    stride: Literal[1, 2, 4] = 4
    """d of Sec. 3.2, the stride of V, Q, Psi and P; 4 in the paper. Below it V's logits and Q are upsampled
    bilinearly, so that masks M and outlines keep detail in small images. (below 4 is ours)"""

    def __post_init__(self) -> None:
        if self.kind == "sum" and self.deformable:
            raise ValueError(
                "decoder: kind=sum is Panoptic FPN's head, which has plain convolutions; set decoder.deformable=False, "
                "or kind=concat"
            )


@dataclass(frozen=True)
class DetectionConfig:
    """RPN, box head and optional mask head (Sec. 3.3, A.2)."""

    masks: bool = True
    """Predict object masks M."""
    anchor_sizes: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    """Anchor side per level P2..P6, in pixels of the network's input."""
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height / width of the anchors."""
    rpn_pre_nms: tuple[int, int] = (2000, 1000)
    """Proposals per level before NMS, in training and at test."""
    rpn_post_nms: tuple[int, int] = (2000, 1000)
    """Proposals per image after NMS, in training and at test."""
    rpn_batch_size: int = 256
    """Anchors per image in the RPN's loss."""
    roi_batch_size: int = 512
    """Proposals per image in the box head's loss, a quarter of them foreground."""
    roi_canonical: int = 224
    """Boxes of this side are pooled from P4, half as large from P3 and so on (FPN paper, Eq. 1)."""
    sampling_ratio: int = 2
    """Samples per bin and axis of RoIAlign; 0 takes as many as the bin has cells."""
    roi_aligned: bool = False
    """RoIAlign as detectron2 corrected it: half a cell further up and left, where the features are."""
    exact_anchors: bool = False
    """Anchors of detectron2: sides not rounded to pixels, at strides 4 to 64 whatever the input's size; torchvision's
    rounds them and lets P6's stride shrink where P5 has an odd number of cells."""
    box_features: int = 1024
    """Width of the box head's two fully connected layers."""
    mask_channels: int = 256
    """Width of the mask head."""
    mask_layers: int = 4
    """3x3 convolutions of the mask head before its deconvolution."""
    mask_size: int = 28
    """M has mask_size x mask_size cells, an even number: RoIAlign pools half of it, the deconvolution doubles."""
    score_threshold: float = 0.05
    """Detections below it are dropped before NMS, in training too; `inference.score_threshold` comes before Psi."""
    nms_threshold: float = 0.5
    """Class-wise NMS threshold."""
    max_detections: int = 100
    """Detections kept per image, typically 100 in the paper. For presets that are no published recipe, `unipan train`
    on a folder sets it from the 99th percentile of things per image."""

    def __post_init__(self) -> None:
        if self.mask_size < 2 or self.mask_size % 2:
            raise ValueError(f"detection.mask_size: {self.mask_size} is no even number above 0; 28 is the usual one")


@dataclass(frozen=True)
class PotentialConfig:
    """The dynamic potential head (Sec. 3.4.1, A.3)."""

    variant: Literal["A", "B", "C"] = "B"
    """A: logits, no score (UPSNet). B: s V M (Cityscapes). C: s (V + M) (COCO)."""
    void_channel: bool = False
    """UPSNet's void channel, after the others: the largest thing logit less the largest one that a box lets through.
    In training it should win where a thing has no detection. The paper has none."""


@dataclass(frozen=True)
class AffinityConfig:
    """The dense instance affinity head (Sec. 3.4.2)."""

    enabled: bool = True
    """Without it P is Psi itself (the paper's models A and C)."""
    channels: int = 128
    """C, the width of Q (128 in the paper)."""
    activation: Literal["identity", "elu", "relu", "softmax"] = "identity"
    """After phi0 and phi1; the paper says "an activation". softmax is over the channels. (ours)"""
    normalise: Literal["none", "pixels", "segment", "softmax"] = "segment"
    """What phi1(Q)^T Psi is divided by: nothing (the paper's text), the number of pixels, the mass of each
    channel of Psi, or (softmax) phi1 is a softmax over the pixels (the paper's reference [23]). (ours)"""
    temperature: float = 10.0
    """Initial value of the learned factor on P before the loss's softmax; 0 leaves it out. (ours)"""
    positional_encoding: int = 0
    """Wavelengths of a code of each cell's place that phi0 and phi1 see beside Q; 0, the paper's, leaves it out.
    (ours)"""
    rope: int = 0
    """Wavelengths by which phi0(Q) and phi1(Q) are turned from cell to cell, so that affinities depend on the offset
    between two (rotary code, arXiv 2104.09864); 0, the paper's, leaves it out. (ours)"""
    loss: Literal["logits", "log"] = "logits"
    """Cross entropy on P as logits, or on log P (P >= 0 is needed)."""

    def __post_init__(self) -> None:
        if self.loss == "log" and self.activation in ("identity", "elu"):
            raise ValueError(
                f"affinity: loss=log needs P >= 0, but activation={self.activation} is signed; "
                "use activation relu or softmax, or loss=logits"
            )
        if self.normalise == "softmax" and self.activation == "relu":
            raise ValueError(
                "affinity: normalise=softmax replaces phi1's activation, so activation=relu would act on phi0 "
                "alone; use activation softmax, elu or identity"
            )
        if self.rope and (
            self.activation in ("relu", "softmax") or self.normalise == "softmax" or self.positional_encoding
        ):
            raise ValueError(
                "affinity: rope needs positional_encoding=0, activation identity or elu, and no normalise=softmax"
            )


@dataclass(frozen=True)
class MatchingConfig:
    """The panoptic matching loss (Sec. 3.5)."""

    iou_threshold: float = 0.5
    """t, the least box IoU of a match."""
    stride: Literal[1, 2, 4] = 4
    """The loss is taken at 1/stride of the input, at most `decoder.stride`; where it is finer, P is upsampled
    bilinearly first, as at inference."""
    use_gt_boxes: bool = False
    """In training, Psi is built from the ground-truth boxes, not from the predicted ones (upper row of Table H)."""
    gt_box_keep_rate: float = 1.0
    """Probability that a true box is handed on in training, with `use_gt_boxes`; 0.7 in UPSNet, whose void channel
    learns from the things that are left out."""


@dataclass(frozen=True)
class LossConfig:
    """The weights and kinds of the losses (Sec. 4, A.2, App. B)."""

    detection: float = 1.0
    """Weight of RPN + box + mask; .25 on Cityscapes, 1 on COCO."""
    semantic: float = 1.0
    """Weight of the semantic loss; 1 on Cityscapes, .2 on COCO."""
    panoptic: float = 1.0
    """Weight of the panoptic matching loss; 1 on Cityscapes, .1 on COCO; 0 (without affinity head) gives models A
    and C."""
    potential: float = 0.0
    """Weight of the same loss on Psi itself, beside that on P. (ours)"""
    semantic_kind: Literal["cross_entropy", "lovasz", "both"] = "cross_entropy"
    """Lovasz softmax on Cityscapes, cross entropy on COCO."""
    semantic_stride: Literal[1, 2, 4] = 1
    """The semantic loss is taken at 1/stride of the input, V upsampled bilinearly."""
    mask_kind: Literal["lovasz", "cross_entropy", "both"] = "lovasz"
    """Lovasz hinge in the paper (A.2)."""


@dataclass(frozen=True)
class InferenceConfig:
    """How a map is read off (App. B, Inference)."""

    score_threshold: float = 0.5
    """Detections below this score do not enter Psi; .5 on Cityscapes, .75 on COCO."""
    fusion: Fusion = "affinity"
    """Argmax of P, argmax of Psi, the Panoptic FPN merger, or UPSNet's rules."""


@dataclass(frozen=True)
class HeuristicConfig:
    """The heuristic merger of Panoptic FPN, the baseline (arXiv 1901.02446, Sec. 3; panopticapi's numbers)."""

    score_threshold: float = 0.5
    """Detections below it are skipped."""
    overlap_threshold: float = 0.5
    """A mask with a larger share of its pixels already taken is skipped."""
    mask_threshold: float = 0.5
    """Probability from which a pixel belongs to a mask."""
    min_stuff_area: float = 0.0133
    """Stuff regions smaller than this share of the image become void (4096 pixels of 640 x 480); UPSNet's rules
    take it too."""


@dataclass(frozen=True)
class UpsnetConfig:
    """UPSNet's inference, the other baseline (arXiv 1901.03784, and the facts of its released configuration)."""

    nms_threshold: float = 0.5
    """Threshold of a second NMS, over all classes together."""
    score_threshold: float = 0.6
    """Only detections above it take part."""
    overlap_threshold: float = 0.3
    """A mask of which a larger share is taken by more confident masks of its class is dropped."""
    stuff_vote_threshold: float = 0.5
    """A segment whose class V denies becomes the stuff class that V gives to at least this share of it."""


@dataclass(frozen=True)
class DataConfig:
    """What happens to an image before the network sees it (App. B)."""

    short_side: int = 800
    """Images are resized to this short side, in training (before `scale`) and at test; 0 keeps their size."""
    max_side: int = 1333
    """The long side is kept under this."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of the random resize; .5 to 2 on Cityscapes."""
    crop: tuple[int, int] = (0, 0)
    """Height and width of the random crop; 0 0 takes the whole image. 512 1024 on Cityscapes."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    vertical_flip: float = 0.0
    """Probability of a vertical flip, for images without an up."""
    color: float = 0.0
    """Strength of the SSD colour jitter; 1 is its published range, 0 turns it off."""
    min_thing_area: int = 0
    """Things with fewer pixels after the transforms are ignored in training."""


@dataclass(frozen=True)
class TrainConfig:
    """Optimiser and schedule (App. B)."""

    iterations: int = 65000
    """Optimiser steps; `--minutes` replaces it by what fits."""
    batch_size: int = 32
    """Images per optimiser step, over all processes and accumulation steps."""
    accumulation_steps: int = 1
    """Backward passes per optimiser step."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum .9 in the paper; AdamW from scratch on small data. (ours)"""
    reference_batch: int = 0
    """Batch size for which a published recipe states lr, iterations and warm-up (32 on Cityscapes, 16 on COCO): with
    another `batch_size` they follow the linear scaling rule, which keeps the number of epochs; 0 keeps them as they
    are."""
    lr: float = 0.01
    """Base learning rate for `batch_size`."""
    bias_lr_factor: float = 1.0
    """Factor on the learning rate of biases; 2 in the published recipes (the paper is silent; maskrcnn-benchmark's)."""
    weight_decay: float = 1e-4
    """Not applied to norms and biases."""
    schedule: Literal["step", "cosine"] = "step"
    """Divide by 10 at the milestones, or a half cosine to zero. (cosine is ours)"""
    milestones: tuple[float, ...] = (40 / 65, 55 / 65)
    """As shares of `iterations`."""
    warmup: int = 500
    """Iterations of the linear warm-up, at most a tenth of all; the paper's 500."""
    warmup_factor: float = 1 / 3
    """Where the warm-up starts."""
    max_grad_norm: float = 0.0
    """Largest gradient norm; 0 turns clipping off."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """auto: bf16 autocast where the processor multiplies it natively (CUDA, AMX, AVX512_BF16), else 32 bit."""
    ema_decay: float = 0.0
    """Decay of the moving average of the weights that is validated and saved; 0 turns it off. (ours)"""
    validations: int = 10
    """Validations per run."""
    validation_images: int = 100
    """Images per validation; 0 takes all."""
    num_workers: int = 0
    """Processes that prepare images."""
    seed: int = 0
    """Seed of weights, order, augmentation and sampling."""


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
                "loss: panoptic=0 leaves the affinity head untaught, so P would be noise; set affinity.enabled=False "
                "(the paper's models A and C), or a weight above 0"
            )
        if self.loss.potential > 0 and not self.affinity.enabled:
            raise ValueError(
                "loss: without the affinity head P is Psi, so loss.potential would count the panoptic loss twice; set "
                "loss.potential=0, and loss.panoptic above 0 to train Psi directly"
            )
        if self.potential.void_channel and self.potential.variant != "A":
            raise ValueError(
                f"potential: void_channel=True compares logits, but variant={self.potential.variant} has "
                "probabilities; use variant=A, or void_channel=False"
            )
        if not 0 < self.matching.gt_box_keep_rate <= 1:
            raise ValueError(
                f"matching.gt_box_keep_rate: {self.matching.gt_box_keep_rate} is no share above 0 and at most 1"
            )
        if self.matching.gt_box_keep_rate < 1 and not (self.potential.void_channel and self.matching.use_gt_boxes):
            raise ValueError(
                "matching.gt_box_keep_rate: leaving true boxes out teaches the void channel; set "
                "matching.use_gt_boxes=True and potential.void_channel=True, or gt_box_keep_rate=1"
            )
        check_fusion(self, self.inference.fusion)


def check_fusion(config: Config, fusion: str) -> Fusion:
    """The fusion, if networks of this config allow it.

    Raises:
        ValueError: an unknown fusion, or one that needs what these networks lack.
    """
    if fusion not in get_args(Fusion):
        raise ValueError(f"fusion: {fusion!r} is none of {', '.join(get_args(Fusion))}")
    if fusion == "heuristic" and not config.detection.masks:
        raise ValueError(
            f"fusion heuristic: {config.name} predicts boxes without masks, and the merger paints masks; use the "
            "fusion affinity or potential, or a checkpoint with masks"
        )
    if fusion == "upsnet" and not (config.detection.masks and config.potential.void_channel):
        raise ValueError(
            f"fusion upsnet: {config.name} has no {'void channel' if config.detection.masks else 'masks'}; UPSNet's "
            "rules need masks, potential.variant=A and potential.void_channel=True, as in presets that end in _upsnet"
        )
    return cast(Fusion, fusion)
