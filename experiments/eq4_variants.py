"""The table of docs/design_choices.md: which variant of Eq. 4 scores best when trained end to end, on scenes.

A base network without an affinity head is trained once per seed; every variant continues from it, with all parts
trained jointly and the same iterations, order and seeds. The choice is made on seeds held out of the training range;
`--final` scores the validation seeds once. Each finished run is kept as a JSON file
and skipped when the command runs again.

    python experiments/eq4_variants.py --out experiments/results/eq4_variants --seeds 0 1
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from unipan.analysis.evaluate import evaluate
from unipan.build import build_network
from unipan.checkpoint import load_checkpoint, transfer
from unipan.config import AffinityConfig, Config
from unipan.datasets.scenes.generator import Scenes
from unipan.inference import Segmenter
from unipan.presets import scenes
from unipan.reproduction.tables import with_minus_signs
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer

SIZE = (96, 192)
TRAIN = range(990_000)
CHOOSE = range(990_000, 990_120)
VALIDATE = range(5_000_000, 5_000_120)

WINNER = AffinityConfig()
VARIANTS: dict[str, AffinityConfig | None] = {
    "control: no affinity, no panoptic loss": None,
    "control: no affinity, panoptic loss on Psi": replace(WINNER, enabled=False),
    "literal: relu, none, P as logits": replace(WINNER, activation="relu", normalise="none", temperature=0.0),
    "row-stochastic: softmax, softmax, log P": replace(
        WINNER, activation="softmax", normalise="softmax", temperature=0.0, loss="log"
    ),
    "early trial: elu, segment, temperature": replace(WINNER, activation="elu", normalise="segment", temperature=10.0),
    "identity, segment, temperature": replace(WINNER, activation="identity", normalise="segment", temperature=10.0),
    "activation relu": replace(WINNER, activation="relu"),
    "activation softmax": replace(WINNER, activation="softmax"),
    "normalise none": replace(WINNER, normalise="none"),
    "normalise pixels": replace(WINNER, normalise="pixels"),
    "normalise softmax": replace(WINNER, normalise="softmax"),
    "no temperature": replace(WINNER, temperature=0.0),
    "relu, log P": replace(WINNER, activation="relu", loss="log"),
}

# The recipe without what came after this study: d = 4 as in the paper, no loss on Psi, NMS at 0.5.
RECIPE = replace(
    scenes(),
    decoder=replace(scenes().decoder, stride=4),
    detection=replace(scenes().detection, nms_threshold=0.5),
    matching=replace(scenes().matching, stride=4),
    loss=replace(scenes().loss, potential=0.0),
)
FINER = replace(RECIPE, decoder=replace(RECIPE.decoder, stride=2), matching=replace(RECIPE.matching, stride=2))
# Choices that do not concern the affinity, each changed on its own from the winner.
CHOICES: dict[str, Config] = {
    "mask loss: cross entropy": replace(RECIPE, loss=replace(RECIPE.loss, mask_kind="cross_entropy")),
    "mask loss: both": replace(RECIPE, loss=replace(RECIPE.loss, mask_kind="both")),
    "panoptic loss at stride 2": replace(RECIPE, matching=replace(RECIPE.matching, stride=2)),
    "d = 2, panoptic loss at stride 2": FINER,
    "d = 2, panoptic loss at stride 2, loss on Psi too": replace(FINER, loss=replace(FINER.loss, potential=1.0)),
}


def experiment(base: Config, seed: int, iterations: int, lr: float, batch: int) -> Config:
    """The scenes recipe at small size."""
    train = replace(
        base.train,
        iterations=iterations,
        seed=seed,
        lr=lr,
        batch_size=batch,
        ema_decay=0.99,
        validations=1,
        validation_images=4,
    )
    detection = replace(base.detection, anchor_sizes=(12, 21, 36, 63, 108), roi_canonical=60)
    return replace(base, train=train, detection=detection)


def with_affinity(affinity: AffinityConfig | None) -> Config:
    """The scenes recipe with one variant of Eq. 4; None is the paper's model C."""
    base = RECIPE
    if affinity is None:
        return replace(base, affinity=replace(base.affinity, enabled=False), loss=replace(base.loss, panoptic=0.0))
    return replace(base, affinity=affinity)


