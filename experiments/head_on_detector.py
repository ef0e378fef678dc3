"""What the head is worth on a detector that is not ours: torchvision's Mask R-CNN, trained on nuclei, then frozen.

First the detector alone, from scratch (ResNet-18 and FPN, no weights to download); then `PanopticHead` on its features,
which also learns V, because a Mask R-CNN has none. The detector never changes. Scored on the validation images: the
detector's own masks merged by rules (with that V, and with nothing but background around the masks) against the argmax
of Psi and of P, in pairs over the same images. Both trainings go on where they were interrupted.

    python experiments/head_on_detector.py ../shared/data/nuclei --detector-minutes 15 --head-minutes 15
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from unipan.any_detector.head import PanopticHead
from unipan.config import DataConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sources import open_photos
from unipan.datasets.transforms import TrainingTransform, resize_image
from unipan.evaluation.bootstrap import Interval, bootstrap_pq, paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.files import write_json
from unipan.structures import IMAGENET_MEAN, IMAGENET_STD, Detections, Target

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 64
SIDE, CROP, BATCH = 384, 256, 2
SAVE_SECONDS = 60


class Unresized(GeneralizedRCNNTransform):
    """torchvision's normalisation and padding alone."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """As they came."""
        return image, target


def detector_of(num_things: int) -> MaskRCNN:
    """Mask R-CNN at a width for CPUs. Images come at their final size, so it resizes nothing."""
    resnet = resnet18(weights=None)
    stages = {f"layer{level}": str(level - 1) for level in (1, 2, 3, 4)}
    backbone = BackboneWithFPN(resnet, stages, [64, 128, 256, 512], WIDTH)
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2, canonical_scale=112)
    mask_pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 14, 2, canonical_scale=112)
    detector = MaskRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((12,), (24,), (48,), (96,), (192,)), ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_train=600,
        rpn_post_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=800,
        rpn_post_nms_top_n_test=500,
        rpn_batch_size_per_image=128,
        box_roi_pool=pool,
        box_head=TwoMLPHead(WIDTH * 49, 256),
        box_predictor=FastRCNNPredictor(256, num_things + 1),
        box_batch_size_per_image=128,
        box_detections_per_img=300,
        mask_roi_pool=mask_pool,
        mask_head=MaskRCNNHeads(WIDTH, (WIDTH, WIDTH), 1),
        mask_predictor=MaskRCNNPredictor(WIDTH, WIDTH, num_things + 1),
    )
    detector.transform = Unresized(0, 0, list(IMAGENET_MEAN), list(IMAGENET_STD))
    return detector


def batches(data: PanopticData, seed: int) -> Iterator[tuple[list[Tensor], list[Target]]]:
    """Random crops, for ever."""
    config = DataConfig(short_side=SIDE, max_side=2 * SIDE, crop=(CROP, CROP), scale=(0.8, 1.25), flip=0.5)
    transform = TrainingTransform(config, data.categories)
    torch.manual_seed(seed)
    while True:
        chosen = torch.randint(len(data), (BATCH,)).tolist()
        images, targets = zip(*(transform(data[index]) for index in chosen), strict=True)
        yield list(images), list(targets)


def as_torchvision(target: Target) -> dict[str, Tensor]:
    """The target of torchvision's training: classes from 1, a full mask per object."""
    rows = torch.arange(len(target.classes))
    return {
        "boxes": target.boxes,
        "labels": target.classes + 1,
        "masks": (target.instances[None] == rows[:, None, None]).to(torch.uint8),
    }


class Clock:
    """The processor seconds of a training that may be interrupted or slowed down, and its state on disk."""

    def __init__(self, path: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, minutes: float) -> None:
        self.path, self.modules, self.optimizer, self.end = path, modules, optimizer, 60 * minutes
        self.seconds, self.steps, self.saved = 0.0, 0, 0.0
        if path.is_file():
            found = torch.load(path, weights_only=True)
            modules.load_state_dict(found["weights"])
            optimizer.load_state_dict(found["optimizer"])
            self.seconds, self.steps = found["seconds"], found["steps"]
            self.saved = self.seconds

    def running(self) -> bool:
        """Whether time is left."""
        return self.seconds < self.end

    def step(self, loss: Tensor, started: float) -> None:
        """One step of the optimiser, at a rate that falls to zero over the minutes; saved now and then."""
        warm, left = min(1.0, (self.steps + 1) / 50), max(0.02, 1 - self.seconds / self.end)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * warm * left
        self.optimizer.zero_grad()
        if not loss.isfinite():
            raise ValueError(f"{self.path.stem}: the loss is {float(loss)} at step {self.steps}")
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 5.0)
        self.optimizer.step()
        self.steps += 1
        self.seconds += time.process_time() - started
        if self.seconds - self.saved > SAVE_SECONDS or not self.running():
            self.save()

    def save(self) -> None:
        """Write the state, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {"weights": self.modules.state_dict(), "optimizer": self.optimizer.state_dict()}
        part = self.path.with_suffix(".part")
        torch.save(state | {"seconds": self.seconds, "steps": self.steps}, part)
        part.replace(self.path)
        self.saved = self.seconds


def optimizer_of(module: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW; `initial_lr` is what `Clock` scales."""
    group = {"params": [each for each in module.parameters() if each.requires_grad], "lr": rate, "initial_lr": rate}
    return torch.optim.AdamW([group], weight_decay=1e-4)


