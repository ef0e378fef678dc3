"""How long each training of `unipan reproduce` is: fitted to a budget once, kept for every later call."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from unipan.evaluation.folder_quality import available_cores
from unipan.files import write_atomically
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.requests import Request, config_hashes, config_of, data_name, fresh_network, open_experiment
from unipan.training.launch import launch
from unipan.training.memory import describe_shortage
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer

LARGEST = "D"
"""The model that a budget is fitted to."""
SMOKE_MINUTES = 5.0
"""A shorter budget makes no table to compare."""
SCORING_MINUTES = 1.0
"""Of one training, roughly, for the estimate that is printed first, where no record of the data tells it."""


@dataclass(frozen=True)
class Plan:
    """How long each training is.

    Attributes:
        iterations: of the models of equal length.
        seconds: measured time of a step, by model.
        smoke: too short to compare.
        lengths: of models of equal time that have finished trainings: a second measurement would fit others.
        scoring: minutes that scoring one training takes.
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
        """Of one training, with its scoring."""
        return self.length(model) * self.seconds[model] / 60 + self.scoring


def make_plan(request: Request) -> Plan:
    """Lengths of the trainings, from a few timed steps and the finished trainings; kept in the runs' folder, so that a
    resume has the same.

    The timing is of one training alone; two side by side share caches and memory, and take longer.
    """
    path = plan_file(request)
    known: dict[str, float] = {}
    iterations = request.iterations
    if path.exists():
        content = json.loads(path.read_text())
        known, iterations = content["seconds"], content["iterations"]
    others = {model: key for model in request.models if (key := MODELS[model].as_long_as)}
    known = timed(request, known, {LARGEST, *others, *others.values()})
    if iterations is None:
        iterations = max(10, int(request.budget * 60 / known[LARGEST]))
    minutes = request.budget if request.iterations is None else iterations * known[LARGEST] / 60
    records = [each for each in load_records(request.records) if each.data == data_name(request.data)]
    plan = Plan(
        iterations, known, minutes < SMOKE_MINUTES, finished_lengths(request, records, iterations), scoring_of(records)
    )
    save_plan(request, plan)
    return plan


def finished_lengths(request: Request, records: Iterable[ExperimentRecord], iterations: int) -> dict[str, int]:
    """Lengths of the models of equal time beside models of `iterations`, of which there are records."""
    hashes = config_hashes(request)
    return {
        each.model: each.iterations
        for each in records
        if each.config_hash == hashes.get(each.model)
        and MODELS[each.model].as_long_as is not None
        and each.extra["beside"] == iterations
    }


def scoring_of(records: list[ExperimentRecord]) -> float:
    """Mean minutes that scoring took in finished trainings on this data."""
    minutes = [float(each.facts["scoring_minutes"]) for each in records if "scoring_minutes" in each.facts]
    return sum(minutes) / len(minutes) if minutes else SCORING_MINUTES


def plan_file(request: Request) -> Path:
    """Where the plan of these options is kept."""
    return request.runs / f"plan-{request.iterations or f'{request.budget:g}min'}.json"


def save_plan(request: Request, plan: Plan) -> None:
    """So that a resume has the same lengths."""
    request.runs.mkdir(parents=True, exist_ok=True)
    content = {"iterations": plan.iterations, "seconds": plan.seconds}
    write_atomically(plan_file(request), json.dumps(content, indent=1).encode())


def timed_all(request: Request, plan: Plan, models: set[str]) -> Plan:
    """The plan with the time of a step of all these models."""
    found = replace(plan, seconds=timed(request, plan.seconds, models))
    save_plan(request, found)
    return found


def timed(request: Request, known: dict[str, float], models: set[str]) -> dict[str, float]:
    """Seconds of a step by model: what is known, and the others measured."""
    return known | {model: round(step_seconds(request, model), 4) for model in sorted(models - known.keys())}


def step_seconds(request: Request, model: str) -> float:
    """Median time of a step of one model, with as many threads as its training will have.

    Raises:
        ValueError: no such accelerator here, or one with too little memory.
    """
    torch.set_num_threads(threads_of(request.jobs))
    fabric = launch(request.accelerator)  # first: where there is none, no folder is made
    config = config_of(request, model, 0, 100)
    data = open_experiment(request.data)
    record = RunRecord(request.runs / "timing", quiet=True)
    network = fresh_network(request.data, config)
    try:
        return Trainer(fabric, config, data.train, data.tuning, record, network).seconds_per_step()
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"reproduce: the GPU has too little memory for a step of {model} ({describe_shortage(error)}); free some, "
            "or give --accelerator cpu"
        ) from error


def threads_of(jobs: int) -> int:
    """Threads of one of several trainings: more of them than cores would make all of them wait."""
    return max(1, available_cores() // jobs)
