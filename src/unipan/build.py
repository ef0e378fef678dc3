"""From a Config to objects: the only place that knows which part gets which number."""

import shlex
from functools import partial

from torchvision.models.detection.anchor_utils import AnchorGenerator

from unipan.config import BackboneConfig, Config, DetectionConfig
from unipan.models.affinity import InstanceAffinity
from unipan.models.backbone import ResNetFPN
from unipan.models.criterion import DETECTION_TERMS, Criterion
from unipan.models.detection.anchors import anchor_generator
from unipan.models.detection.box_head import box_heads
from unipan.models.detection.head import DetectionHead
from unipan.models.detection.pooling import region_pool
from unipan.models.detection.proposals import region_proposals
from unipan.models.network import PanopticNetwork
from unipan.models.parts import P2_STRIDE, Backbone
from unipan.models.potential import DynamicPotential
from unipan.models.semantic import PyramidDecoder
from unipan.models.semantic_sum import SummingDecoder
from unipan.models.timm_backbone import TimmFPN
from unipan.panoptic.categories import Categories


def require_both_kinds(categories: Categories, folder: str = "") -> None:
    """Raises ValueError for classes of which none is a thing, or none is stuff."""
    if categories.things and categories.stuff:
        return
    convert = f"{shlex.quote(folder)} {shlex.quote(folder.rstrip('/') + '_converted')}" if folder else "DATA OUT"
    missing, option, cure = ("thing", "--as-things NAME ...", "says which classes are things")
    if categories.things:
        missing, option, cure = ("stuff", "--background background", "makes one of all void pixels")
    raise ValueError(
        f"categories: the dataset has no {missing} class; the network needs at least one of each: "
        f"`unipan data convert {convert} {option}` {cure}"
    )


def require_kept_weights(backbone: BackboneConfig) -> None:
    """Raises ValueError where nothing below the feature pyramid would be trained, from random weights."""
    if backbone.fixed and backbone.weights == "none":
        raise ValueError(
            "backbone.fixed: from scratch there are no weights to keep; start from a checkpoint or from pretrained "
            "weights (--init), or leave fixed out"
        )


def build_network(config: Config, categories: Categories, pretrained: bool = False) -> PanopticNetwork:
    """The network of one experiment for one list of classes.

    Args:
        config: the experiment.
        categories: thing and stuff classes.
        pretrained: load `config.backbone.weights`; a checkpoint that brings its own weights does not want them.

    Raises:
        ValueError: a dataset without things or without stuff, a GroupNorm that does not divide its channels, or weights
            of a checkpoint that was not given.
        FileNotFoundError: pretrained weights that cannot be had.
    """
    require_both_kinds(categories)
    things = len(categories.things)
    backbone = build_backbone(config.backbone)
    weights = config.backbone.weights
    if pretrained and weights == "checkpoint":
        raise ValueError("backbone: weights=checkpoint are what --init brings; give --init FILE, or other weights")
    if pretrained and weights != "none":
        backbone.load_pretrained(weights)
    network = PanopticNetwork(  # initial weights are drawn in this order
        backbone=backbone,
        affinity=build_affinity(config),
        semantic=build_decoder(config, len(categories)),
        detection=build_detection(config, things),
        potential=DynamicPotential(
            variant=config.potential.variant,
            num_things=things,
            stride=config.decoder.stride,
            void_channel=config.potential.void_channel,
        ),
        iou_threshold=config.matching.iou_threshold,
        label_stride=config.matching.stride,
        score_threshold=config.inference.score_threshold,
        temperature=config.affinity.temperature,
    )
    # Without a loss on P or Psi nothing teaches it, and distributed training waits for every parameter's gradient.
    taught = config.loss.panoptic > 0 or config.loss.potential > 0
    network.temperature.requires_grad_(network.temperature.requires_grad and taught)
    return network


