"""The overfit check on real photographs with all 133 classes, crowds and void: can the network express the truth?

Trains on four photographs of `coco20` and scores the same four, with and without masks, variants B and C. It
overfits on purpose: this shows that the path from PNG to P is right, and nothing about unseen images.

    python experiments/overfit.py --data ../shared/data/coco20 --variant B --masks
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from unipan.analysis.ceiling import ceiling
from unipan.analysis.evaluate import evaluate
from unipan.build import build_network
from unipan.checkpoint import load_checkpoint, transfer
from unipan.config import Config, DataConfig, Fusion, PotentialConfig
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.panoptic_data import Subset
from unipan.datasets.statistics import thing_statistics
from unipan.inference import Segmenter
from unipan.presets import finetune, fit_detection
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer

IMAGES = (2, 6, 10, 16)
"""Positions in coco20: 28 things, a crowd, 24 stuff segments, up to 16 % void."""


def experiment(variant: str, masks: bool, iterations: int, seed: int, data: Subset) -> Config:
    """The finetune preset without augmentation, fitted to the four images."""
    base = finetune()
    view = DataConfig(short_side=256, max_side=512, flip=0.0)
    seen = thing_statistics(data, view, base.decoder.stride)
    detection = fit_detection(base.detection, seen.per_image[1], seen.side, seen.aspect)
    train = replace(
        base.train,
        iterations=iterations,
        batch_size=4,
        lr=1.5e-3,
        ema_decay=0.98,
        validations=4,
        validation_images=0,
        seed=seed,
    )
    return replace(
        base,
        name="overfit",
        potential=PotentialConfig(variant),  # type: ignore[arg-type]
        detection=replace(detection, masks=masks),
        data=view,
        train=train,
    )


def main() -> None:
    """Train one variant and write its record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/coco20"))
    parser.add_argument("--variant", choices=("B", "C"), default="B")
    parser.add_argument("--masks", action="store_true")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--init", default=None, help="a checkpoint to start from; from scratch without")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/overfit"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = Subset(CocoPanoptic(args.data), IMAGES)
    config = experiment(args.variant, args.masks, args.iterations, args.seed, data)
    name = f"coco4-{args.variant}-{'masks' if args.masks else 'mask-free'}"
    torch.manual_seed(args.seed)
    network = build_network(config, data.categories)
    if args.init:
        transfer(network, args.init, data.categories)
    start = time.perf_counter()
    fabric = Fabric(accelerator="cpu", devices=1)
    record = RunRecord(Path("runs") / name, every=25)
    record.say(str(ceiling(data, config.data, stride=config.decoder.stride)))
    Trainer(fabric, config, data, data, record, network).run()
    seconds = time.perf_counter() - start
    loaded = load_checkpoint(Path("runs") / name / "last.safetensors")
    segmenter = Segmenter(loaded.network, loaded.config, loaded.categories, {}, torch.device("cpu"))
    fusions: tuple[Fusion, ...] = ("affinity", "potential") + (("heuristic",) if args.masks else ())
    found = evaluate(segmenter, data, fusions)
    row = {"images": [data[i].name for i in range(len(data))], "iterations": args.iterations, "seed": args.seed}
    row |= {
        "init": args.init or "scratch",
        "seconds": round(seconds),
        "ceiling": str(ceiling(data, config.data, stride=config.decoder.stride)),
    }
    for fusion, quality in found.quality.items():
        row[fusion] = {k: v for k, v in quality.compute().to_json().items() if k != "per_class"}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
