"""Deformable versus plain decoders (Sec. 3.2, A.1) at equal iterations, from scratch, on small scenes.

python experiments/deformable.py --iterations 250 --seed 0
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from eq4_variants import CHOOSE, RECIPE, SIZE, TRAIN, experiment, score
from lightning_fabric import Fabric

from unipan.build import build_network
from unipan.datasets.scenes.generator import Scenes
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer


def main() -> None:
    """Train both, score both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/deformable.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for deformable in (False, True):
        base = replace(RECIPE, decoder=replace(RECIPE.decoder, deformable=deformable))
        config = experiment(base, args.seed, args.iterations, 1.5e-3, 4)
        data = Scenes(TRAIN, SIZE)
        torch.manual_seed(args.seed)
        network = build_network(config, data.categories)
        folder = Path("runs/deformable") / ("deformable" if deformable else "plain")
        start = time.perf_counter()
        fabric = Fabric(accelerator="cpu", devices=1)
        record = RunRecord(folder, every=25, quiet=True)
        trainer = Trainer(fabric, config, data, Scenes(CHOOSE, SIZE), record, network)
        trainer.run()
        rows[folder.name] = {
            "iterations": args.iterations,
            "seed": args.seed,
            "seconds_per_iteration": round(trainer.progress.seconds / args.iterations, 2),
            "seconds": round(time.perf_counter() - start),
            "pq": score(folder / "last.safetensors", CHOOSE),
        }
        print(folder.name, rows[folder.name], flush=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
