"""The length of each training of `unipan reproduce`: fitted to a time budget once, and kept for later calls."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from unipan.config_values import POSITIVE, STEPS, check_value
from unipan.files import read_text, write_atomically
from unipan.parallel import available_cores
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.request import Request, open_experiment
from unipan.terminal import tell
from unipan.training.launch import launch
from unipan.training.memory import describe_shortage
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer

LARGEST = "D"
"""The model that a budget is fitted to."""
SMOKE_MINUTES = 5.0
"""Below this budget a table is too short to compare."""
SCORING_MINUTES = 1.0
"""A rough guess, used until a record of the data has a measured time."""


@dataclass(frozen=True)
class TrainingPlan:
    """The length of each training.

    Attributes:
        iterations: of all models with the same number of iterations.
        seconds: measured time of a step, by model.
        smoke: too short to compare.
        lengths: iterations of the finished models of equal time; timing again would give other numbers.
        scoring: minutes to score one network.
    """

    iterations: int
    seconds: dict[str, float]
    smoke: bool
    lengths: dict[str, int] = field(default_factory=dict)
    scoring: float = SCORING_MINUTES

    def length(self, model: str) -> int:
        """Iterations of a model."""
        other = MODELS[model].as_long_as
        if other is None:
            return self.iterations
        if model in self.lengths:
            return self.lengths[model]
        return max(1, round(self.iterations * self.seconds[other] / self.seconds[model]))

    def minutes(self, model: str) -> float:
        """Minutes of one training, including scoring."""
        return self.length(model) * self.seconds[model] / 60 + self.scoring


def make_plan(request: Request) -> TrainingPlan:
    """The lengths of the trainings, from a few timed steps and the finished trainings.

    The plan is kept in the folder of the runs, so that later calls use the same lengths. Steps are timed one model at a
    time; trainings that run side by side share caches and memory, and take longer.
    """
    path = plan_path(request)
    kept = kept_plan(path) if path.exists() else {"iterations": request.iterations, "seconds": {}}
    others = {model: key for model in request.models if (key := MODELS[model].as_long_as)}
    seconds = with_times(request, kept["seconds"], {LARGEST, *others, *others.values()})
    iterations = kept["iterations"] or max(10, int(request.budget * 60 / seconds[LARGEST]))
    minutes = request.budget if request.iterations is None else iterations * seconds[LARGEST] / 60
    hashes, finished = request.config_hashes(), request.finished()
    lengths = {
        each.model: each.iterations
        for each in finished
        if each.config_hash == hashes.get(each.model)
        and MODELS[each.model].as_long_as is not None
        and each.extra["beside"] == iterations
    }
    scoring = [float(each.facts["scoring_minutes"]) for each in finished if "scoring_minutes" in each.facts]
    mean = sum(scoring) / len(scoring) if scoring else SCORING_MINUTES
    return _kept(request, TrainingPlan(iterations, seconds, minutes < SMOKE_MINUTES, lengths, mean))


def time_models(request: Request, plan: TrainingPlan, models: set[str]) -> TrainingPlan:
    """The plan, with the step times of all these models."""
    return _kept(request, replace(plan, seconds=with_times(request, plan.seconds, models)))


def plan_path(request: Request) -> Path:
    """Where the plan for these options is kept."""
    return request.runs / f"plan-{request.iterations or f'{request.budget:g}min'}.json"


def kept_plan(path: Path) -> dict[str, Any]:
    """What `_kept` has written. Raises ValueError, or what `read_text` raises, if that cannot be read."""
    text = read_text(path)
    try:
        found = json.loads(text)
        check_value("iterations", found["iterations"], int, STEPS)
        for model, seconds in found["seconds"].items():
            check_value(f"seconds of {model}", seconds, float, POSITIVE)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"--runs: {path} is no plan of trainings ({error!r}); remove it, and steps are timed anew"
        ) from error
    return {"iterations": found["iterations"], "seconds": found["seconds"]}


def _kept(request: Request, plan: TrainingPlan) -> TrainingPlan:
    content = {"iterations": plan.iterations, "seconds": plan.seconds}
    write_atomically(plan_path(request), json.dumps(content, indent=1).encode())
    return plan


def with_times(request: Request, known: dict[str, float], models: set[str]) -> dict[str, float]:
    """Seconds per step by model: the known ones, and measurements of the others."""
    found, unknown = dict(known), sorted(models - known.keys())
    for count, model in enumerate(unknown, 1):
        tell(f"timing a few steps of {model} ({count} of {len(unknown)}) ...", error=True)
        found[model] = round(step_seconds(request, model), 4)
    return found


def step_seconds(request: Request, model: str) -> float:
    """Median time of a step of one model, with as many threads as its training will have.

    Raises:
        ValueError: no such accelerator, or one with too little memory.
    """
    torch.set_num_threads(threads_per_job(request.jobs))
    fabric = launch(request.accelerator)  # first, so that no folder is made if there is no such device
    config, data = request.config(model, 0, 100), open_experiment(request.data)
    record = RunRecord(request.runs / "timing", quiet=True)
    network = request.initial_network(config)
    try:
        return Trainer(fabric, config, data.train, data.tuning, record, network).seconds_per_step()
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"reproduce: the GPU has too little memory for a step of {model} ({describe_shortage(error)}); free some, "
            "or give --accelerator cpu"
        ) from error


def threads_per_job(jobs: int) -> int:
    """Threads of each of several trainings; more threads than cores would slow all of them down."""
    return max(1, available_cores() // jobs)
