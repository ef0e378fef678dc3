"""`unipan.fuse` on tensors, by the modules of the network itself.

Legend: D detections, L classes (things first), C affinity channels, h w the grid of V.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from unipan.any_detector.checks import FusionInput
from unipan.config import Fusion, HeuristicConfig, UpsnetConfig
from unipan.fusion.argmax import decode
from unipan.fusion.heuristic import merge
from unipan.fusion.upsnet import prune_and_vote
from unipan.models.affinity import InstanceAffinity
from unipan.models.potential import DynamicPotential, Variant
from unipan.numpy_fusion.psi import Found
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Detections, Geometry


@torch.no_grad()
def fuse_tensors(
    given: FusionInput,
    fusion: Fusion,
    variant: Variant,
    score_threshold: float,
    heuristic: HeuristicConfig,
    upsnet: UpsnetConfig,
    device: torch.device,
) -> PanopticMap:
    """The map of checked arguments; every module sees V's grid as an input with one cell per pixel."""
    rows, columns = given.semantic.shape[1:]
    geometry = Geometry(given.size, (rows, columns), stride=1)
    v = torch.as_tensor(given.semantic, device=device)
    found = to_detections(given.found, device)
    found = replace(found, boxes=geometry.to_input(found.boxes))
    if fusion == "heuristic":
        return merge(found, v, given.categories, heuristic, geometry)
    if fusion == "upsnet":
        return prune_and_vote(found, v, given.categories, upsnet, heuristic.min_stuff_area, geometry)
    found = found[found.scores >= score_threshold]
    channels = DynamicPotential(variant=variant, num_things=len(given.categories.things), stride=1)(v, found)
    if len(channels) == 0:
        return PanopticMap(np.zeros(given.size, np.int32), ())
    if fusion == "affinity":
        queries = torch.as_tensor(given.queries, device=device)
        channels = untrained_affinity(len(queries)).to(device)(channels, resized(queries, rows, columns))
    return decode(channels, found, given.categories, geometry)


def to_detections(found: Found, device: torch.device) -> Detections:
    """The same detections as tensors; no detections have masks of 28 x 28 if they have any."""
    boxes, scores, classes = (
        torch.as_tensor(each, device=device) for each in (found.boxes, found.scores, found.classes)
    )
    masks = None if found.masks is None else torch.as_tensor(found.masks, device=device)
    return Detections(boxes, scores, classes, masks, found.whole)


def untrained_affinity(channels: int) -> InstanceAffinity:
    """The affinity head with the identity for phi0 and phi1, otherwise as by default."""
    head = InstanceAffinity(extractor=nn.Identity(), channels=channels)
    for phi in (head.phi0, head.phi1):
        nn.init.eye_(phi.weight.view(channels, channels))
        assert phi.bias is not None
        nn.init.zeros_(phi.bias)
    return head


def resized(maps: Float[Tensor, "C a b"], height: int, width: int) -> Float[Tensor, "C h w"]:
    """Bilinear, where the size differs."""
    if maps.shape[1:] == (height, width):
        return maps
    return nn.functional.interpolate(maps[None], (height, width), mode="bilinear", align_corners=False)[0]
