"""The paper's optimiser on scenes, from the backbone of the bundled checkpoint.

SGD with steps, warm-up from a third, loss weights 0.25, 1, 1, Lovasz softmax and hinge, no EMA, frozen batch norm.
Models A to D without what is ours (*plain*), and variants of B that look for the reason why the AP of its boxes falls
here and rises in the paper: `s without gradient` detaches the scores in Psi, so that the panoptic loss does not teach
the box head; `detection x 4` gives the detection losses the weight 1. `none` and `pixels` have GELU, and nothing
divided but phi started small, or the sum divided by the number of pixels (see eq4_forms.py). Scored on the validation
scenes; a record each.

    python experiments/paper_optimiser.py --models A B C D --seeds 0
    python experiments/paper_optimiser.py --table
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from eq4_forms import small
from torch import Tensor

from unipan.build import build_network
from unipan.checkpoint import load_checkpoint
from unipan.config import Config
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.evaluation.pq_scores import PanopticScores
from unipan.models.network import PanopticNetwork
from unipan.models.potential import DynamicPotential
from unipan.reproduction.ablations import MODELS, SCENE_SIZE, plain, scenes_recipe
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.request import open_experiment
from unipan.structures import Detections

ROOT = Path(__file__).resolve().parents[1]
MODEL_OF = {
    "A": "A",
    "B": "B",
    "C": "C",
    "D": "D",
    "B s without gradient": "B",
    "B detection x 4": "B",
    "A detection x 4": "A",
    "B none": "B",
    "B pixels": "B",
}


class StoppedScores(DynamicPotential):
    """Psi whose gradient does not reach the box head."""

    def forward(self, semantic: Tensor, detections: Detections) -> Tensor:
        """Psi of one image."""
        return super().forward(semantic, replace(detections, scores=detections.scores.detach()))


def config_of(name: str, seed: int, iterations: int, lr: float) -> Config:
    """The paper's recipe at the size of the ablations."""
    base = plain(MODELS[MODEL_OF[name]].build(scenes_recipe()))
    if name.endswith(("none", "pixels")):
        normalise = name.partition(" ")[2]
        affinity = replace(base.affinity, activation="gelu", normalise=normalise)  # type: ignore[arg-type]
        base = replace(base, affinity=affinity)
    detection = 1.0 if name.endswith("x 4") else 0.25
    return replace(
        base,
        backbone=replace(base.backbone, weights="checkpoint", frozen=True),
        loss=replace(base.loss, detection=detection, semantic_kind="lovasz", mask_kind="lovasz"),
        train=replace(
            base.train,
            iterations=iterations,
            seed=seed,
            optimizer="sgd",
            lr=lr,
            bias_lr_factor=2.0,
            weight_decay=1e-4,
            schedule="step",
            warmup=iterations // 12,
            warmup_factor=1 / 3,
            max_grad_norm=0.0,
            ema_decay=0.0,
        ),
    )


def train(name: str, seed: int, iterations: int, lr: float, runs: Path) -> ExperimentRecord:
    """One training and its scores."""
    data = replace(open_experiment("scenes"), test=Scenes(VALIDATION_SEEDS, SCENE_SIZE))
    config = config_of(name, seed, iterations, lr)

    def initial() -> PanopticNetwork:
        network = build_network(config, data.train.categories)
        network.backbone.resnet.load_state_dict(load_checkpoint("scenes").network.backbone.resnet.state_dict(), False)
        if name.endswith("none"):
            small(network)
        if "without gradient" in name:
            network.potential.__class__ = StoppedScores
        return network

    torch.manual_seed(seed)
    folder = runs / f"{name.replace(' ', '-')}-s{seed}-i{iterations}-lr{lr:g}"
    return score(name, train_once(config, data, folder, initial, "cpu"), data)


def table(folder: Path) -> str:
    """PQ under every fusion, and AP, in percent."""
    lines = ["| model | lr | seed | fusion | PQ | things | stuff | AP of boxes | AP of masks |", "|---" * 9 + "|"]
    for record in load_records(folder):
        ap = [
            f"{100 * value:.1f}" if (value := (record.ap or {}).get(key)) is not None else "–"
            for key in ("box", "mask")
        ]
        for fusion in record.fusions:
            scores = PanopticScores.of(record.classes, record.counts(fusion).sum(axis=0))
            cells = [f"{100 * scores[group].pq:.1f}" for group in ("All", "Things", "Stuff")]
            lr = record.config.get("train.lr", 0.01)  # the default is not written
            lines.append(f"| {record.model} | {lr:g} | {record.seed} | {fusion} | {' | '.join([*cells, *ap])} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODEL_OF), default=list(MODEL_OF))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--lr", type=float, default=0.01, help="the paper's, at its batch of 32; here batches have 8")
    parser.add_argument("--runs", type=Path, default=Path("runs/paper_optimiser"))
    parser.add_argument("--out", type=Path, default=ROOT / "experiments" / "results" / "paper_optimiser")
    parser.add_argument("--table", action="store_true", help="only print what is finished")
    args = parser.parse_args()
    if args.table:
        print(table(args.out))
        return
    torch.set_num_threads(1)
    for seed in args.seeds:
        for name in args.models:
            record = train(name, seed, args.iterations, args.lr, args.runs)
            record.save(args.out)
            print(f"{name}, seed {seed}: AP {record.ap}", flush=True)


if __name__ == "__main__":
    main()
