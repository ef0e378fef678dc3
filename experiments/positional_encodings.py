"""Which positional encoding suits which form of Eq. 4: "alike *and* near" on scenes.

Model B of Table 1, with the loss on Psi that the recipe of scenes has; only the affinity head differs. The sinusoidal
encoding is concatenated with Q, RoPE rotates phi0(Q) and phi1(Q) by place; five wavelengths each, 8 to 128 cells, or
seven, 8 to 512, as in the recipes of photographs.
Scored on the validation scenes, so that those of the tables stay unseen; a record per training.

    python experiments/positional_encodings.py --seeds 0 1 2     trains what is missing, 5 minutes each on one core
    python experiments/positional_encodings.py --table           the finished trainings
    python experiments/positional_encodings.py --picture FILE    affinities of one pixel under five of them
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from unipan.config import AffinityConfig, Config
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.evaluation.hierarchical_bootstrap import SeededQuality
from unipan.inference import Segmenter
from unipan.reproduction.ablations import (
    MODELS,
    ROPE_WAVELENGTHS,
    SCENE_SIZE,
    SINUSOIDAL_WAVELENGTHS,
    scenes_recipe,
)
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.request import open_experiment
from unipan.reproduction.tables import with_minus_signs
from unipan.training.session import build
from unipan.visualization.heatmap import diverging
from unipan.visualization.panels import Panel, View, sheet

ROOT = Path(__file__).resolve().parents[1]
SINUSOIDAL, ROPE = {"positional_encoding": SINUSOIDAL_WAVELENGTHS}, {"rope": SINUSOIDAL_WAVELENGTHS}
HEADS: dict[str, AffinityConfig] = {
    "none, identity by mass": AffinityConfig(),
    "sinusoidal, identity by mass": AffinityConfig(**SINUSOIDAL),
    "sinusoidal, gelu mean": AffinityConfig(activation="gelu", normalise="pixels", **SINUSOIDAL),
    "sinusoidal, elu by mass": AffinityConfig(activation="elu", **SINUSOIDAL),
    "sinusoidal, relu by mass": AffinityConfig(activation="relu", **SINUSOIDAL),
    "rope, identity by mass": AffinityConfig(**ROPE),
    "rope of seven, identity by mass": AffinityConfig(rope=ROPE_WAVELENGTHS),
    "rope of five from 32 cells, identity by mass": AffinityConfig(rope=5, shortest_wavelength=32.0),
    "rope of four from 64 cells, identity by mass": AffinityConfig(rope=4, shortest_wavelength=64.0),
    "rope, gelu mean": AffinityConfig(activation="gelu", normalise="pixels", **ROPE),
}
"""The heads that are compared; the first is that of the bundled recipe until now."""


def config_of(name: str, seed: int, iterations: int) -> Config:
    """B with another head."""
    base = MODELS["B"].build(scenes_recipe())
    return replace(base, affinity=HEADS[name], train=replace(base.train, seed=seed, iterations=iterations))


def train(name: str, seed: int, iterations: int, runs: Path) -> ExperimentRecord:
    """One training and its scores."""
    data = replace(open_experiment("scenes"), test=Scenes(VALIDATION_SEEDS, SCENE_SIZE))
    config = config_of(name, seed, iterations)
    torch.manual_seed(seed)
    folder = runs / f"{plain_name(name).replace(' ', '-')}-s{seed}-i{iterations}"
    trainer = train_once(config, data, folder, lambda: build(config, data.train.categories, None)[0], "cpu")
    return score(plain_name(name), trainer, data)


def table(folder: Path) -> str:
    """P, Psi, their difference, and how well affinities tell an object from others of its class."""
    found: dict[str, dict[int, ExperimentRecord]] = {}
    for record in load_records(folder):
        found.setdefault(record.model, {})[record.seed] = record
    first = found[plain_name(next(iter(HEADS)))]
    lines = ["| encoding, form | PQ | per seed | P - own Ψ | minus the first | AUC within class |", "|---" * 6 + "|"]
    for name in HEADS:
        by_seed = found.get(plain_name(name), {})
        if not by_seed:
            continue
        records = [by_seed[seed] for seed in sorted(by_seed)]
        common = sorted(by_seed.keys() & first.keys())
        p, psi = (_quality(records, fusion) for fusion in ("affinity", "potential"))
        gain = p.minus(psi)
        ours, theirs = (_quality([each[seed] for seed in common], "affinity") for each in (by_seed, first))
        rise = ours.minus(theirs)
        assert gain is not None
        assert rise is not None
        seeds = ", ".join(f"{100 * row[0]:.1f}" for row in p.each["All"])
        cells = [name, f"{100 * p.mean('All'):.1f}", seeds]
        cells += [f"{100 * d.value:+.1f} ({100 * d.low:.1f}, {100 * d.high:.1f})" for d in (gain, rise)]
        lines.append(f"| {' | '.join([*cells, _auc(records)])} |")
    return with_minus_signs("\n".join(lines))


def _auc(records: list[ExperimentRecord]) -> str:
    values = [record.separation["class"]["affinity"] for record in records if record.separation]
    return ", ".join(f"{value:.2f}" for value in values)


def _quality(records: list[ExperimentRecord], fusion: str) -> SeededQuality:
    return SeededQuality.of(np.stack([record.counts(fusion) for record in records]), records[0].classes)


SHOWN = {
    "none": "none, identity by mass",
    "sines from 8 cells": "sinusoidal, identity by mass",
    "RoPE from 8 cells": "rope, identity by mass",
    "RoPE from 32 cells": "rope of five from 32 cells, identity by mass",
}
PICTURED = (1, 2, 4)
"""Validation scenes of the picture."""


def picture(runs: Path, iterations: int) -> np.ndarray:
    """Affinities of a pixel of the first large thing in a few validation scenes, seed 0."""
    segmenters = [
        Segmenter.load(runs / f"{plain_name(name).replace(' ', '-')}-s0-i{iterations}" / "last.safetensors")
        for name in SHOWN.values()
    ]
    scenes, rows = Scenes(VALIDATION_SEEDS, SCENE_SIZE), []
    for index in PICTURED:
        sample = scenes[index]
        thing = next(each for each in sample.truth if each.isthing and each.area > 150)
        ys, xs = np.nonzero(sample.truth.ids == thing.id)
        x, y = int(xs[len(xs) // 2]), int(ys[len(ys) // 2])
        view = View.whole(sample.image.shape[:2])
        cross = view.place(x, y)
        panels = [Panel(view.photo(sample.image), cross)]
        for segmenter in segmenters:
            values = segmenter.scene(sample.image).affinity(x, y)
            panels.append(Panel(diverging(view.values(values), float(np.quantile(np.abs(values), 0.995))), cross))
        rows.append(panels)
    return sheet(["scene", *SHOWN], rows, signed=range(1, 1 + len(SHOWN)))


def plain_name(name: str) -> str:
    """The name in a record, which is also that of its file."""
    return name.replace(",", "")


def main() -> None:
    """Train what is missing, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--heads", nargs="+", choices=list(HEADS), default=list(HEADS))
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--runs", type=Path, default=Path("runs/encodings"))
    parser.add_argument("--out", type=Path, default=ROOT / "experiments" / "results" / "encodings")
    parser.add_argument("--table", action="store_true", help="only print the finished trainings")
    parser.add_argument("--picture", type=Path, help="only draw affinities of finished trainings, a .jpg or .png")
    args = parser.parse_args()
    if args.table:
        print(table(args.out))
        return
    if args.picture:
        drawn = picture(args.runs, args.iterations)
        half = cv2.resize(drawn, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(args.picture), half[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        return
    torch.set_num_threads(1)
    for seed in args.seeds:
        for name in args.heads:
            if any(args.out.glob(f"scenes-{plain_name(name).replace(' ', '-')}-s{seed}-i{args.iterations}-*.json")):
                continue
            record = train(name, seed, args.iterations, args.runs)
            record.save(args.out)
            print(f"{name}, seed {seed}: PQ {100 * _quality([record], 'affinity').mean('All'):.1f}", flush=True)


if __name__ == "__main__":
    main()
