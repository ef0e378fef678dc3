"""What the affinity head costs: training steps of Table 1's models, in turn on the same batches of drawn scenes.

A and C have no affinity head, B and D have one; C and D have masks. A+ and C+ have the panoptic loss, on Psi, but no
affinity head: what B and D cost beyond them is the head alone. `B early` and `D early` are B and D before a late start
(`train.panoptic_from`): V and the losses of the detections alone, where A and C also predict detections and Psi.
`C every class` and `D every class` make the masks of all classes, as torchvision does, not of each box's alone. In
every round each model takes one step, so that a busy machine slows all of them. Medians count; the spread is that of
the ratio within single rounds (quartiles). The first rounds only train: how many boxes a network finds decides how many
channels Psi has. `--full` takes the preset `cityscapes` at full width on one crop of 512 x 512 of a drawn street, from
random weights.

    python benchmarks/steps.py --full --rounds 5 --first 1
    python benchmarks/steps.py [--rounds 40] [--first 40] [--models A B] [--threads 1] [--json FILE]
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from recipes import open_sample

from unipan.build import build_criterion, build_network
from unipan.config import Config
from unipan.datasets.loading import collate_training
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import TrainingTransform
from unipan.models.detection import head
from unipan.ops.mask_logits import class_mask_logits
from unipan.panoptic.categories import Categories
from unipan.presets import cityscapes
from unipan.reproduction.ablations import MODELS, ROPE_WAVELENGTHS, SCENE_SIZE, scenes_recipe
from unipan.structures import ImageBatch, Target
from unipan.training.schedule import make_optimizer, set_learning_rate
from unipan.training.step import TrainingStep, runs_bf16

FULL_CROP = 512
MODELS_OF_TABLE_1 = ("A", "A+", "B", "C", "C+", "D")
EARLY = {"B early": "B", "D early": "D"}
EVERY_CLASS = {"C every class": "C", "D every class": "D"}
VARIANTS = EARLY | EVERY_CLASS
PAIRS = (
    ("C every class", "C"),
    ("D every class", "D"),
    ("B early", "B"),
    ("D early", "D"),
    ("A+", "B"),
    ("C+", "D"),
    ("A", "B"),
    ("C", "D"),
)
"""Without and with the affinity head; the last line compares the last two pairs."""


class Model:
    """One network in training, and the seconds of each of its steps."""

    def __init__(
        self, config: Config, categories: Categories, *, early: bool = False, every_class: bool = False
    ) -> None:
        torch.manual_seed(0)
        network = build_network(config, categories).to(memory_format=torch.channels_last)
        for buffer_name, buffer in network.named_buffers():
            if buffer_name.endswith("bn3.weight"):  # a hundred layers of random residuals would overflow
                buffer.fill_(0.1)
        bf16 = runs_bf16(config.train.precision, torch.device("cpu"))
        self.step = TrainingStep(network, build_criterion(config), bf16).train()
        self.step.panoptic = not early
        self.mask_logits = partial(class_mask_logits, plain=True if every_class else None)
        self.optimizer = make_optimizer(self.step, config.train)
        self.config = config
        self.seconds: list[float] = []

    def take(self, number: int, images: ImageBatch, targets: list[Target]) -> None:
        """One step."""
        start = time.perf_counter()
        set_learning_rate(self.optimizer, number, self.config.train)
        self.optimizer.zero_grad(set_to_none=True)
        with mock.patch.object(head, "class_mask_logits", self.mask_logits):
            self.step.criterion.total(self.step(images, targets)).backward()
        torch.nn.utils.clip_grad_norm_(self.step.parameters(), 10.0)  # a few steps from scratch may be wild
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)


def batches(config: Config, data: PanopticData, count: int) -> list[tuple[ImageBatch, list[Target]]]:
    """The first `count` batches, drawn before anything is timed."""
    transform, size, found = TrainingTransform(config.data, data.categories), config.train.batch_size, []
    for number in range(count):
        parts = []
        for index in range(number * size, (number + 1) * size):
            torch.manual_seed(index)
            image, target = transform(data[index % len(data)])
            parts.append((image, f"scene {index}", target))
        found.append(collate_training(parts))
    return found


def recipe_and_data(full: bool, rope: bool, rounds: int) -> tuple[Config, PanopticData]:
    """What all models share."""
    if not full:
        recipe = scenes_recipe()
        if rope:
            affinity = replace(recipe.affinity, positional_encoding=0, rope=ROPE_WAVELENGTHS)
            recipe = replace(recipe, affinity=affinity)
        return recipe, Scenes(range(rounds * recipe.train.batch_size), size=SCENE_SIZE)
    base = cityscapes()
    data = replace(base.data, short_side=FULL_CROP, max_side=2 * FULL_CROP, scale=(1.0, 1.0), crop=(FULL_CROP,) * 2)
    recipe = replace(base, data=data, train=replace(base.train, batch_size=1))
    return recipe, open_sample(recipe, Path(), FULL_CROP, 2 * FULL_CROP)


def ratio(found: dict[str, list[float]], one: str, other: str) -> dict[str, float]:
    """Median of `other` over median of `one`, with the quartiles of the ratio within a round."""
    each = [b / a for a, b in zip(found[one], found[other], strict=True)]
    low, _, high = statistics.quantiles(each, n=4)
    return {"ratio": statistics.median(found[other]) / statistics.median(found[one]), "low": low, "high": high}


def main() -> None:
    """Train in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--first", type=int, default=40, help="rounds before those that are timed")
    parser.add_argument("--models", nargs="*", choices=[*MODELS, *VARIANTS], default=[*MODELS_OF_TABLE_1, *EARLY])
    parser.add_argument("--full", action="store_true", help="cityscapes at full width, a crop of 512 x 512")
    parser.add_argument("--rope", action="store_true", help="RoPE instead of the sinusoidal encoding")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    total = args.first + args.rounds
    recipe, data = recipe_and_data(args.full, args.rope, total)
    seen = batches(recipe, data, total)
    models = {
        name: Model(
            MODELS[VARIANTS.get(name, name)].build(recipe),
            data.categories,
            early=name in EARLY,
            every_class=name in EVERY_CLASS,
        )
        for name in args.models
    }
    for number, (images, targets) in enumerate(seen):
        for model in models.values():
            model.take(number, images, targets)
    found = {name: model.seconds[args.first :] for name, model in models.items()}
    report: dict[str, Any] = {"milliseconds": {}, "ratios": {}}
    for name, seconds in found.items():
        low, middle, high = (1e3 * value for value in statistics.quantiles(seconds, n=4))
        report["milliseconds"][name] = {"median": middle, "low": low, "high": high}
        print(f"{name}: {middle:.0f} ms a step (quartiles {low:.0f}, {high:.0f})")
    line = []
    for one, other in PAIRS:
        if one in found and other in found:
            each = report["ratios"][f"{other}/{one}"] = ratio(found, one, other)
            print(f"{other}/{one} within a round: quartiles {each['low']:.2f}, {each['high']:.2f}")
            line.append(f"{other}/{one} {each['ratio']:.2f}")
    print("\n".join(filter(None, ["  ".join(line[:-2]), "  ".join(line[-2:])])))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