def train_detector(detector: MaskRCNN, data: PanopticData, path: Path, minutes: float) -> Clock:
    """Train the detector by torchvision's own losses."""
    clock = Clock(path, detector, optimizer_of(detector, 1e-3), minutes)
    stream = batches(data, clock.steps)
    detector.train()
    while clock.running():
        started = time.process_time()
        images, targets = next(stream)
        if not all(len(each.classes) for each in targets):
            continue
        losses = detector(images, [as_torchvision(each) for each in targets])
        clock.step(torch.stack(list(losses.values())).sum(), started)
        if clock.steps % 25 == 0:
            print(
                f"detector {clock.steps} {clock.seconds:.0f} s",
                {k: round(v.item(), 3) for k, v in losses.items()},
                flush=True,
            )
    return clock


def head_of(num_things: int, num_stuff: int) -> PanopticHead:
    """On P2 enlarged by two, since nuclei are small: d = 2, as in our own network for photographs."""
    return PanopticHead(
        in_channels=WIDTH,
        num_things=num_things,
        num_stuff=num_stuff,
        stride=2,
        label_stride=1,
        learn_semantic=True,
        channels=64,
        width=WIDTH,
        rope=7,
    )


@torch.no_grad()
def frozen_outputs(detector: MaskRCNN, images: list[Tensor]) -> tuple[Tensor, list[Detections]]:
    """Features for the head, and the detections with masks of 28 x 28 as logits; the detector in evaluation mode."""
    batch, _ = detector.transform(images)
    levels = detector.backbone(batch.tensors)
    proposals, _ = detector.rpn(batch, levels)
    found, _ = detector.roi_heads(levels, proposals, batch.image_sizes)
    detections = [
        Detections(each["boxes"], each["scores"], each["labels"] - 1, torch.logit(each["masks"][:, 0], 1e-4))
        for each in found
    ]
    features = nn.functional.interpolate(levels["0"], scale_factor=2, mode="bilinear", align_corners=False)
    return features, detections


def train_head(head: PanopticHead, detector: MaskRCNN, data: PanopticData, path: Path, minutes: float) -> Clock:
    """Train the head alone on the frozen detector."""
    detector.eval().requires_grad_(False)
    clock = Clock(path, head, optimizer_of(head, 1e-3), minutes)
    stream = batches(data, 1_000_000 + clock.steps)
    head.train()
    while clock.running():
        started = time.process_time()
        images, targets = next(stream)
        features, detections = frozen_outputs(detector, images)
        losses = head(features, None, detections, targets)
        clock.step(torch.stack(list(losses.values())).sum(), started)
        if clock.steps % 25 == 0:
            say("head", clock, losses)
    return clock


def say(name: str, clock: Clock, losses: Mapping[str, Tensor]) -> None:
    """One line of progress."""
    terms = ", ".join(f"{key} {value.item():.3f}" for key, value in losses.items())
    print(f"{name}: step {clock.steps}, {clock.seconds:.0f} s, {terms}", flush=True)


@torch.no_grad()
def score(head: PanopticHead, detector: MaskRCNN, data: PanopticData, limit: int | None) -> dict[str, PanopticQuality]:
    """Every way of making panoptic maps of the same outputs, on the same images, at their own size."""
    head.eval()
    config, names = (
        DataConfig(short_side=SIDE, max_side=2 * SIDE),
        ("masks alone", "heuristic", "potential", "affinity"),
    )
    found = {name: PanopticQuality(data.categories) for name in names}
    for index in range(len(data) if limit is None else min(limit, len(data))):
        sample = data[index]
        pixels = resize_image(sample.image, config)
        features, detections = frozen_outputs(detector, [pixels])
        size = (pixels.shape[1], pixels.shape[2])
        output = head(features, None, detections)
        background = torch.zeros_like(output.semantic)
        background[:, len(data.categories.things) :] = 1
        for name, quality in found.items():
            told = replace(output, semantic=background) if name == "masks alone" else output
            fusion = "heuristic" if name == "masks alone" else name
            [map_] = head.results(told, data.categories, [size], fusion, [sample.image.shape[:2]])
            quality.update(sample.truth, map_, sample.name)
    return found


def report(found: Mapping[str, PanopticQuality], clocks: Mapping[str, Clock], images: int) -> dict[str, Any]:
    """The figures in percent, with 95 % intervals, and what P and Psi add to the merged masks, in pairs."""
    scores = {name: {group: percent(each) for group, each in bootstrap_pq(q).items()} for name, q in found.items()}
    pairs = [("affinity", "heuristic"), ("affinity", "masks alone"), ("affinity", "potential")]
    differences = {
        f"{one} - {other}": {g: percent(d) for g, d in paired_bootstrap_pq(found[one], found[other]).items()}
        for one, other in pairs
    }
    trained = {name: {"seconds": round(clock.seconds), "steps": clock.steps} for name, clock in clocks.items()}
    return {"images": images, "trained": trained, "pq": scores, "paired": differences}


def percent(interval: Interval | None) -> list[float] | None:
    """Value, low, high."""
    return interval and [round(100 * each, 1) for each in (interval.value, interval.low, interval.high)]


def main() -> None:
    """Train what is missing, then score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--detector-minutes", type=float, default=15)
    parser.add_argument("--head-minutes", type=float, default=15)
    parser.add_argument("--images", type=int, help="score only the first so many")
    parser.add_argument("--out", type=Path, default=ROOT / "experiments" / "results" / "head_on_detector.json")
    parser.add_argument("--runs", type=Path, default=Path("runs/head_on_detector"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, val = (open_photos(str(args.data / split)) for split in ("train", "val"))
    things, stuff = len(train.categories.things), len(train.categories.stuff)
    torch.manual_seed(0)
    detector, head = detector_of(things), head_of(things, stuff)
    clocks = {"detector": train_detector(detector, train, args.runs / "detector.pt", args.detector_minutes)}
    clocks["head"] = train_head(head, detector, train, args.runs / "head.pt", args.head_minutes)
    found = score(head, detector, val, args.images)
    record = report(found, clocks, len(found["affinity"]))
    write_json(args.out, record, indent=1)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
