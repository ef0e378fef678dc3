"""Few photographs, few steps, few things on much background: what makes things appear sooner?

Every variant fine-tunes on the same photographs with the same seeds; a third, two thirds and all of the steps later it
is scored on the same validation images. A log per training is kept.

    python experiments/few_things.py run ../shared/data/nuclei --photographs 40 --iterations 60 --seeds 0 1 2
    python experiments/few_things.py table
"""

import argparse
import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from photo_start import config_of, fresh, spread

from unipan.config import Config
from unipan.datasets.sources import open_photos
from unipan.reproduction.experiment import train_once
from unipan.reproduction.request import ExperimentData

RESULTS = Path(__file__).resolve().parents[1] / "experiments" / "results" / "few_things"
VALIDATIONS = 3


def lovasz_v(config: Config) -> Config:
    """The Lovász softmax, which weighs classes alike, in addition to the cross entropy."""
    return replace(config, loss=replace(config.loss, semantic_kind="both"))


def around_things(config: Config) -> Config:
    """Half of the crops lie around a thing."""
    return replace(config, data=replace(config.data, crop_around_things=0.5))


def faster(config: Config) -> Config:
    """Three times the learning rate."""
    return replace(config, train=replace(config.train, lr=3 * config.train.lr))


VARIANTS: dict[str, tuple[str, Callable[[Config], Config]]] = {
    "finetune": ("scenes", lambda config: config),
    "lovasz-v": ("scenes", lovasz_v),
    "around-things": ("scenes", around_things),
    "both": ("scenes", lambda config: lovasz_v(around_things(config))),
    "faster": ("scenes", faster),
    "photos": ("photos", lambda config: config),
    "photos-faster": ("photos", faster),
    "photos-both": ("photos", lambda config: lovasz_v(around_things(config))),
    "photos-kind": ("photos-kind", lambda config: config),
}
"""From which start of `photo_start.py`, and what is changed."""


def run(args: argparse.Namespace) -> None:
    """Train what has no log yet."""
    photos, val = open_photos(str(args.data / "train")), open_photos(str(args.data / "val"))
    train = spread(photos, args.photographs)
    data = ExperimentData(args.data.name, train, val, val)  # validations are of val
    for seed in args.seeds:
        for name in args.variants:
            kept = RESULTS / f"{args.data.name}-{args.photographs}-{name}-s{seed}.csv"
            if kept.exists():
                continue
            start, change = VARIANTS[name]
            config, init = config_of(start, train)
            config = change(config)
            if args.short_side:
                sides = {"short_side": args.short_side, "max_side": 2 * args.short_side}
                config = replace(config, data=replace(config.data, **sides))
            scored = {"validations": VALIDATIONS, "validation_images": args.score}
            plan = replace(config.train, seed=seed, iterations=args.iterations, **scored)
            folder = args.runs / kept.stem
            train_once(replace(config, train=plan), data, folder, partial(fresh, start, config, init, train), "cpu")
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "log.csv", kept)
            print(kept.stem, [row["pq_things"] for row in validations(kept)], flush=True)


def validations(path: Path) -> list[dict[str, str]]:
    """The rows of a log that have a PQ."""
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["pq"]]


def table() -> str:
    """PQ of things at every validation: the mean over the seeds, and each."""
    found: dict[str, list[Path]] = {}
    for path in sorted(RESULTS.glob("*-s*.csv")):
        found.setdefault(path.stem.rpartition("-s")[0], []).append(path)
    lines = ["| data, photographs, variant | steps: PQ of things (each seed) | P at the end |", "|---|---|---|"]
    for name, paths in found.items():
        runs = [validations(path) for path in paths]
        cells = []
        for rows in zip(*runs, strict=True):
            each = [100 * float(row["pq_things"]) for row in rows]
            cells.append(f"{rows[0]['iteration']}: {np.mean(each):.1f} ({', '.join(f'{one:.1f}' for one in each)})")
        last = np.mean([100 * float(rows[-1]["pq"]) for rows in runs])
        lines.append(f"| {name} | {'; '.join(cells)} | {last:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """`run` or `table`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    running = steps.add_parser("run")
    running.add_argument("data", type=Path, help="a folder with train/ and val/")
    running.add_argument("--photographs", type=int, default=40, help="evenly spread over train/")
    running.add_argument("--short-side", type=int, default=512, help="of the images, in pixels; 0 as in `finetune`")
    running.add_argument("--iterations", type=int, default=60)
    running.add_argument("--score", type=int, default=20, help="validation images")
    running.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    running.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    running.add_argument("--runs", type=Path, default=Path("runs/few_things"))
    steps.add_parser("table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.step == "run":
        run(args)
    else:
        print(table())


if __name__ == "__main__":
    main()
