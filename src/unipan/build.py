"""From a Config to objects: the only place that knows which part gets which number."""

from unipan.config import Config
from unipan.models.affinity import InstanceAffinity
from unipan.models.backbone import ResNetFPN
from unipan.models.criterion import Criterion
from unipan.models.detection.head import DetectionHead
from unipan.models.network import PanopticNetwork
from unipan.models.potential import DynamicPotential
from unipan.models.pretrained import load_pretrained
from unipan.models.semantic import PyramidDecoder
from unipan.models.semantic_sum import SummingDecoder
from unipan.panoptic.categories import Categories


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
    things = len(categories.things)
    if not things or not categories.stuff:
        missing = "stuff" if things else "thing"
        raise ValueError(f"categories: the dataset has no {missing} class; the network needs at least one of each")
    backbone_config = config.backbone
    channels = backbone_config.fpn_channels
    backbone = ResNetFPN(
        backbone_config.depth,
        backbone_config.width,
        channels,
        backbone_config.se_reduction,
        # Frozen from scratch would be frozen at random.
        backbone_config.frozen and backbone_config.weights != "none",
        backbone_config.stride_in_1x1,
    )
    if pretrained and backbone_config.weights == "checkpoint":
        raise ValueError("backbone: weights=checkpoint are what --init brings; give --init FILE, or other weights")
    if pretrained and backbone_config.weights != "none":
        load_pretrained(backbone, backbone_config.weights)
    affinity = None
    if config.affinity.enabled:
        affinity = InstanceAffinity(
            build_decoder(config, config.affinity.channels),
            config.affinity.channels,
            config.affinity.activation,
            config.affinity.normalise,
            config.affinity.positional_encoding,
            config.affinity.rope,
        )
    feed_truth = config.matching.use_gt_boxes
    network = PanopticNetwork(
        backbone=backbone,
        semantic=build_decoder(config, len(categories)),
        detection=DetectionHead(
            channels, things, config.detection, config.loss.mask_kind, feed_truth, config.matching.gt_box_keep_rate
        ),
        potential=DynamicPotential(
            config.potential.variant, things, config.decoder.stride, config.potential.void_channel
        ),
        affinity=affinity,
        matching=config.matching,
        score_threshold=config.inference.score_threshold,
        temperature=config.affinity.temperature,
    )
    # Without a loss on P or Psi nothing teaches it, and distributed training waits for every parameter's gradient.
    taught = config.loss.panoptic > 0 or config.loss.potential > 0
    network.temperature.requires_grad_(network.temperature.requires_grad and taught)
    return network


def build_decoder(config: Config, out_channels: int) -> PyramidDecoder | SummingDecoder:
    """One feature decoder; V and Q each have their own (A.1)."""
    decoder = config.decoder
    if decoder.kind == "sum":
        return SummingDecoder(
            config.backbone.fpn_channels, out_channels, decoder.channels, decoder.groups, decoder.stride
        )
    return PyramidDecoder(
        config.backbone.fpn_channels,
        out_channels,
        decoder.layers,
        decoder.channels,
        decoder.deformable,
        decoder.groups,
        decoder.stride,
    )


def build_criterion(config: Config) -> Criterion:
    """The losses of one experiment."""
    return Criterion(config.loss, log=config.affinity.loss == "log", stride=config.decoder.stride)
