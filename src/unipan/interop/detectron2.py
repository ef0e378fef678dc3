"""detectron2's `panoptic_fpn_R_50_1x`, `R_50_3x` and `R_101_3x` as our Panoptic FPN.

Names, shapes and conventions are from detectron2's public documentation and configurations (MODEL_ZOO.md and
configs/COCO-PanopticSegmentation); the files themselves were not available to us, so the
result is marked as unverified.

Differences from our conventions, and how each is handled:
- pixels are BGR, 0..255, minus a mean: conv1's input channels are reversed, mean and std are buffers of the network;
- the stride is in the 1x1 convolution (`backbone.stride_in_1x1`), RoIAlign is aligned (`detection.roi_aligned`),
  anchors are exact (`detection.exact_anchors`);
- the background is the last class; here, as in torchvision, it is the first;
- V has 54 channels: channel 0 is "some thing", then 53 stuff classes. Here every thing class gets a copy of channel 0.
  A pixel's winner is stuff exactly when it was there, so heuristic fusion does the same, and since Psi's channels
  share the softmax's denominator, so does argmax of Psi (variant B). V does not say which
  thing it means: its IoU of thing classes is meaningless, and the scores of stuff, a softmax over all channels, are
  too low.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from unipan.build import build_anchors, build_network
from unipan.config import Config, PotentialConfig
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.interop.moves import NORM, Imported, Move, background_first, moves_of, translate, without_background
from unipan.interop.pickles import read_tensors
from unipan.models.backbone import BLOCKS
from unipan.presets import coco, panoptic_fpn

KIND = "a Panoptic FPN of detectron2 (panoptic_fpn_R_50 or R_101 on COCO)"
MEAN_BGR = (103.53, 116.28, 123.675)
UNVERIFIED_DETECTRON2 = (
    "unverified numerically: made from detectron2's public documentation, never compared with its own output"
)
Depth = Literal[50, 101]
DEPTHS: dict[int, Depth] = {BLOCKS[50][1][2]: 50, BLOCKS[101][1][2]: 101}
"""Blocks of res4 -> depth."""
RESNET = "backbone.bottom_up"
ANCHORS = "proposal_generator.anchor_generator.cell_anchors."


def detectron2_config(depth: Depth) -> Config:
    """Our Panoptic FPN with detectron2's conventions."""
    base = panoptic_fpn(coco())
    return replace(
        base,
        name=f"detectron2_panoptic_fpn_R_{depth}",
        backbone=replace(base.backbone, depth=depth, stride_in_1x1=True),
        detection=replace(
            base.detection,
            sampling_ratio=0,
            roi_aligned=True,
            exact_anchors=True,
            rpn_pre_nms=(2000, 1000),
            rpn_post_nms=(1000, 1000),
        ),
        potential=PotentialConfig("B"),
    )


def from_detectron2(path: Path) -> Imported:
    """A Panoptic FPN of detectron2's model zoo.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not one of those, or cannot be read safely.
    """
    return import_detectron2(read_tensors(path), f"detectron2:{path.name}")


def import_detectron2(tensors: Mapping[str, Tensor], origin: str) -> Imported:
    """Our checkpoint of a Panoptic FPN.

    Args:
        tensors: what the file holds.
        origin: what error messages call it.

    Raises:
        ValueError: another network, or tensors that are missing, left over or of another shape.
    """
    categories, config = coco_categories(), detectron2_config(depth_of(tensors, origin))
    with torch.device("meta"):
        own = build_network(config, categories).state_dict()
    given = filled(without_constants(tensors, config, origin))
    things, stuff = len(categories.things), len(categories.stuff)
    moves = resnet_moves(config.backbone.depth) + fpn_moves() + detection_moves(config, things)
    moves += semantic_moves(config, things, stuff)
    state = translate(moves, given, own, origin, KIND)
    state["mean"] = torch.tensor(MEAN_BGR[::-1]).view(3, 1, 1) / 255
    state["std"] = torch.full((3, 1, 1), 1 / 255)
    state["temperature"] = torch.tensor(1.0)
    return Imported(state, config, categories, {"imported": origin, "status": UNVERIFIED_DETECTRON2}, len(tensors))


def depth_of(tensors: Mapping[str, Tensor], origin: str) -> Depth:
    """50 or 101, from the number of blocks in res4."""
    blocks = {found[1] for name in tensors if (found := re.match(r"backbone\.bottom_up\.res4\.(\d+)\.", name))}
    if len(blocks) not in DEPTHS:
        raise ValueError(
            f"{origin}: not {KIND}: its res4 has {len(blocks)} blocks, where ResNet-50 has 6 and ResNet-101 23; only "
            "these two are imported"
        )
    return DEPTHS[len(blocks)]


def without_constants(tensors: Mapping[str, Tensor], config: Config, origin: str) -> dict[str, Tensor]:
    """The tensors without the anchors and pixel mean that older files contain; these must agree with the config."""
    cells = build_anchors(config.detection).cell_anchors
    constants = {f"{ANCHORS}{level}": cell for level, cell in enumerate(cells)}
    constants |= {"pixel_mean": torch.tensor(MEAN_BGR), "pixel_std": torch.ones(3)}
    rest = dict(tensors)
    for name, expected in constants.items():
        found = rest.pop(name, None)
        if found is None:
            continue
        flat = found.float().flatten()
        if flat.shape != expected.flatten().shape or not torch.allclose(flat, expected.flatten(), atol=0.01):
            raise ValueError(
                f"{origin}: not {KIND}: its {name} is {[round(v, 2) for v in flat[:4].tolist()]}, not "
                f"{[round(v, 2) for v in expected.flatten()[:4].tolist()]}; only files with the published settings fit"
            )
    return rest


