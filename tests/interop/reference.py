"""detectron2's Panoptic FPN, written down naively from its documentation: names, shapes, and one forward pass.

It reads a state dict under detectron2's own names, so nothing here knows of our modules.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, roi_align

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
FACTORS = {
    "roi_heads.box_predictor.cls_score": 0.2,
    "roi_heads.box_predictor.bbox_pred": 0.05,
    "proposal_generator.rpn_head.anchor_deltas": 0.1,
}
State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def shapes(depth: int) -> Shapes:
    """Every name of a zoo checkpoint with its shape."""
    return {name: shape for part in (_resnet(depth), _fpn(), _heads(), _semantic()) for name, shape in part}


def _convolution(name: str, outputs: int, inputs: int, side: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs, side, side)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.norm.{part}", (outputs,)


def _resnet(depth: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    body = "backbone.bottom_up"
    yield from _convolution(f"{body}.stem.conv1", 64, 3, 7)
    inputs = 64
    for stage, blocks in enumerate(BLOCKS[depth], start=2):
        middle, outputs = 64 * 2 ** (stage - 2), 256 * 2 ** (stage - 2)
        for block in range(blocks):
            name = f"{body}.res{stage}.{block}"
            if block == 0:
                yield from _convolution(f"{name}.shortcut", outputs, inputs, 1)
            yield from _convolution(f"{name}.conv1", middle, inputs, 1)
            yield from _convolution(f"{name}.conv2", middle, middle, 3)
            yield from _convolution(f"{name}.conv3", outputs, middle, 1)
            inputs = outputs


def _layer(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (256,) if name.endswith("deconv") else shape[:1]


def _fpn() -> Iterator[tuple[str, tuple[int, ...]]]:
    for level in (2, 3, 4, 5):
        yield from _layer(f"backbone.fpn_lateral{level}", 256, 2 ** (level + 6), 1, 1)
        yield from _layer(f"backbone.fpn_output{level}", 256, 256, 3, 3)


def _heads() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _layer("proposal_generator.rpn_head.conv", 256, 256, 3, 3)
    yield from _layer("proposal_generator.rpn_head.objectness_logits", 3, 256, 1, 1)
    yield from _layer("proposal_generator.rpn_head.anchor_deltas", 12, 256, 1, 1)
    yield from _layer("roi_heads.box_head.fc1", 1024, 256 * 7 * 7)
    yield from _layer("roi_heads.box_head.fc2", 1024, 1024)
    yield from _layer("roi_heads.box_predictor.cls_score", 81, 1024)
    yield from _layer("roi_heads.box_predictor.bbox_pred", 320, 1024)
    for layer in (1, 2, 3, 4):
        yield from _layer(f"roi_heads.mask_head.mask_fcn{layer}", 256, 256, 3, 3)
    yield from _layer("roi_heads.mask_head.deconv", 256, 256, 2, 2)
    yield from _layer("roi_heads.mask_head.predictor", 80, 256, 1, 1)


def _semantic() -> Iterator[tuple[str, tuple[int, ...]]]:
    for level, stages in (("p2", (0,)), ("p3", (0,)), ("p4", (0, 2)), ("p5", (0, 2, 4))):
        for stage in stages:
            yield f"sem_seg_head.{level}.{stage}.weight", (128, 256 if stage == 0 else 128, 3, 3)
            yield f"sem_seg_head.{level}.{stage}.norm.weight", (128,)
            yield f"sem_seg_head.{level}.{stage}.norm.bias", (128,)
    yield from _layer("sem_seg_head.predictor", 54, 128, 1, 1)


def random_state(depth: int = 50) -> State:
    """Weights that keep activations near one and scores apart."""
    g = torch.Generator().manual_seed(depth)
    state = {}
    for name, shape in shapes(depth).items():
        if name.endswith("running_var") or name.endswith("norm.weight"):
            state[name] = torch.rand(shape, generator=g) + 0.5
        elif len(shape) == 1:
            state[name] = torch.randn(shape, generator=g) * 0.1
        else:
            state[name] = torch.randn(shape, generator=g) * math.sqrt(2 / math.prod(shape[1:]))
        if "conv3.norm.weight" in name:
            state[name] *= 0.3
    state["backbone.bottom_up.stem.conv1.norm.weight"] *= 0.01
    for name, factor in FACTORS.items():
        state[f"{name}.weight"] *= factor
    return state


def apply(x: Tensor, state: State, name: str, **options: int) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)


def normed(x: Tensor, state: State, name: str, **options: int) -> Tensor:
    """A convolution and its frozen batch norm."""
    y = apply(x, state, name, **options)
    weight, bias, mean, var = (
        state[f"{name}.norm.{part}"][None, :, None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (y - mean) / (var + 1e-5).sqrt() * weight + bias


def pyramid(rgb: Tensor, state: State, depth: int = 50) -> list[Tensor]:
    """P2..P6 of an RGB image (1 3 H W) in 0..255."""
    bgr = rgb.flip(1) - torch.tensor([103.53, 116.28, 123.675])[:, None, None]
    x = normed(bgr, state, "backbone.bottom_up.stem.conv1", stride=2, padding=3).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    tops = []
    for stage, blocks in enumerate(BLOCKS[depth], start=2):
        for block in range(blocks):
            name, stride = f"backbone.bottom_up.res{stage}.{block}", 2 if stage > 2 and block == 0 else 1
            y = normed(x, state, f"{name}.conv1", stride=stride).relu()
            y = normed(y, state, f"{name}.conv2", padding=1).relu()
            y = normed(y, state, f"{name}.conv3")
            x = (y + (normed(x, state, f"{name}.shortcut", stride=stride) if block == 0 else x)).relu()
        tops.append(x)
    levels: list[Tensor] = []
    inner = None
    for level in (5, 4, 3, 2):
        lateral = apply(tops[level - 2], state, f"backbone.fpn_lateral{level}")
        inner = lateral if inner is None else lateral + inner.repeat_interleave(2, 2).repeat_interleave(2, 3)
        levels.insert(0, apply(inner, state, f"backbone.fpn_output{level}", padding=1))
    return [*levels, levels[-1][:, :, ::2, ::2]]


def semantic(levels: list[Tensor], state: State) -> Tensor:
    """54 logits at stride 4."""
    total = torch.zeros(())
    for level in (2, 3, 4, 5):
        x = levels[level - 2]
        for stage in range(max(1, level - 2)):
            name = f"sem_seg_head.p{level}.{2 * stage}"
            x = apply(x, state, name, padding=1)
            x = F.group_norm(x, 32, state[f"{name}.norm.weight"], state[f"{name}.norm.bias"]).relu()
            if level > 2:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + x
    return apply(total, state, "sem_seg_head.predictor")


def moved(boxes: Tensor, deltas: Tensor, weights: tuple[float, ...]) -> Tensor:
    size = boxes[:, 2:] - boxes[:, :2]
    middle = boxes[:, :2] + size / 2
    parts = deltas / torch.tensor(weights)
    middle = middle + parts[:, :2] * size
    size = size * parts[:, 2:].clamp(max=math.log(1000 / 16)).exp()
    return torch.cat([middle - size / 2, middle + size / 2], 1)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    return torch.stack([boxes[:, i].clamp(0, (width, height)[i % 2]) for i in range(4)], 1)


def proposals(levels: list[Tensor], state: State, height: int, width: int) -> Tensor:
    """At most 1000 boxes."""
    boxes, scores, numbers = [], [], []
    for number, x in enumerate(levels):
        hidden = apply(x, state, "proposal_generator.rpn_head.conv", padding=1).relu()
        logits = apply(hidden, state, "proposal_generator.rpn_head.objectness_logits")[0]
        deltas = apply(hidden, state, "proposal_generator.rpn_head.anchor_deltas")[0]
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                for a, ratio in enumerate((0.5, 1.0, 2.0)):
                    side, stride = 32 * 2**number, 4 * 2**number
                    w = math.sqrt(side * side / ratio)
                    h = ratio * w
                    x0, y0 = column * stride, row * stride
                    anchor = torch.tensor([[x0 - w / 2, y0 - h / 2, x0 + w / 2, y0 + h / 2]])
                    delta = deltas[4 * a : 4 * a + 4, row, column][None]
                    boxes.append(moved(anchor, delta, (1, 1, 1, 1)))
                    scores.append(logits[a, row, column])
                    numbers.append(number)
    assert max(numbers.count(n) for n in range(5)) <= 1500
    box, score, level = clipped(torch.cat(boxes), height, width), torch.stack(scores), torch.tensor(numbers)
    best = torch.cat(
        [r[score[r].argsort(descending=True)[:1000]] for n in range(5) for r in [(level == n).nonzero()[:, 0]]]
    )
    best = best[((box[best, 2:] - box[best, :2]) > 0).all(1)]
    box, score, level = box[best], score[best], level[best]
    return box[batched_nms(box, score, level, 0.7)[:1000]]


def pooled(levels: list[Tensor], boxes: Tensor, size: int) -> Tensor:
    parts = []
    for box in boxes:
        area = float((box[2] - box[0]) * (box[3] - box[1]))
        level = min(max(math.floor(4 + math.log2(math.sqrt(area) / 224 + 1e-8)), 2), 5)
        parts.append(roi_align(levels[level - 2], [box[None]], size, 1 / 2**level, 0, aligned=True))
    return torch.cat(parts)


def instances(levels: list[Tensor], state: State, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, scores, classes and mask logits."""
    found = proposals(levels, state, height, width)
    x = pooled(levels, found, 7).reshape(len(found), -1)
    for name in ("fc1", "fc2"):
        x = F.linear(x, state[f"roi_heads.box_head.{name}.weight"], state[f"roi_heads.box_head.{name}.bias"]).relu()
    head = "roi_heads.box_predictor"
    chances = F.linear(x, state[f"{head}.cls_score.weight"], state[f"{head}.cls_score.bias"]).softmax(1)
    deltas = F.linear(x, state[f"{head}.bbox_pred.weight"], state[f"{head}.bbox_pred.bias"])
    boxes, scores, classes = [], [], []
    for label in range(80):  # the last of the 81 is the background
        keep = chances[:, label] > 0.05
        moved_to = moved(found[keep], deltas[keep, 4 * label : 4 * label + 4], (10, 10, 5, 5))
        boxes.append(clipped(moved_to, height, width))
        scores.append(chances[keep, label])
        classes.append(torch.full((int(keep.sum()),), label))
    box, score, label = torch.cat(boxes), torch.cat(scores), torch.cat(classes)
    best = batched_nms(box, score, label, 0.5)[:100]
    box, score, label = box[best], score[best], label[best]
    y = pooled(levels, box, 14)
    for layer in (1, 2, 3, 4):
        y = apply(y, state, f"roi_heads.mask_head.mask_fcn{layer}", padding=1).relu()
    deconv = "roi_heads.mask_head.deconv"
    y = F.conv_transpose2d(y, state[f"{deconv}.weight"], state[f"{deconv}.bias"], stride=2).relu()
    masks = apply(y, state, "roi_heads.mask_head.predictor")
    return box, score, label, masks[torch.arange(len(label)), label]
