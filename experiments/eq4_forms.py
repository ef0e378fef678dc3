"""Forms of Eq. 4 that obey the paper (a 1x1 convolution *followed by an activation*, linear in Psi, no division).

Model B on scenes without what is ours (*plain*: no positional encoding, no loss on Psi), one training per form and
seed. `none` is Eq. 4 as the paper writes it. With PyTorch's initial weights the sum over n cells then starts hundreds
of times as large as Psi; `small` divides both phi by the square root of n at the start, `pixels` the sum by n, always.
The latter is linear in Psi as well, and a part of phi for images of one size. `segment` is not the paper's:
it divides by each channel's mass, in which the score cancels; `score` puts it back; `stopped` gives Psi no gradient
through the affinities. Scored on the validation scenes, so that those of the tables stay unseen; a record per training.

    python experiments/eq4_forms.py --seeds 0 1 2        trains what is missing (about 5 minutes each on one core)
    python experiments/eq4_forms.py --table              the finished forms
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from unipan.config import Config
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.evaluation.hierarchical_bootstrap import SeededQuality
from unipan.models.affinity import InstanceAffinity
from unipan.models.network import PanopticNetwork
from unipan.models.potential import DynamicPotential
from unipan.reproduction.ablations import MODELS, SCENE_SIZE, plain, scenes_recipe
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.request import open_experiment
from unipan.reproduction.tables import with_minus_signs
from unipan.structures import Detections
from unipan.training.session import build

ROOT = Path(__file__).resolve().parents[1]
CELLS = SCENE_SIZE[0] * SCENE_SIZE[1] // 4
"""n: cells of Psi at d = 2."""


class StoppedAffinity(InstanceAffinity):
    """P = Psi + A stop_gradient(Psi)."""

    def forward(self, potential: Tensor, queries: Tensor) -> Tensor:
        """P of one image."""
        held = potential.detach()
        return potential + (super().forward(held, queries) - held)


class ScorePotential(DynamicPotential):
    """Remembers the scores of each image for the head that runs next."""

    seen: list[Tensor]

    def forward(self, semantic: Tensor, detections: Detections) -> Tensor:
        """Psi of one image."""
        psi = super().forward(semantic, detections)
        rest = psi.new_ones(len(psi) - len(detections.scores))
        self.seen.append(torch.cat([detections.scores.to(psi.dtype), rest]))
        return psi


class ScoreAffinity(InstanceAffinity):
    """Divides by the mass of each channel and multiplies by its score, which the mass contains."""

    seen: list[Tensor]

    def _mass(self, psi: Tensor) -> Tensor:
        mass = super()._mass(psi)
        assert isinstance(mass, Tensor)
        return mass / self.seen.pop(0)


def small(network: PanopticNetwork) -> None:
    """phi0 and phi1 start n^-1/2 times as large."""
    assert network.affinity is not None
    with torch.no_grad():
        for phi in (network.affinity.phi0, network.affinity.phi1):
            for weight in phi.parameters():
                weight.mul_(CELLS**-0.5)


def stopped(network: PanopticNetwork) -> None:
    """See StoppedAffinity."""
    network.affinity.__class__ = StoppedAffinity  # type: ignore[union-attr]


def with_score(network: PanopticNetwork) -> None:
    """See ScoreAffinity."""
    network.affinity.__class__ = ScoreAffinity  # type: ignore[union-attr]
    network.potential.__class__ = ScorePotential
    seen: list[Tensor] = []
    for part in (network.affinity, network.potential):
        nn.Module.__setattr__(part, "seen", seen)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Form:
    """What differs from `segment`, today's default.

    Attributes:
        options: of AffinityConfig.
        adapt: changes the network before it is trained.
    """

    options: dict[str, str]
    adapt: Callable[[PanopticNetwork], None] = lambda _: None


FORMS = {
    "segment, identity (ours)": Form({}),
    "none, identity, small": Form({"normalise": "none"}, small),
    "none, elu, small": Form({"normalise": "none", "activation": "elu"}, small),
    "none, relu, small": Form({"normalise": "none", "activation": "relu"}, small),
    "none, gelu, small": Form({"normalise": "none", "activation": "gelu"}, small),
    "pixels, gelu": Form({"normalise": "pixels", "activation": "gelu"}),
    "pixels, elu": Form({"normalise": "pixels", "activation": "elu"}),
    "pixels, relu": Form({"normalise": "pixels", "activation": "relu"}),
    "segment, identity, score": Form({}, with_score),
    "segment, identity, stopped": Form({}, stopped),
    "segment, elu": Form({"activation": "elu"}),
    "segment, relu": Form({"activation": "relu"}),
}


def config_of(form: Form, seed: int, iterations: int) -> Config:
    """The plain model B of the tables."""
    base = plain(MODELS["B"].build(scenes_recipe()))
    affinity = replace(base.affinity, **form.options)  # type: ignore[arg-type]
    return replace(base, affinity=affinity, train=replace(base.train, seed=seed, iterations=iterations))


def train(name: str, seed: int, iterations: int, runs: Path) -> ExperimentRecord:
    """One training and its scores."""
    form = FORMS[name]
    data = replace(open_experiment("scenes"), test=Scenes(VALIDATION_SEEDS, SCENE_SIZE))
    config = config_of(form, seed, iterations)

    def initial() -> PanopticNetwork:
        network = build(config, data.train.categories, None)[0]
        form.adapt(network)
        return network

    torch.manual_seed(seed)
    slug = "".join(c if c.isalnum() else "-" for c in name)
    trainer = train_once(config, data, runs / f"{slug}-s{seed}-i{iterations}", initial, "cpu")
    return score(_plain(name), trainer, data)


def table(folder: Path) -> str:
    """PQ of P on the validation scenes, of Psi, and the difference from ours over common seeds with its interval."""
    found: dict[str, dict[int, ExperimentRecord]] = {}
    for record in load_records(folder):
        found.setdefault(record.model, {})[record.seed] = record
    ours = found[_plain(next(iter(FORMS)))]
    lines = ["| form | PQ | per seed | PQ of Psi | minus ours |", "|---" * 5 + "|"]
    for model in (_plain(name) for name in FORMS if _plain(name) in found):
        records = [found[model][seed] for seed in sorted(found[model])]
        p, psi = (_quality(records, fusion) for fusion in ("affinity", "potential"))
        common = sorted(found[model].keys() & ours.keys())
        difference = _quality([found[model][seed] for seed in common], "affinity").minus(
            _quality([ours[seed] for seed in common], "affinity")
        )
        assert difference is not None
        seeds = ", ".join(f"{100 * row[0]:.1f}" for row in p.each["All"])
        means = " | ".join((f"{100 * p.mean('All'):.1f}", seeds, f"{100 * psi.mean('All'):.1f}"))
        low, value, high = (100 * each for each in (difference.low, difference.value, difference.high))
        lines.append(f"| {model} | {means} | {value:+.1f} ({low:.1f}, {high:.1f}) |")
    return with_minus_signs("\n".join(lines))


def _quality(records: list[ExperimentRecord], fusion: str) -> SeededQuality:
    return SeededQuality.of(np.stack([record.counts(fusion) for record in records]), records[0].classes)


def _plain(name: str) -> str:
    """The name in a record, which is also that of its file."""
    return name.replace(",", "").replace("(", "").replace(")", "")


def main() -> None:
    """Train what is missing, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--runs", type=Path, default=Path("runs/eq4_forms"))
    parser.add_argument("--out", type=Path, default=ROOT / "experiments" / "results" / "eq4_forms")
    parser.add_argument("--table", action="store_true", help="only print the finished forms")
    args = parser.parse_args()
    if args.table:
        print(table(args.out))
        return
    torch.set_num_threads(1)
    for seed in args.seeds:
        for name in args.forms:
            if any(args.out.glob(f"scenes-{_plain(name).replace(' ', '-')}-s{seed}-i{args.iterations}-*.json")):
                continue
            record = train(name, seed, args.iterations, args.runs)
            record.save(args.out)
            print(f"{name}, seed {seed}: PQ {100 * _quality([record], 'affinity').mean('All'):.1f}", flush=True)


if __name__ == "__main__":
    main()
