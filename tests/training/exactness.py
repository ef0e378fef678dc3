"""Losses and gradients of one step, however its images are spread over processes and backward passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.tiny import Drawn, draw, eager, tiny_config
from unipan.build import build_network
from unipan.config import Config
from unipan.panoptic.maps import Sample, panoptic_map
from unipan.presets import upsnet
from unipan.training.launch import Fabric
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer


class Patchy(Drawn):
    """Images that differ in their number of things and, widely, in how much of them is void."""

    def __getitem__(self, index: int) -> Sample:
        sample = draw(self.first + index, self.things[index])
        ids = sample.truth.ids.copy()
        ids[: 11 * index, 10:] = 0
        present = set(np.unique(ids).tolist())
        truth = panoptic_map(ids, {s.id: s.category for s in sample.truth if s.id in present})
        return replace(sample, truth=truth)


def cases() -> dict[str, Config]:
    """A step of four images, without batch statistics; detections are many, and some match."""
    base = eager(tiny_config())
    base = replace(
        base,
        backbone=replace(base.backbone, frozen=True, weights="imagenet"),  # for its frozen norm; none is loaded
        matching=replace(base.matching, iou_threshold=0.1),
        data=replace(base.data, flip=0.5, color=1.0),
        detection=replace(base.detection, roi_batch_size=8),
        train=replace(base.train, batch_size=4, iterations=1, optimizer="sgd"),
    )
    loss = base.loss
    unmasked = replace(base, detection=replace(base.detection, masks=False))
    return {
        "plain": replace(base, loss=replace(loss, mask_kind="both", potential=0.5)),
        "two passes": replace(base, train=replace(base.train, accumulation_steps=2)),
        "lovasz softmax": replace(base, loss=replace(loss, semantic_kind="lovasz")),
        # Without things there are no detections: one process of two has none.
        "true boxes": replace(
            base, matching=replace(base.matching, use_gt_boxes=True), train=replace(base.train, batch_size=2)
        ),
        "mask-free": unmasked,
        "upsnet": upsnet(base),  # leaves three tenths of the true boxes out, by the image's own draw
    }


THINGS = {"true boxes": [2, 0]}


def step_of(fabric: Fabric, folder: Path, name: str, config: Config) -> dict[str, dict[str, Tensor]]:
    """The losses and the gradients of the first step of a case."""
    data = Patchy(THINGS.get(name, [3, 0, 2, 1]))
    torch.manual_seed(0)
    network = build_network(config, data.categories)
    trainer = Trainer(fabric, config, data, Drawn([1]), RunRecord(folder, 1, quiet=True), network)
    gradients: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        gradients.update({n: p.grad.clone() for n, p in trainer.network.named_parameters() if p.grad is not None})

    trainer.optimizer.optimizer.register_step_pre_hook(keep)
    losses, _ = trainer._iteration(0, trainer._parts(trainer._batches(0, 1)))
    return {"losses": {key: torch.tensor(value) for key, value in losses.items()}, "gradients": gradients}


def difference(found: dict[str, Tensor], expected: dict[str, Tensor], floor: float = 0.0) -> float:
    """The largest over all tensors of |found - expected|, as a share of the expected tensor's largest value.

    Args:
        found: tensors by name.
        expected: the same names.
        floor: tensors are measured against at least this share of the largest value of all: one whose exact value is
            zero has rounding errors alone.
    """
    assert set(found) == set(expected)
    largest = max(float(value.abs().max()) for value in expected.values())
    shares = {
        name: float((found[name] - value).abs().max() / max(float(value.abs().max()), floor * largest, 1e-30))
        for name, value in expected.items()
    }
    return max(shares.values())
