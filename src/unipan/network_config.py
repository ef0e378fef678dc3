"""The config of the network's parts (Sec. 3); `config.py` has the rest of an experiment, and all of these names too.

The docstring of each field says what it does, with the paper's section, and becomes its `--help`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from unipan.config_values import CHANNELS, COUNT, COUNT_OR_NONE, PIXELS, SHARE, WAVELENGTHS, WEIGHT, Range, Section


@dataclass(frozen=True)
class BackboneConfig(Section):
    """ResNet-FPN (Sec. 3.1), or the same feature pyramid on another network."""

    network: str = "resnet"
    """`resnet`, torchvision's, or the name of a network in timm with features at the strides 4, 8, 16 and 32."""
    depth: Literal[18, 34, 50, 101] = 50
    """ResNet depth; the paper uses 50 and, on the test servers, 101."""
    width: Annotated[int, CHANNELS] = 64
    """Channels of the ResNet's stem; 64 is the standard ResNet, less is for CPUs and has no pretrained weights."""
    fpn_channels: Annotated[int, CHANNELS] = 256
    """Channels of every FPN level."""
    se_reduction: Annotated[int, Range(0, 2**16)] = 16
    """Reduction of the squeeze-and-excite on C5; 0: none."""
    weights: str = "imagenet"
    """`imagenet` (torchvision's or timm's), `none` (from scratch), a file of weights with the same names, or
    `checkpoint` (what `--init` brings)."""
    frozen: bool = True
    """Freeze batch norm, stem and res2 at their pretrained values; has no effect from scratch."""
    fixed: bool = False
    """Train nothing below the feature pyramid, but keep the weights that it starts from."""
    stride_in_1x1: bool = False
    """Put a stage's stride in its first 1x1 convolution, as MSRA's ResNets (Caffe, detectron2), not in the 3x3."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride_in_1x1 and (self.network != "resnet" or self.depth not in (50, 101)):
            lacking = f"ResNet-{self.depth}" if self.network == "resnet" else self.network
            fault = f"stride_in_1x1 needs blocks with a 1x1, which {lacking} lacks"
            raise ValueError(f"backbone: {fault}; set depth to 50 or 101, or stride_in_1x1=False")


@dataclass(frozen=True)
class DecoderConfig(Section):
    """The feature decoders of V and Q: one design, separate weights (Sec. 3.2, A.1)."""

    kind: Literal["concat", "sum"] = "concat"
    """concat: UPSNet's design, used in the paper. sum: the semantic head of Panoptic FPN (arXiv 1901.02446), which sums
    the levels; it ignores `layers` and has no deformable convolutions."""
    layers: Literal[2, 3] = 2
    """3x3 convolutions per level; 2 for Cityscapes, 3 for COCO."""
    channels: Annotated[int, CHANNELS] = 128
    """Channels of the last two layers."""
    deformable: bool = True
    """Use deformable convolutions v1. On a CPU, such a layer takes 3 to 4.5 times as long as a plain one."""
    groups: Annotated[int, CHANNELS] = 32
    """Groups of the GroupNorm after each convolution."""
    stride: Literal[1, 2, 4] = 4
    """Stride of V, Q, Psi and P, d in Sec. 3.2; 4 in the paper. Below 4, V and Q are upsampled bilinearly, which
    keeps details of masks and outlines in small images. (below 4 is ours)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "sum" and self.deformable:
            raise ValueError(
                "decoder: kind=sum is Panoptic FPN's head, which has plain convolutions; set decoder.deformable=False, "
                "or kind=concat"
            )