def build_backbone(config: BackboneConfig) -> Backbone:
    """Features F (Sec. 3.1); another backbone is another `return` here."""
    require_kept_weights(config)
    if config.network != "resnet":
        return TimmFPN(
            network=config.network,
            fpn_channels=config.fpn_channels,
            se_reduction=config.se_reduction,
            frozen=config.frozen and config.weights != "none",
            fixed=config.fixed,
        )
    return ResNetFPN(
        depth=config.depth,
        width=config.width,
        fpn_channels=config.fpn_channels,
        se_reduction=config.se_reduction,
        # Frozen from scratch would be frozen at random.
        frozen=config.frozen and config.weights != "none",
        fixed=config.fixed,
        stride_in_1x1=config.stride_in_1x1,
    )


def build_decoder(config: Config, out_channels: int, stride: int | None = None) -> PyramidDecoder | SummingDecoder:
    """One feature decoder; V and Q each have their own (Sec. 3.2, A.1). The stride is the config's d unless given."""
    decoder = config.decoder
    sizes = {
        "in_channels": config.backbone.fpn_channels,
        "out_channels": out_channels,
        "channels": decoder.channels,
        "groups": decoder.groups,
        "stride": stride or decoder.stride,
    }
    if decoder.kind == "sum":
        return SummingDecoder(**sizes)
    return PyramidDecoder(layers=decoder.layers, deformable=decoder.deformable, **sizes)


def build_detection(config: Config, num_things: int) -> DetectionHead:
    """RPN, box head and optional mask head (Sec. 3.3, A.2)."""
    detection, channels = config.detection, config.backbone.fpn_channels
    pool = partial(
        region_pool,
        sampling_ratio=detection.sampling_ratio,
        canonical=detection.roi_canonical,
        aligned=detection.roi_aligned,
    )
    return DetectionHead(
        rpn=region_proposals(
            channels=channels,
            anchors=build_anchors(detection),
            pre_nms=detection.rpn_pre_nms,
            post_nms=detection.rpn_post_nms,
            batch_size=detection.rpn_batch_size,
        ),
        roi=box_heads(
            channels=channels,
            num_things=num_things,
            pool=pool(7),
            features=detection.box_features,
            batch_size=detection.roi_batch_size,
            score_threshold=detection.score_threshold,
            nms_threshold=detection.nms_threshold,
            max_detections=detection.max_detections,
        ),
        mask_pool=pool(detection.mask_size // 2) if detection.masks else None,
        channels=channels,
        num_things=num_things,
        mask_channels=detection.mask_channels,
        mask_layers=detection.mask_layers,
        mask_kind=config.loss.mask_kind,
        use_gt_boxes=config.matching.use_gt_boxes,
        gt_box_keep_rate=config.matching.gt_box_keep_rate,
    )


def build_anchors(config: DetectionConfig) -> AnchorGenerator:
    """The anchors of the RPN."""
    return anchor_generator(sizes=config.anchor_sizes, ratios=config.anchor_ratios, exact=config.exact_anchors)


def build_affinity(config: Config) -> InstanceAffinity | None:
    """The instance affinity head (Sec. 3.4.2); None for the paper's models A and C."""
    affinity = config.affinity
    if not affinity.enabled:
        return None
    return InstanceAffinity(
        extractor=build_decoder(config, affinity.channels, P2_STRIDE),
        channels=affinity.channels,
        activation=affinity.activation,
        normalise=affinity.normalise,
        positional_encoding=affinity.positional_encoding,
        rope=affinity.rope,
        shortest_wavelength=affinity.shortest_wavelength,
        upsampling=P2_STRIDE // config.decoder.stride,
    )


def build_criterion(config: Config) -> Criterion:
    """The losses of one experiment."""
    loss = config.loss
    return Criterion(
        weights=dict.fromkeys(DETECTION_TERMS, loss.detection)
        | {"semantic": loss.semantic, "panoptic": loss.panoptic, "potential": loss.potential},
        stride=config.decoder.stride,
        semantic_kind=loss.semantic_kind,
        semantic_stride=loss.semantic_stride,
        log=config.affinity.loss == "log",
    )
