"""Where should `finetune` start on photographs: from drawn scenes, or from ImageNet features under warm heads?

`photos` is trained on scenes as well, on top of the fixed EfficientNet-Lite0 of a package; `imagenet` has the same
features under fresh heads; `photos-late` is `photos` whose panoptic submodule takes part in the last 30 % of the steps
alone. In these the rows of new classes are random, as they were in version 0.2; `photos-kind` is `photos` where they
are the mean of the things, or of the stuff, of the start. All get the same time: `--iterations` are those of `scenes`,
and the others get as many steps as take as long (a step of each is timed by turns before the first training, or given
in seconds.json: `photos-kind` got those of `photos`). `bundle.py` makes a trained run the bundled checkpoint
`photos`, without the weights that the package carries.

    unipan train scenes --backbone.network tf_efficientnet_lite0 --backbone.weights imagenet --backbone.fixed --out RUN
    python experiments/bundle.py RUN --name photos
    python experiments/photo_start.py run ../shared/data/nuclei --photographs 10 --iterations 60 --seeds 0 1 2
    python experiments/photo_start.py table
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from unipan.class_rows import CLASS_LAYERS
from unipan.config import Config
from unipan.datasets.panoptic_data import PanopticData, Subset
from unipan.datasets.sources import open_photos, use_window
from unipan.datasets.statistics import thing_statistics
from unipan.evaluation.hierarchical_bootstrap import SeededQuality
from unipan.files import write_json
from unipan.models.network import PanopticNetwork
from unipan.presets import finetune
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.request import ExperimentData
from unipan.reproduction.tables import with_minus_signs
from unipan.training.launch import launch
from unipan.training.run_folder import RunRecord
from unipan.training.session import build, fit_to_data, with_init
from unipan.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "experiments" / "results" / "photo_start"
STARTS = ("scenes", "photos", "imagenet", "photos-late", "photos-kind")
LITE0 = "tf_efficientnet_lite0"
LATE = 0.7
"""Share of the steps before a late start."""
ROUNDS = 3
"""How often the steps are timed by turns."""


def config_of(start: str, train: PanopticData) -> tuple[Config, str | None]:
    """`finetune` from one of `STARTS`, fitted to the data, and the checkpoint to take the weights from."""
    config = finetune()
    if start == "imagenet":
        config = replace(config, backbone=replace(config.backbone, network=LITE0))
    if start.endswith("-late"):
        config = replace(config, train=replace(config.train, panoptic_from=LATE))
    config, init = with_init(config, start.partition("-")[0])
    use_window(train, config.data)
    return fit_to_data(config, thing_statistics(train, config.data, stride=config.decoder.stride)), init


def fresh(start: str, config: Config, init: str | None, train: PanopticData) -> PanopticNetwork:
    """The network before its first step."""
    torch.manual_seed(config.train.seed)
    network = build(config, train.categories, init)[0]
    if "-kind" not in start:
        layers = tuple(f"{layer}." for layer in CLASS_LAYERS)
        drawn = build(config, train.categories, None)[0].state_dict()
        network.load_state_dict({k: v for k, v in drawn.items() if k.startswith(layers)}, strict=False)
    return network


def step_costs(data: ExperimentData, starts: list[str], folder: Path) -> dict[str, float]:
    """Median seconds of a step of each start, timed by turns; kept for the other seeds."""
    path = folder / "seconds.json"
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    if set(starts) <= set(found):
        return found
    trainers = {}
    for start in starts:
        config, init = config_of(start, data.train)
        record = RunRecord(folder / f"timed-{start}", quiet=True)
        trainers[start] = Trainer(
            launch("cpu"), config, data.train, data.tuning, record, fresh(start, config, init, data.train)
        )
    times: dict[str, list[float]] = {start: [] for start in starts}
    for _ in range(ROUNDS):
        for start, trainer in trainers.items():
            times[start].append(trainer.seconds_per_step())
    found = {start: float(np.median(each)) for start, each in times.items()}
    write_json(path, found)
    return found


def spread(data: PanopticData, count: int) -> PanopticData:
    """So many images, evenly over all; all where it is 0 or there are fewer."""
    return Subset(data, np.linspace(0, len(data) - 1, min(count or len(data), len(data))).astype(int).tolist())


def run(args: argparse.Namespace) -> None:
    """Train what is missing, by turns, and leave a record of each."""
    photos, test = open_photos(str(args.data / "train")), open_photos(str(args.data / "val"))
    train, test = spread(photos, args.photographs), spread(test, args.score)
    tuning = spread(train, args.tuning)
    data = ExperimentData(args.data.name, train, tuning, test)
    place, records = (folder / f"{args.data.name}-{len(train)}" for folder in (args.runs, RECORDS))
    finished = {(each.model, each.seed, each.extra["like"]) for each in load_records(records)}
    seconds = step_costs(data, args.starts, place)
    for seed in args.seeds:
        for start in args.starts:
            steps = round(args.iterations * seconds["scenes"] / seconds[start])
            if (start, seed, args.iterations) in finished:
                continue
            config, init = config_of(start, train)
            config = replace(
                config, train=replace(config.train, seed=seed, iterations=steps, validations=1, validation_images=4)
            )
            folder = place / f"{start}-s{seed}-i{steps}"
            trainer = train_once(config, data, folder, partial(fresh, start, config, init, train), "cpu")
            extra = {"photographs": len(train), "tuned_on": len(tuning), "seconds": seconds, "like": args.iterations}
            replace(score(start, trainer, data, print), extra=extra).save(records)


def table() -> str:
    """PQ of each start, and its difference from `scenes` over the same seeds, paired."""
    found: dict[tuple[str, int, int], dict[str, dict[int, ExperimentRecord]]] = {}
    for record in (each for folder in sorted(RECORDS.iterdir()) for each in load_records(folder)):
        key = record.data, record.extra["photographs"], record.extra["like"]
        found.setdefault(key, {}).setdefault(record.model, {})[record.seed] = record
    heads = ["data", "photographs", "start", "steps", "P per seed", "P", "heuristic", "AP box", "mIoU of V"]
    heads += ["P minus that of scenes", "P minus that of photos", "P minus its heuristic"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (name, photographs, _), starts in sorted(found.items()):
        for start in STARTS:
            records = starts.get(start, {})
            if records:
                lines.append(f"| {name} | {photographs} | {start} | {_cells(start, starts)} |")
    return with_minus_signs("\n".join(lines))


def _cells(start: str, starts: dict[str, dict[int, ExperimentRecord]]) -> str:
    """The cells of one row after its start."""
    records = starts[start]
    each = [records[seed] for seed in sorted(records)]
    quality, heuristic = _quality(each, "affinity"), _quality(each, "heuristic")
    values = [
        f"{each[0].iterations}",
        ", ".join(f"{100 * one[0]:.1f}" for one in quality.each["All"]),
        f"{100 * quality.mean('All'):.1f}",
        f"{100 * heuristic.mean('All'):.1f}",
        f"{100 * np.mean([(one.ap or {}).get('box') or 0 for one in each]):.1f}",
        f"{100 * np.mean([one.semantic['mean'] for one in each]):.1f}",
        "" if start == "scenes" else _minus_that_of(starts.get("scenes", {}), records),
        _minus_that_of(starts.get("photos", {}), records) if start.startswith("photos-") else "",
        _difference(quality, heuristic),
    ]
    return " | ".join(values)


def _minus_that_of(others: dict[int, ExperimentRecord], records: dict[int, ExperimentRecord]) -> str:
    """The difference of P over the seeds that both have."""
    common = sorted(records.keys() & others.keys())
    if not common:
        return ""
    ours, theirs = (_quality([side[seed] for seed in common], "affinity") for side in (records, others))
    return _difference(ours, theirs)


def _difference(ours: SeededQuality, theirs: SeededQuality) -> str:
    found = ours.minus(theirs)
    assert found is not None
    value, low, high = (100 * part for part in (found.value, found.low, found.high))
    return f"{value:+.1f} ({low:.1f}, {high:.1f})"


def _quality(records: list[ExperimentRecord], fusion: str) -> SeededQuality:
    return SeededQuality.of(np.stack([each.counts(fusion) for each in records]), records[0].classes)


def main() -> None:
    """`run` or `table`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    running = steps.add_parser("run")
    running.add_argument("data", type=Path, help="a folder with train/ and val/")
    running.add_argument("--photographs", type=int, default=0, help="train on so many only, evenly spread")
    running.add_argument("--score", type=int, default=0, help="score so many images of val only, evenly spread")
    running.add_argument("--tuning", type=int, default=24, help="tune the thresholds of heuristic fusion on so many")
    running.add_argument("--iterations", type=int, default=60, help="of the start `scenes`")
    running.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    running.add_argument("--seeds", type=int, nargs="+", default=[0])
    running.add_argument("--runs", type=Path, default=Path("runs/photo_start"))
    steps.add_parser("table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.step == "run":
        run(args)
    else:
        print(table())


if __name__ == "__main__":
    main()
