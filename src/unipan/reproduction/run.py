"""What `unipan reproduce` does: run the trainings that no record holds yet, two side by side, and make the tables."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from unipan.analysis.speed import time_in_turn
from unipan.evaluation.pq_scores import PanopticScores
from unipan.files import write_atomically
from unipan.inference import Segmenter
from unipan.processes import end_with_parent
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.paper_tables import TABLE_SPEED, TABLES
from unipan.reproduction.planning import Plan, make_plan, threads_of, timed_all
from unipan.reproduction.records import (
    ExperimentRecord,
    changed_fields,
    environment,
    hash_of,
    load_records,
    record_name,
)
from unipan.reproduction.requests import (
    Request,
    config_hashes,
    config_of,
    data_name,
    fresh_network,
    open_experiment,
    run_folder,
    twins,
    weight_name,
)
from unipan.reproduction.tables import Finished, models_of, render, render_speed
from unipan.training.launch import launch
from unipan.training.trainer import spell_time


@dataclass(frozen=True)
class Job:
    """One training, as it goes to a process."""

    model: str
    seed: int
    request: Request
    plan: Plan
    threads: int

    @property
    def folder(self) -> Path:
        """Of its run."""
        return run_folder(self.request, self.model, self.seed, self.plan.length(self.model))


def run(request: Request, train: bool = True) -> dict[str, str]:
    """Train what is missing and return the tables as Markdown, by name.

    Raises:
        FileNotFoundError, ValueError: what is wrong with the data, the records or a training, in one sentence.
    """
    plan = make_plan(request) if train else None
    if plan is not None:
        if "speed" in request.tables:
            check_speed(request, plan)
        train_missing(request, plan)
    length = longest(request) if plan is None else plan.iterations
    finished = Finished.of(load_records(request.records), data_name(request.data), config_hashes(request), length)
    return {
        name: speed_table(request, length, plan) if name == "speed" else render(TABLES[name], finished)
        for name in request.tables
    }


def speed_file(request: Request, iterations: int) -> Path:
    """What the speed table of networks of this length was made of last: a smoke test writes over no other."""
    return request.records / f"{data_name(request.data)}-speed{weight_name(request)}-i{iterations}.json"


def speed_checkpoints(request: Request, iterations: int) -> dict[str, Path]:
    """The trained networks that are timed, by row: those of seed 0."""
    return {row.label: run_folder(request, row.model, 0, iterations) / "last.safetensors" for row in TABLE_SPEED.rows}


def check_speed(request: Request, plan: Plan) -> None:
    """Raise before any training if a network that is to be timed is finished, but gone, and no measurement is kept.

    Raises:
        FileNotFoundError: so it is.
    """
    if speed_file(request, plan.iterations).is_file():
        return
    checkpoints = speed_checkpoints(request, plan.iterations)
    for row in TABLE_SPEED.rows:
        if (request.records / record_of(request, plan, row.model, 0)).exists() and not checkpoints[row.label].is_file():
            raise FileNotFoundError(
                f"reproduce speed: {checkpoints[row.label]} is gone; remove the records of {row.model} in "
                f"{request.records} to train it again, or ask for the other tables alone"
            )


def speed_table(request: Request, iterations: int, plan: Plan | None) -> str:
    """Milliseconds an image of the trained networks of seed 0, measured in turn or, where one of them is gone or
    nothing is planned, read from their file.

    Raises:
        FileNotFoundError: the file is gone.
    """
    path = speed_file(request, iterations)
    checkpoints = speed_checkpoints(request, iterations)
    if plan is not None and all(checkpoint.is_file() for checkpoint in checkpoints.values()):
        device = launch(request.accelerator).device
        found = {row.label: (Segmenter.load(checkpoints[row.label], device), row.reading) for row in TABLE_SPEED.rows}
        timings = time_in_turn(found, open_experiment(request.data).test)
        facts = environment(device) | {
            "threads": torch.get_num_threads(),
            "iterations": iterations,
            "smoke": plan.smoke,
        }
        content = {"facts": facts, "milliseconds": {name: asdict(timing) for name, timing in timings.items()}}
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    if not path.is_file():
        raise FileNotFoundError(f"reproduce speed: {path} does not exist; run without --from-records")
    return render_speed(json.loads(path.read_text()))


def longest(request: Request) -> int:
    """The longest equal iterations of which there are records."""
    if request.iterations is not None:
        return request.iterations
    name, hashes = data_name(request.data), set(config_hashes(request).values())
    found = [each for each in load_records(request.records) if each.data == name and each.config_hash in hashes]
    if not found:
        raise ValueError(f"reproduce: {request.records} holds no record of {name}; run without --from-records first")
    return max(int(each.extra["beside"]) for each in found)


def train_missing(request: Request, plan: Plan) -> None:
    """Run every training without a record.

    Raises:
        ValueError: one of them failed; the others are finished first.
    """
    models = dict.fromkeys(twins(request).get(model, model) for model in request.models)
    wanted = [(model, seed) for seed in request.seeds for model in models]
    wanted.sort(key=lambda pair: MODELS[pair[0]].turn)
    missing = [pair for pair in wanted if not (request.records / record_of(request, plan, *pair)).exists()]
    print(models_of_all(request), flush=True)
    if not missing:
        print(f"all {len(wanted)} trainings are finished; their records are in {request.records}")
        return
    # All but those that lengths depend on are timed only here, for the total: most are finished in a second call.
    plan = timed_all(request, plan, {model for model, _ in missing})
    todo = [Job(model, seed, request, plan, threads_of(request.jobs)) for model, seed in missing]
    minutes = sum(plan.minutes(job.model) for job in todo) / request.jobs
    kept = f" (the others have their record in {request.records}; another --records DIR leaves those alone)"
    print(
        f"{plan.iterations} iterations a model; {len(todo)} of {len(wanted)} trainings to run"
        f"{kept if len(todo) < len(wanted) else ''}, {request.jobs} side by side: about {spell_time(60 * minutes)} "
        "(timed alone; side by side they are slower)"
    )
    if plan.smoke:
        print("smoke: too short to compare")
    failures = [f"{job.model}, seed {job.seed}: {words}" for job, done, words in finish(todo) if not done]
    if failures:
        raise ValueError(f"reproduce: {len(failures)} of {len(todo)} trainings failed: {failures[0]}")


def finish(todo: list[Job]) -> Iterator[tuple[Job, bool, str]]:
    """Run jobs; yield each as it ends, whether it succeeded, and what it or its error says."""
    for count, (job, done, words) in enumerate(side_by_side(todo) if todo[0].request.jobs > 1 else one_by_one(todo), 1):
        print(f"[{count}/{len(todo)}] {job.model}, seed {job.seed}: {words}", flush=True)
        yield job, done, words


def one_by_one(todo: list[Job]) -> Iterator[tuple[Job, bool, str]]:
    """In this process."""
    for job in todo:
        try:
            yield job, True, run_job(job)
        except (ValueError, OSError, RuntimeError) as error:  # torch's own, such as a GPU out of memory
            yield job, False, f"failed: {error}"


def side_by_side(todo: list[Job]) -> Iterator[tuple[Job, bool, str]]:
    """In processes of their own, each with its share of the cores."""
    context = get_context("spawn")
    with ProcessPoolExecutor(todo[0].request.jobs, context, initializer=end_with_parent) as pool:
        futures = {pool.submit(run_job, job): job for job in todo}
        for future in as_completed(futures):
            error = future.exception()
            yield futures[future], error is None, future.result() if error is None else f"failed: {error}"


def models_of_all(request: Request) -> str:
    """The networks of every table asked for."""
    return "\n".join(f"{TABLES[name].title}\n{models_of(TABLES[name])}" for name in request.tables)


def record_of(request: Request, plan: Plan, model: str, seed: int) -> str:
    """File name of the record that a training leaves."""
    length = plan.length(model)
    config = config_of(request, model, seed, length)
    return record_name(data_name(request.data), model, seed, length, hash_of(changed_fields(config)))


def run_job(job: Job) -> str:
    """One training and its scores, in a process of its own; returns one line about it."""
    torch.set_num_threads(job.threads)
    request = job.request
    data = open_experiment(request.data)
    config = config_of(request, job.model, job.seed, job.plan.length(job.model))
    trainer = train_once(config, data, job.folder, lambda: fresh_network(request.data, config), request.accelerator)
    record = score(job.model, trainer, data)
    record.extra.update(beside=job.plan.iterations, smoke=job.plan.smoke)
    record.save(request.records)
    return describe(record)


def describe(record: ExperimentRecord) -> str:
    """PQ of every reading, and the time."""
    figures = []
    for reading in record.readings:
        scores = PanopticScores.of(record.classes, record.counts(reading).sum(axis=0))["All"]
        figures.append(f"{reading} {100 * scores.pq:.1f}" if scores else f"{reading} -")
    facts = record.facts
    return f"PQ {', '.join(figures)}; {facts['training_minutes']} + {facts['scoring_minutes']} minutes"