def filled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the batch norm statistics that files from Caffe omit: mean 0, variance 1."""
    complete = dict(tensors)
    if not any(name.endswith(("running_mean", "running_var")) for name in tensors):
        for name, scale in tensors.items():
            if name.startswith(f"{RESNET}.") and name.endswith(".norm.weight"):
                layer = name.removesuffix("weight")
                complete[f"{layer}running_mean"] = torch.zeros_like(scale)
                complete[f"{layer}running_var"] = torch.ones_like(scale)
    return complete


def resnet_moves(depth: int) -> list[Move]:
    """The ResNet: res2..res5 are layer1..layer4, norms are separate modules, and the stem reads RGB."""
    ours = "backbone.resnet"
    moves = [Move(f"{RESNET}.stem.conv1.weight", f"{ours}.conv1.weight", partial(torch.flip, dims=(1,)))]
    moves += moves_of(f"{RESNET}.stem.conv1.norm", f"{ours}.bn1", NORM)
    for stage, blocks in enumerate(BLOCKS[depth][1], start=1):
        for block in range(blocks):
            there, here = f"{RESNET}.res{stage + 1}.{block}", f"{ours}.layer{stage}.{block}"
            layers = [(f"conv{i}", f"conv{i}", f"bn{i}") for i in (1, 2, 3)]
            layers += [("shortcut", "downsample.0", "downsample.1")] * (block == 0)
            for name, convolution, norm in layers:
                moves += moves_of(f"{there}.{name}", f"{here}.{convolution}", ("weight",))
                moves += moves_of(f"{there}.{name}.norm", f"{here}.{norm}", NORM)
    return moves


def fpn_moves() -> list[Move]:
    """Laterals and outputs of P2..P5."""
    moves = []
    for index, level in enumerate((2, 3, 4, 5)):
        moves += moves_of(f"backbone.fpn_lateral{level}", f"backbone.fpn.inner_blocks.{index}.0")
        moves += moves_of(f"backbone.fpn_output{level}", f"backbone.fpn.layer_blocks.{index}.0")
    return moves


def detection_moves(config: Config, things: int) -> list[Move]:
    """RPN, box head and mask head; the box head reads (channel, row, column) in both, so fc1 keeps its columns."""
    rpn, roi, ours = "proposal_generator.rpn_head", "roi_heads", "detection"
    classes, features = f"{roi}.box_predictor.cls_score", config.detection.box_features
    deltas, boxes = f"{roi}.box_predictor.bbox_pred", partial(without_background, classes=things)
    predictor = f"{ours}.roi.box_predictor"
    moves = [
        *moves_of(f"{rpn}.conv", f"{ours}.rpn.head.conv.0.0"),
        *moves_of(f"{rpn}.objectness_logits", f"{ours}.rpn.head.cls_logits"),
        *moves_of(f"{rpn}.anchor_deltas", f"{ours}.rpn.head.bbox_pred"),
        *moves_of(f"{roi}.box_head.fc1", f"{ours}.roi.box_head.fc6"),
        *moves_of(f"{roi}.box_head.fc2", f"{ours}.roi.box_head.fc7"),
        Move(f"{classes}.weight", f"{predictor}.cls_score.weight", background_first),
        Move(f"{classes}.bias", f"{predictor}.cls_score.bias", background_first),
        Move(f"{deltas}.weight", f"{predictor}.bbox_pred.weight", boxes, (4 * things, features)),
        Move(f"{deltas}.bias", f"{predictor}.bbox_pred.bias", boxes, (4 * things,)),
    ]
    for layer in range(config.detection.mask_layers):
        moves += moves_of(f"{roi}.mask_head.mask_fcn{layer + 1}", f"{ours}.mask_head.{layer}.0")
    moves += moves_of(f"{roi}.mask_head.deconv", f"{ours}.mask_predictor.conv5_mask")
    return moves + moves_of(f"{roi}.mask_head.predictor", f"{ours}.mask_predictor.mask_fcn_logits")


def semantic_moves(config: Config, things: int, stuff: int) -> list[Move]:
    """The semantic head: stages at 0, 2, 4 of every level, with upsampling, which has no weights, in between."""
    moves = []
    for doublings, level in enumerate(("p2", "p3", "p4", "p5")):
        for stage in range(max(1, doublings)):
            there, here = f"sem_seg_head.{level}.{2 * stage}", f"semantic.levels.{level}.{2 * stage}"
            moves += moves_of(there, f"{here}.0", ("weight",))
            moves += moves_of(f"{there}.norm", f"{here}.1")
    copies = partial(each_thing, things=things)
    shape = (1 + stuff, config.decoder.channels, 1, 1)
    moves.append(Move("sem_seg_head.predictor.weight", "semantic.project.weight", copies, shape))
    moves.append(Move("sem_seg_head.predictor.bias", "semantic.project.bias", copies, shape[:1]))
    return moves


def each_thing(rows: Float[Tensor, "L ..."], things: int) -> Float[Tensor, "N ..."]:
    """The first row, "some thing", repeated for every thing class, followed by the rows of stuff."""
    return torch.cat([rows[:1].expand(things, *rows.shape[1:]), rows[1:]])
