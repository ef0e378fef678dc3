"""torchvision's COCO Mask R-CNN and Faster R-CNN (ResNet-50 FPN, first version) as our backbone and detector.

Our detector is built from torchvision's parts, so names and values carry over one to one, with four exceptions:
- its classes are COCO's ids 0..90, background first; those that COCO never used are dropped, and with them their
  (tiny) share of the softmax;
- its published weights are for a batch norm without epsilon; ours has one, which is subtracted from the variance;
- our squeeze-and-excite starts as a factor of one half and P5's lateral connection is doubled: together this is the
  identity, and both receive a gradient;
- the semantic decoder and the affinity head are ours and start untrained. The logits of stuff start two below those of
  things in V, so that heuristic fusion leaves the pixels between the objects void until V has been trained.

Tests compare backbone and detector with torchvision's own on random weights; the published files were not available
to us, so the result is marked as unverified.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.ops import FrozenBatchNorm2d

from unipan.build import build_network
from unipan.config import Config
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.interop.moves import Imported, Move, moves_of, translate
from unipan.interop.pickles import read_tensors
from unipan.interop.sources import require_source
from unipan.models.pretrained import download
from unipan.panoptic.categories import Categories
from unipan.presets import coco

UNVERIFIED_TORCHVISION = (
    "unverified numerically: the published file was not available; backbone and detector are as torchvision's own on "
    "random weights (tests); the semantic decoder, squeeze-and-excite and the affinity head are untrained"
)
COCO_IDS = 91
"""Outputs of torchvision's heads: the background and COCO's ids 1..90."""
OUR_EPSILON = 1e-5
RESERVE = 2.0
"""By how much an untrained V prefers things; its random logits differ by a few tenths."""


def torchvision_config(name: str) -> Config:
    """The paper's COCO network; with Faster R-CNN it is mask-free. Until it is trained, use heuristic fusion."""
    base = coco()
    masks = name.startswith("mask")
    return replace(
        base,
        name=f"torchvision_{name}",
        detection=replace(base.detection, masks=masks),
        inference=replace(base.inference, fusion="heuristic" if masks else "potential"),
    )


def from_torchvision(name: str, file: Path | None = None) -> Imported:
    """A detector of torchvision with the weights that it publishes, from `file` or downloaded.

    Raises:
        FileNotFoundError: there is no such file, or the download fails.
        ValueError: a model whose layers our detector does not have, or weights of another one.
    """
    require_source("torchvision", name, file)
    origin = f"torchvision:{name}"
    tensors = download(name, "COCO_V1", origin, "with --file") if file is None else read_tensors(file)
    return import_torchvision(model_of(name, tensors, origin), name, origin)


def model_of(name: str, tensors: Mapping[str, Tensor], origin: str) -> nn.Module:
    """torchvision's model with published weights, of any of its versions.

    Raises:
        ValueError: the weights are of another model.
    """
    model: nn.Module = get_model(name, weights=None, weights_backbone=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0  # as torchvision sets it for these weights
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = "; ".join(line.strip()[:100] for line in str(error).splitlines()[1:4])
        raise ValueError(
            f"{origin}: not the weights of torchvision's {name} ({reason} ...); give the file as it was published"
        ) from error
    return model.eval()


def import_torchvision(model: nn.Module, name: str, origin: str) -> Imported:
    """Our checkpoint of a detector.

    Args:
        model: torchvision's, with its weights.
        name: one of `sources.TORCHVISION_NAMES`.
        origin: what error messages and the metrics call it.

    Raises:
        ValueError: tensors that are missing, left over or of another shape.
    """
    categories, config = coco_categories(), torchvision_config(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(config, categories)
    with torch.no_grad():
        for part in ("weight", "bias"):  # the squeeze-and-excite is sigmoid(0) = 1/2, whatever comes in
            nn.init.zeros_(network.get_parameter(f"backbone.excite.fc2.{part}"))
        # An untrained V prefers things, of which it has the first rows.
        nn.init.constant_(network.get_parameter("semantic.project.bias")[len(categories.things) :], -RESERVE)
    own = network.state_dict()
    norms = {
        key: each.eps for key, each in model.named_modules() if isinstance(each, nn.BatchNorm2d | FrozenBatchNorm2d)
    }
    tensors = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    state = own | translate(
        torchvision_moves(tensors, norms, categories, config), tensors, own, origin, f"torchvision's {name}"
    )
    return Imported(state, config, categories, {"imported": origin, "status": UNVERIFIED_TORCHVISION}, len(tensors))


def torchvision_moves(
    tensors: Mapping[str, Tensor], norms: Mapping[str, float], categories: Categories, config: Config
) -> list[Move]:
    """The move of every tensor."""
    rows = torch.tensor([0, *(thing.id for thing in categories.things)])
    features = config.detection.box_features
    head, ours = "roi_heads.box_predictor", "detection.roi.box_predictor"
    moves = [
        *backbone_moves(tensors, norms),
        *moves_of("rpn.head.conv.0.0", "detection.rpn.head.conv.0.0"),
        *moves_of("rpn.head.cls_logits", "detection.rpn.head.cls_logits"),
        *moves_of("rpn.head.bbox_pred", "detection.rpn.head.bbox_pred"),
        *moves_of("roi_heads.box_head.fc6", "detection.roi.box_head.fc6"),
        *moves_of("roi_heads.box_head.fc7", "detection.roi.box_head.fc7"),
        *class_moves(f"{head}.cls_score", f"{ours}.cls_score", rows, 1, (features,)),
        *class_moves(f"{head}.bbox_pred", f"{ours}.bbox_pred", rows, 4, (features,)),
    ]
    if config.detection.masks:
        for layer in range(config.detection.mask_layers):
            moves += moves_of(f"roi_heads.mask_head.{layer}.0", f"detection.mask_head.{layer}.0")
        there, here = "roi_heads.mask_predictor", "detection.mask_predictor"
        moves += moves_of(f"{there}.conv5_mask", f"{here}.conv5_mask")
        last = (config.detection.mask_channels, 1, 1)
        moves += class_moves(f"{there}.mask_fcn_logits", f"{here}.mask_fcn_logits", rows[1:], 1, last)
    return moves


def backbone_moves(tensors: Mapping[str, Tensor], norms: Mapping[str, float]) -> list[Move]:
    """ResNet and FPN, under the same names except for their prefixes."""
    moves = []
    for name in tensors:
        if not name.startswith("backbone."):
            continue
        target = name.replace("backbone.body.", "backbone.resnet.")
        layer, _, part = name.rpartition(".")
        if part == "running_var":
            moves.append(Move(name, target, partial(torch.add, other=norms[layer] - OUR_EPSILON)))
        elif name == "backbone.fpn.inner_blocks.3.0.weight":
            moves.append(Move(name, target, partial(torch.mul, other=2.0)))
        else:
            moves.append(Move(name, target))
    return moves


def class_moves(source: str, target: str, rows: Tensor, each: int, rest: tuple[int, ...]) -> list[Move]:
    """A layer whose outputs are COCO's ids: the `each` rows of every id that we use."""
    change = partial(chosen, rows=rows, each=each)
    return [
        Move(f"{source}.weight", f"{target}.weight", change, (COCO_IDS * each, *rest)),
        Move(f"{source}.bias", f"{target}.bias", change, (COCO_IDS * each,)),
    ]


def chosen(tensor: Float[Tensor, "R ..."], rows: Tensor, each: int) -> Float[Tensor, "Q ..."]:
    """The `each` rows of every chosen class."""
    return tensor.reshape(-1, each, *tensor.shape[1:])[rows].flatten(0, 1)
