"""At equal training time, does the affinity head pay? Table 1's models on scenes, each given the time of B or of D.

A, A+, C, C+ take more iterations than B and D, whose step costs more (`COST`, by `benchmarks/steps.py --rope`).
`A then B` and `C then D` train without the head for two thirds of the time and with it for the rest. `--times 2` gives
everything twice the time. The head has RoPE, the winner of `positional_encodings.py`. Scored on the validation scenes,
so that those of the tables stay unseen; a record per training.

    python experiments/equal_time.py --times 1 2 4 --seeds 0 1 2        trains what is missing
    python experiments/equal_time.py --table                            the finished trainings
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from unipan.checkpoint import transfer
from unipan.config import Config
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.evaluation.hierarchical_bootstrap import SeededQuality
from unipan.models.network import PanopticNetwork
from unipan.reproduction.ablations import MODELS, ROPE_WAVELENGTHS, SCENE_SIZE, scenes_recipe
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.request import ExperimentData, open_experiment
from unipan.reproduction.tables import with_minus_signs
from unipan.training.session import build

ROOT = Path(__file__).resolve().parents[1]
ITERATIONS = 600
"""Of B and D at `--times 1`, as in the tables."""
COST = {"A": 1.0, "A+": 1.17, "B": 1.59, "C": 1.0, "C+": 1.54, "D": 1.84}
"""Seconds a step, relative to A for boxes and to C for masks."""
LATE = {"A then B": ("A", "B"), "C then D": ("C", "D")}
BESIDE = {"A": "B", "A+": "B", "A then B": "B", "C": "D", "C+": "D", "C then D": "D"}
"""With what a row is compared."""
ROWS = ("A", "A+", "A then B", "B", "C", "C+", "C then D", "D")
SHARE = 2 / 3
"""Of the time of a late start, before it."""


def config_of(model: str, seed: int, iterations: int) -> Config:
    """A model of Table 1 with RoPE instead of the sinusoidal encoding."""
    recipe = scenes_recipe()
    recipe = replace(recipe, affinity=replace(recipe.affinity, positional_encoding=0, rope=ROPE_WAVELENGTHS))
    base = MODELS[model].build(recipe)
    return replace(base, train=replace(base.train, seed=seed, iterations=iterations))


def length(model: str, times: float) -> int:
    """Iterations of a model in the time of B's or D's."""
    beside = BESIDE.get(model, model)
    return round(times * ITERATIONS * COST[beside] / COST[model])


def train(row: str, times: int, seed: int, runs: Path) -> ExperimentRecord:
    """One training, or two in a row, and the scores."""
    data = replace(open_experiment("scenes"), test=Scenes(VALIDATION_SEEDS, SCENE_SIZE))
    first, second = LATE.get(row, (None, row))
    folder = runs / f"{row.replace(' ', '-')}-t{times}-s{seed}"
    start = None
    if first is not None:
        start = folder / "first"
        before = config_of(first, seed, round(SHARE * length(first, times)))
        train_once(before, data, start, lambda: fresh(before, data, None), "cpu")
    config = config_of(second, seed, round((1 - SHARE if first else 1) * length(second, times)))
    trainer = train_once(config, data, folder / "second", lambda: fresh(config, data, start), "cpu")
    return replace(score(row, trainer, data), extra={"times": times})


def fresh(config: Config, data: ExperimentData, start: Path | None) -> PanopticNetwork:
    """The network before its first step: random, or with what an earlier training has learnt."""
    torch.manual_seed(config.train.seed)
    network = build(config, data.train.categories, None)[0]
    if start is not None:
        transfer(network, start / "last.safetensors", data.train.categories)
    return network


def table(folder: Path) -> str:
    """PQ by time, B or D minus each row at the same time, and late starts minus A or C, paired over common seeds."""
    found: dict[tuple[str, int], dict[int, ExperimentRecord]] = {}
    for record in load_records(folder):
        found.setdefault((record.model, record.extra["times"]), {})[record.seed] = record
    lines = [
        "| row | time | iterations | PQ per seed | PQ | B or D minus this | this minus A or C |",
        "|---" * 7 + "|",
    ]
    for times in sorted({times for _, times in found}):
        for row in (each for each in ROWS if (each, times) in found):
            records = found[row, times]
            quality = _quality([records[seed] for seed in sorted(records)])
            ahead = _difference(found.get((BESIDE.get(row, ""), times), {}), records)
            gain = _difference(records, found.get((LATE[row][0], times), {})) if row in LATE else ""
            seeds = ", ".join(f"{100 * each[0]:.1f}" for each in quality.each["All"])
            steps = (
                str(length(row, times))
                if row not in LATE
                else " + ".join(
                    str(length(model, times * share))
                    for model, share in zip(LATE[row], (SHARE, 1 - SHARE), strict=True)
                )
            )
            mean = f"{100 * quality.mean('All'):.1f}"
            lines.append(f"| {row} | {times} | {steps} | {seeds} | {mean} | {ahead} | {gain} |")
    return with_minus_signs("\n".join(lines))


def _difference(ours: dict[int, ExperimentRecord], theirs: dict[int, ExperimentRecord]) -> str:
    """Of PQ, with its interval and the number of seeds, bold where it is clear of zero."""
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return ""
    difference = _quality([ours[seed] for seed in common]).minus(_quality([theirs[seed] for seed in common]))
    assert difference is not None
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    bold = "**" if low > 0 or high < 0 else ""
    return f"{bold}{value:+.1f} ({low:.1f}, {high:.1f}){bold}, {len(common)} seed{'s' * (len(common) > 1)}"


def _quality(records: list[ExperimentRecord]) -> SeededQuality:
    """Of the argmax of P, which is Psi without the head."""
    counts = [each.counts("affinity" if "affinity" in each.fusions else "potential") for each in records]
    return SeededQuality.of(np.stack(counts), records[0].classes)


def main() -> None:
    """Train what is missing, the shortest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--times", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=Path, default=Path("runs/equal_time"))
    parser.add_argument("--out", type=Path, default=ROOT / "experiments" / "results" / "equal_time")
    parser.add_argument("--table", action="store_true", help="only print the finished trainings")
    args = parser.parse_args()
    if args.table:
        print(table(args.out))
        return
    torch.set_num_threads(1)
    done = {(each.model, each.extra["times"], each.seed) for each in load_records(args.out)}
    for times in args.times:
        for seed in args.seeds:
            for row in (each for each in args.rows if (each, times, seed) not in done):
                record = train(row, times, seed, args.runs)
                record.save(args.out)
                print(f"{row}, time {times}, seed {seed}: PQ {100 * _quality([record]).mean('All'):.1f}", flush=True)


if __name__ == "__main__":
    main()