def train(config: Config, folder: Path, init: Path | None) -> Path:
    """Train one model; returns its checkpoint."""
    fabric = Fabric(accelerator="cpu", devices=1)
    data = Scenes(TRAIN, SIZE)
    torch.manual_seed(config.train.seed)
    network = build_network(config, data.categories)
    if init is not None:
        transfer(network, init, data.categories)
    record = RunRecord(folder, every=50, quiet=True)
    Trainer(fabric, config, data, Scenes(CHOOSE, SIZE), record, network).run()
    return folder / "last.safetensors"


def score(checkpoint: Path, seeds: range) -> dict[str, dict[str, float]]:
    """PQ of all, things and stuff, per fusion, in percent."""
    loaded = load_checkpoint(checkpoint)
    segmenter = Segmenter(loaded.network, loaded.config, loaded.categories, {}, torch.device("cpu"))
    found = evaluate(segmenter, Scenes(seeds, SIZE), ("affinity", "potential"))
    table = {}
    for fusion, quality in found.quality.items():
        scores = quality.compute()
        table[fusion] = {group: round(100 * scores[group].pq, 2) for group in ("All", "Things", "Stuff")}
    return table


def table(out: Path) -> str:
    """The finished rows as a Markdown table: mean over the seeds, each seed's PQ, P minus its own Psi, and PQ on the
    validation seeds."""
    rows: dict[str, list[dict]] = {}
    for name in [*VARIANTS, *CHOICES]:
        rows[name] = [json.loads(file.read_text()) for file in sorted(out.glob("*.json")) if _reads(file, name)]
    lines = ["| reading | PQ | things | stuff | PQ per seed | own Psi | P - Psi | held out |", "|---" * 8 + "|"]
    for name, found in rows.items():
        if not found:
            continue
        p = [row["chosen_on"]["affinity"] for row in found]
        psi = [row["chosen_on"]["potential"]["All"] for row in found]
        means = [sum(each[group] for each in p) / len(p) for group in ("All", "Things", "Stuff")]
        seeds = ", ".join(f"{each['All']:.1f}" for each in p)
        own = sum(psi) / len(psi)
        final = [row["validation"]["affinity"]["All"] for row in found if "validation" in row]
        held_out = f"{sum(final) / len(final):.1f}" if final else ""
        cells = [f"{mean:.1f}" for mean in means] + [seeds, f"{own:.1f}", f"{means[0] - own:+.1f}", held_out]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return with_minus_signs("\n".join(lines))


def _reads(file: Path, name: str) -> bool:
    return json.loads(file.read_text()).get("reading") == name


def main() -> None:
    """Run what is missing, on one thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/eq4_variants"))
    parser.add_argument("--runs", type=Path, default=Path("runs/readings"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--base", type=int, default=600, help="iterations of the base, batch 8")
    parser.add_argument("--iterations", type=int, default=240, help="iterations of each variant, batch 4")
    parser.add_argument("--final", action="store_true", help="score the validation seeds too")
    parser.add_argument("--table", action="store_true", help="only print the finished rows")
    args = parser.parse_args()
    if args.table:
        print(table(args.out))
        return
    torch.set_num_threads(1)
    rows = {name: with_affinity(affinity) for name, affinity in VARIANTS.items()} | CHOICES
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        base = args.runs / f"base-{seed}" / "last.safetensors"
        if not base.exists():
            train(experiment(with_affinity(None), seed, args.base, 1.5e-3, 8), base.parent, None)
        for name, config in rows.items():
            slug = "".join(c if c.isalnum() else "-" for c in name)
            row_file = args.out / f"{slug}-{seed}.json"
            if row_file.exists() and not (args.final and "validation" not in row_file.read_text()):
                continue
            start = time.perf_counter()
            folder = args.runs / f"{slug}-{seed}"
            checkpoint = folder / "last.safetensors"
            if not row_file.exists():
                checkpoint = train(experiment(config, seed, args.iterations, 8e-4, 4), folder, base)
                row = {"reading": name, "seed": seed, "iterations": args.iterations, "base": args.base}
                row |= {"chosen_on": score(checkpoint, CHOOSE), "seconds": round(time.perf_counter() - start)}
            else:
                row = json.loads(row_file.read_text())
            if args.final:
                row["validation"] = score(checkpoint, VALIDATE)
            row_file.write_text(json.dumps(row, indent=1) + "\n")
            print(name, seed, row["chosen_on"], row["seconds"], "s", flush=True)


if __name__ == "__main__":
    main()
