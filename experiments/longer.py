"""Does the argmax of Psi catch up with the heuristic fusion? C on scenes: longer training, other losses, coarser masks.

Scored on the validation scenes, so that those of the tables stay unseen. Prints one JSON line per training.

    python experiments/longer.py --iterations 1800 --semantic lovasz --masks both --out runs/longer
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from photo_recipes import row

from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.reproduction.ablations import MODELS, SCENE_SIZE, scenes_recipe
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.request import open_experiment
from unipan.training.session import build

KINDS = ("cross_entropy", "lovasz", "both")


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), default="C")
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--semantic", choices=KINDS, default="cross_entropy", help="loss of V")
    parser.add_argument("--masks", choices=KINDS, default="lovasz", help="loss of M")
    parser.add_argument("--cells", type=int, default=28, help="side of M")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/longer"))
    args = parser.parse_args()
    data = replace(open_experiment("scenes"), test=Scenes(VALIDATION_SEEDS, SCENE_SIZE))
    config = MODELS[args.model].build(scenes_recipe())
    config = replace(config, loss=replace(config.loss, semantic_kind=args.semantic, mask_kind=args.masks))
    config = replace(config, detection=replace(config.detection, mask_size=args.cells))
    config = replace(config, train=replace(config.train, seed=args.seed, iterations=args.iterations))
    variant = f"V by {args.semantic}, M by {args.masks}" + (f", of {args.cells} cells" if args.cells != 28 else "")
    folder = args.out / f"{args.model}-{args.semantic}-{args.masks}-{args.cells}-s{args.seed}-i{args.iterations}"
    torch.manual_seed(args.seed)
    trainer = train_once(config, data, folder, lambda: build(config, data.train.categories, None)[0], "auto")
    print(json.dumps(row(variant, score(args.model, trainer, data)) | {"images": len(data.test)}))


if __name__ == "__main__":
    main()
