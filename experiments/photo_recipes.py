"""How models A and B should train on photographs: crops, weight of the panoptic loss, loss on Psi, positional encoding.

Every variant starts from the bundled checkpoint and is scored on training images that are held out (one of --every), so
that the validation images stay unseen until the tables are made.

    python experiments/photo_recipes.py ../shared/data/facades --every 8 --iterations 300 --out runs/photo_recipes
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unipan.config import AffinityConfig, Config
from unipan.datasets.panoptic_data import Subset
from unipan.datasets.sources import open_photos
from unipan.datasets.statistics import thing_statistics
from unipan.evaluation.pq_scores import GROUPS, PanopticScores
from unipan.presets import finetune
from unipan.reproduction.ablations import MODELS, photos_recipe
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord
from unipan.reproduction.request import ExperimentData
from unipan.training.session import build, fit_to_data

Change = Callable[[Config], Config]


def crops(short_side: int, side: int, batch: int) -> Change:
    """Square crops of images of another size."""

    def change(config: Config) -> Config:
        data = replace(config.data, short_side=short_side, max_side=2 * short_side, crop=(side, side))
        return replace(config, data=data, train=replace(config.train, batch_size=batch))

    return change


def losses(panoptic: float, potential: float) -> Change:
    """Weights of the panoptic loss on P and on Psi, where the model has them."""

    def change(config: Config) -> Config:
        if not config.loss.panoptic:
            return config
        weights = replace(config.loss, panoptic=panoptic, potential=potential if config.affinity.enabled else 0.0)
        return replace(config, loss=weights)

    return change


def rope(wavelengths: int) -> Change:
    """RoPE, where the model has affinities."""

    def change(config: Config) -> Config:
        return replace(config, affinity=replace(config.affinity, rope=wavelengths if config.affinity.enabled else 0))

    return change


def frozen(config: Config) -> Config:
    """Batch norm, stem and res2 fixed at the values of the checkpoint."""
    return replace(config, backbone=replace(config.backbone, frozen=True, weights="checkpoint"))


def semantic(kind: str) -> Change:
    """The loss of V."""
    return lambda config: replace(config, loss=replace(config.loss, semantic_kind=kind))  # type: ignore[arg-type]


def cells(side: int) -> Change:
    """Masks M of side x side cells."""
    return lambda config: replace(config, detection=replace(config.detection, mask_size=side))


PLAIN, BESIDE = losses(1, 0), losses(1, 1)
TABLE_1 = (crops(512, 384, 2), PLAIN, rope(7), frozen)
"""What the table of nuclei is made with."""
VARIANTS: dict[str, tuple[Change, ...]] = {
    "192 of 384": (crops(384, 192, 4), PLAIN),
    "192 of 384, loss on Psi too": (crops(384, 192, 4), BESIDE),
    "192 of 384, weight .25": (crops(384, 192, 4), losses(0.25, 0)),
    "192 of 384, weight .25, loss on Psi too": (crops(384, 192, 4), losses(0.25, 0.25)),
    "384 of 384, one image a step": (crops(384, 384, 1), PLAIN),
    "224 of 256": (crops(256, 224, 3), PLAIN),
    "224 of 256, loss on Psi too": (crops(256, 224, 3), BESIDE),
    "224 of 256, weight .25": (crops(256, 224, 3), losses(0.25, 0)),
    "320 of 384, two a step": (crops(384, 320, 2), PLAIN),
    "320 of 384, two a step, rotary": (crops(384, 320, 2), PLAIN, rope(7)),
    "320 of 384, two a step, rotary, loss on Psi too": (crops(384, 320, 2), BESIDE, rope(7)),
    "384 of 512, two a step": (crops(512, 384, 2), PLAIN),
    "384 of 512, two a step, rotary": (crops(512, 384, 2), PLAIN, rope(7)),
    "384 of 512, two a step, frozen": (crops(512, 384, 2), PLAIN, frozen),
    "384 of 512, two a step, rotary, frozen": TABLE_1,
    "384 of 512, two a step, rotary, frozen, V by Lovász": (*TABLE_1, semantic("lovasz")),
    "384 of 512, two a step, rotary, frozen, V by both": (*TABLE_1, semantic("both")),
    "384 of 512, two a step, rotary, frozen, masks of 8 cells": (*TABLE_1, cells(8)),
    "256 of 512": (crops(512, 256, 4), PLAIN),
    "256 of 512, rotary": (crops(512, 256, 4), PLAIN, rope(7)),
    "256 of 512, rotary, frozen": (crops(512, 256, 4), PLAIN, rope(7), frozen),
}
"""Size, crop, images per step, losses and positional encoding (none unless it is named; `rotary` is RoPE)."""


def run(name: str, model: str, args: argparse.Namespace) -> dict[str, Any]:
    """One training and its scores on the held-out images."""
    photos = open_photos(str(args.data / "train"))
    held = range(3, len(photos), args.every)
    train = Subset(photos, [index for index in range(len(photos)) if index not in held])
    data = ExperimentData(args.data.name, train, train, Subset(photos, held[:: args.score_every]))
    recipe = replace(photos_recipe(), backbone=finetune().backbone, affinity=AffinityConfig())
    config = MODELS[model].build(recipe)
    for change in VARIANTS[name]:
        config = change(config)
    config = fit_to_data(config, thing_statistics(train, config.data, stride=config.decoder.stride))
    config = replace(config, train=replace(config.train, seed=args.seed, iterations=args.iterations))
    torch.manual_seed(args.seed)
    folder = args.out / f"{args.data.name}-{model}-{name.replace(' ', '-')}-s{args.seed}-i{args.iterations}"
    trainer = train_once(config, data, folder, lambda: build(config, photos.categories, "scenes")[0], "auto")
    return row(name, score(model, trainer, data)) | {"images": len(data.test)}


def row(name: str, record: ExperimentRecord) -> dict[str, Any]:
    """The scores of a record that are compared, in percent."""
    found: dict[str, Any] = {"data": record.data, "model": record.model, "variant": name, "seed": record.seed}
    found["iterations"] = record.iterations
    for fusion in record.fusions:
        scores = PanopticScores.of(record.classes, record.counts(fusion).sum(axis=0))
        found[fusion] = {group.lower(): round(100 * q.pq, 1) for group in GROUPS if (q := scores[group]) is not None}
    found["miou"] = round(100 * record.semantic["mean"], 1)
    found["ap_boxes"] = None if record.ap is None else round(100 * (record.ap["box"] or 0), 1)
    return found | {"minutes": record.facts["training_minutes"]}


def main() -> None:
    """Train the chosen variants and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder with train/")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--models", nargs="*", default=["A", "B"])
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--every", type=int, default=7)
    parser.add_argument("--score-every", type=int, default=1, help="score only every Nth held-out image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/photo_recipes"))
    args = parser.parse_args()
    for name in args.variants:
        for model in args.models:
            print(json.dumps(run(name, model, args)), flush=True)


if __name__ == "__main__":
    main()