@dataclass(frozen=True)
class DetectionConfig(Section):
    """RPN, box head and optional mask head (Sec. 3.3, A.2)."""

    masks: bool = True
    """Predict object masks M."""
    anchor_sizes: Annotated[tuple[int, int, int, int, int], PIXELS] = (32, 64, 128, 256, 512)
    """Anchor side per level P2..P6, in pixels of the network's input."""
    anchor_ratios: Annotated[tuple[float, ...], Range(0, 1000, above=True, entries=1)] = (0.5, 1.0, 2.0)
    """Height / width of the anchors."""
    rpn_pre_nms: Annotated[tuple[int, int], COUNT] = (2000, 1000)
    """Proposals per level before NMS, in training and at test."""
    rpn_post_nms: Annotated[tuple[int, int], COUNT] = (2000, 1000)
    """Proposals per image after NMS, in training and at test."""
    rpn_batch_size: Annotated[int, COUNT] = 256
    """Anchors per image in the RPN's loss."""
    roi_batch_size: Annotated[int, COUNT] = 512
    """Proposals per image in the box head's loss, a quarter of them foreground."""
    roi_canonical: Annotated[int, PIXELS] = 224
    """Boxes of this side are pooled from P4, boxes half as large from P3, and so on (FPN paper, Eq. 1)."""
    sampling_ratio: Annotated[int, Range(0, 64)] = 2
    """Sampling points of RoIAlign per bin and axis; 0 takes as many as the bin has cells."""
    roi_aligned: bool = False
    """RoIAlign with the half-pixel correction of detectron2 (aligned=True)."""
    exact_anchors: bool = False
    """Anchors as in detectron2: sides are not rounded to pixels, and strides are 4 to 64 for any input size;
    torchvision rounds the sides and shrinks the stride of P6 where P5 has an odd number of cells."""
    box_features: Annotated[int, CHANNELS] = 1024
    """Width of the box head's two fully connected layers."""
    mask_channels: Annotated[int, CHANNELS] = 256
    """Width of the mask head."""
    mask_layers: Annotated[int, Range(1, 100)] = 4
    """3x3 convolutions of the mask head before its deconvolution."""
    mask_size: Annotated[int, Range(2, 1024)] = 28
    """M has mask_size x mask_size cells. Even, because RoIAlign pools half of it and the deconvolution doubles."""
    score_threshold: Annotated[float, SHARE] = 0.05
    """Detections below it are dropped before NMS, in training too; `inference.score_threshold` comes before Psi."""
    nms_threshold: Annotated[float, SHARE] = 0.5
    """Class-wise NMS threshold."""
    max_detections: Annotated[int, COUNT_OR_NONE] = 100
    """Detections kept per image, 100 in the paper. Except for the published recipes, `unipan train` on a folder sets it
    from the 99th percentile of things per image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_size < 2 or self.mask_size % 2:
            raise ValueError(f"detection.mask_size: {self.mask_size} is not a positive even number; use 28")


@dataclass(frozen=True)
class PotentialConfig(Section):
    """The dynamic potential head (Sec. 3.4.1, A.3)."""

    variant: Literal["A", "B", "C"] = "B"
    """A: logits, no score (UPSNet). B: s V M (Cityscapes). C: s (V + M) (COCO)."""
    void_channel: bool = False
    """Append UPSNet's void channel: the largest thing logit minus the largest one inside any box of its class. In
    training it should win where a thing has no detection. Not in the paper."""


@dataclass(frozen=True)
class AffinityConfig(Section):
    """The dense instance affinity head (Sec. 3.4.2)."""

    enabled: bool = True
    """Use the affinity head. Without it, P is Psi (models A and C in the paper)."""
    channels: Annotated[int, CHANNELS] = 128
    """C, the width of Q (128 in the paper)."""
    activation: Literal["identity", "elu", "gelu", "relu", "softmax"] = "identity"
    """Activation after phi0 and phi1, which the paper does not name. softmax is over the channels. (ours)"""
    normalise: Literal["none", "pixels", "segment", "softmax"] = "segment"
    """Normalisation of phi1(Q)^T Psi: none (the paper's text), by the number of pixels, by the mass of each channel of
    Psi (segment), or by making phi1 a softmax over the pixels (the paper's reference [23]). (ours)"""
    temperature: Annotated[float, WEIGHT] = 10.0
    """Initial value of a learned factor on P before the softmax of the loss; 0 for none. (ours)"""
    positional_encoding: Annotated[int, WAVELENGTHS] = 0
    """Number of wavelengths of a sinusoidal positional encoding that is concatenated with Q; 0 for none, as in the
    paper. (ours)"""
    rope: Annotated[int, WAVELENGTHS] = 0
    """Number of wavelengths of a rotary position embedding (RoPE, arXiv 2104.09864) of phi0(Q) and phi1(Q), which makes
    affinities depend on the offset between two cells; 0 for none, as in the paper. (ours)"""
    shortest_wavelength: Annotated[float, Range(1, 2**16)] = 8.0
    """The first wavelength of either encoding in cells of Psi; each further one is twice as long. Affinities repeat
    themselves at the shortest one: larger objects need a longer one. (ours)"""
    loss: Literal["logits", "log"] = "logits"
    """Cross entropy on P as logits, or on log P, which needs P >= 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss == "log" and self.activation in ("identity", "elu", "gelu"):
            raise ValueError(
                f"affinity: loss=log needs P >= 0, but activation={self.activation} is signed; "
                "use activation relu or softmax, or loss=logits"
            )
        if self.normalise == "softmax" and self.activation == "relu":
            raise ValueError(
                "affinity: normalise=softmax replaces phi1's activation, so activation=relu would act on phi0 "
                "alone; use activation softmax, elu, gelu or identity"
            )
        if self.rope and (
            self.activation in ("relu", "softmax") or self.normalise == "softmax" or self.positional_encoding
        ):
            raise ValueError(
                "affinity: rope needs positional_encoding=0, activation identity, elu or gelu, and no normalise=softmax"
            )
