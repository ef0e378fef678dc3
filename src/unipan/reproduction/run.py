"""`unipan reproduce`: run the trainings that have no record yet, side by side, and make the tables."""

import json
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from signal import SIG_IGN, SIGINT, SIGTERM, Signals, signal
from typing import TYPE_CHECKING, Any

import torch

from unipan.analysis.speed import time_in_turn
from unipan.evaluation.pq_scores import PanopticScores
from unipan.files import write_atomically
from unipan.inference import Segmenter
from unipan.processes import end_with_parent
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.paper_tables import TABLE_SPEED, TABLES
from unipan.reproduction.plan import TrainingPlan, make_plan, threads_per_job, time_models
from unipan.reproduction.records import ExperimentRecord, environment
from unipan.reproduction.request import Request, open_experiment
from unipan.reproduction.tables import FinishedTrainings, render_speed, render_table
from unipan.stopping import StoppedBySignal, StopSignals, stopped_by
from unipan.terminal import tell
from unipan.training.launch import launch
from unipan.training.trainer import spell_time

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

_LOOK_AT_RUNS = 0.5  # seconds


@dataclass(frozen=True)
class TrainingJob:
    """One training, as sent to a process."""

    model: str
    seed: int
    request: Request
    plan: TrainingPlan
    threads: int

    @property
    def length(self) -> int:
        """Its iterations."""
        return self.plan.length(self.model)

    @property
    def folder(self) -> Path:
        """Of its run."""
        return self.request.run_folder(self.model, self.seed, self.length)

    @property
    def record(self) -> Path:
        """What it leaves."""
        return self.request.record_path(self.model, self.seed, self.length)


def run(request: Request, train: bool = True) -> dict[str, str]:
    """Run the missing trainings and return the tables as Markdown, by name.

    Raises:
        FileNotFoundError, ValueError: what is wrong with the data, the records or a training, in one sentence.
    """
    plan = make_plan(request) if train else None
    if plan is not None:
        if "speed" in request.tables:
            check_speed(request, plan)
        train_missing(request, plan)
    length = longest(request) if plan is None else plan.iterations
    finished = FinishedTrainings.of(request.finished(), request.data_name, request.config_hashes(), length)
    return {
        name: speed_table(request, length, plan) if name == "speed" else render_table(TABLES[name], finished)
        for name in request.tables
    }


def training_scores(request: Request) -> list[dict[str, Any]]:
    """PQ, SQ and RQ of each finished training of these options and each fusion, for programs."""
    hashes = set(request.config_hashes().values())
    return [
        {
            **{"model": record.model, "seed": record.seed, "iterations": record.iterations, "fusion": fusion},
            **{group: scores and vars(scores) for group, scores in found.groups.items()},
        }
        for record in request.finished()
        if record.config_hash in hashes
        for fusion in record.fusions
        for found in [PanopticScores.of(record.classes, record.counts(fusion).sum(axis=0))]
    ]


def longest(request: Request) -> int:
    """The requested number of iterations, or else the largest for which there are records."""
    if request.iterations is not None:
        return request.iterations
    hashes = set(request.config_hashes().values())
    found = [int(each.extra["beside"]) for each in request.finished() if each.config_hash in hashes]
    if not found:
        raise ValueError(
            f"reproduce: {request.records} holds no record of {request.data_name}; run without --from-records first, "
            "or give --records DIR"
        )
    return max(found)


def train_missing(request: Request, plan: TrainingPlan) -> None:
    """Run every training without a record.

    Raises:
        ValueError: one of them failed; the others are finished first.
    """
    models = dict.fromkeys(request.twins().get(model, model) for model in request.models)
    threads = threads_per_job(request.jobs)
    wanted = [TrainingJob(model, seed, request, plan, threads) for seed in request.seeds for model in models]
    wanted.sort(key=lambda job: MODELS[job.model].turn)
    missing = [job for job in wanted if not job.record.exists()]
    for name in request.tables:
        tell(TABLES[name].title)
        for model in TABLES[name].models:
            tell(f"  {model:<16}{MODELS[model].text}")
    if not missing:
        tell(f"all {len(wanted)} trainings are finished; their records are in {request.records}")
        return
    # Only the models that determine the lengths have been timed so far; in a second call most others are finished.
    plan = time_models(request, plan, {job.model for job in missing})
    todo = [TrainingJob(job.model, job.seed, request, plan, threads) for job in missing]
    minutes = sum(plan.minutes(job.model) for job in todo) / request.jobs
    kept = f" (the others have their record in {request.records}; to run them again give another --records DIR)"
    tell(
        f"{plan.iterations} iterations a model; {len(todo)} of {len(wanted)} trainings to run"
        f"{kept if len(todo) < len(wanted) else ''}, {request.jobs} side by side: about {spell_time(60 * minutes)} "
        "(timed alone; side by side they are slower)"
    )
    if plan.smoke:
        tell("smoke: too short to compare")
    failures = [f"{job.model}, seed {job.seed}: {words}" for job, done, words in finish(todo) if not done]
    if failures:
        raise ValueError(f"reproduce: {len(failures)} of {len(todo)} trainings failed: {failures[0]}")


def finish(todo: list[TrainingJob]) -> Iterator[tuple[TrainingJob, bool, str]]:
    """Run jobs; yield each when it ends, whether it succeeded, and its scores or error.

    Raises:
        StoppedBySignal: SIGINT or SIGTERM came, and the trainings that ran have saved their state.
    """
    results = side_by_side(todo) if todo[0].request.jobs > 1 else one_by_one(todo)
    for count, (job, done, words) in enumerate(results, 1):
        tell(f"[{count}/{len(todo)}] {job.model}, seed {job.seed}: {words}")
        yield job, done, words


def one_by_one(todo: list[TrainingJob]) -> Iterator[tuple[TrainingJob, bool, str]]:
    """Run the jobs in this process; see `finish`."""
    for count, job in enumerate(todo):
        try:
            yield job, True, run_job(job)
        except StoppedBySignal as stop:
            raise _stopped(stop.number, count, len(todo)) from stop
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: torch's, such as a GPU out of memory
            yield job, False, f"failed: {error}"


def side_by_side(todo: list[TrainingJob]) -> Iterator[tuple[TrainingJob, bool, str]]:
    """Run the jobs in separate processes, each with its share of the cores; see `finish`."""
    context = get_context("spawn")
    stop, finished = context.Event(), 0
    with (
        StopSignals("the trainings stop after their iteration and save") as signals,
        signals.deferred(),
        ProcessPoolExecutor(todo[0].request.jobs, context, _begin_worker, (stop,)) as pool,
    ):
        running = {pool.submit(run_job, job): job for job in todo}
        try:
            while running and not (stop.is_set() and all(future.cancelled() for future in running)):
                for future in wait(running, _LOOK_AT_RUNS, FIRST_COMPLETED).done:
                    job = running.pop(future)
                    error = None if future.cancelled() else future.exception()
                    if future.cancelled() or isinstance(error, StoppedBySignal):
                        continue
                    finished += error is None
                    yield job, error is None, future.result() if error is None else f"failed: {error}"
                if signals.received is not None and not stop.is_set():
                    stop.set()
                    for future in running:
                        future.cancel()
        finally:
            stop.set()  # whoever leaves this loop does not wait for hours
    if signals.received is not None:
        raise _stopped(signals.received, finished, len(todo))


def _stopped(number: int, finished: int, total: int) -> StoppedBySignal:
    return StoppedBySignal(
        number,
        f"stopped by {Signals(number).name}: {finished} of {total} trainings are finished, and the same command "
        "continues those that were begun",
    )


_stop: "Event | None" = None


def _begin_worker(stop: "Event") -> None:
    """The first process alone listens to signals, and sets `stop`."""
    global _stop  # noqa: PLW0603  a pool's process serves one command
    _stop = stop
    for number in (SIGINT, SIGTERM):
        signal(number, SIG_IGN)
    end_with_parent()


def run_job(job: TrainingJob) -> str:
    """One training and its scores; returns one line about it. Raises StoppedBySignal, with the state saved."""
    torch.set_num_threads(job.threads)
    request, data = job.request, open_experiment(job.request.data)
    config = request.config(job.model, job.seed, job.length)
    with StopSignals("the training stops after this iteration") as signals, stopped_by(_stop, signals):
        signals.check()
        initial = partial(request.initial_network, config)
        trainer = train_once(config, data, job.folder, initial, request.accelerator, signals)
        record = score(job.model, trainer, data)
    record.extra.update(beside=job.plan.iterations, smoke=job.plan.smoke)
    record.save(request.records)
    return describe_record(record)


def describe_record(record: ExperimentRecord) -> str:
    """PQ of every fusion, and the time."""
    figures = []
    for fusion in record.fusions:
        scores = PanopticScores.of(record.classes, record.counts(fusion).sum(axis=0))["All"]
        figures.append(f"{fusion} {100 * scores.pq:.1f}" if scores else f"{fusion} -")
    facts = record.facts
    return f"PQ {', '.join(figures)}; {facts['training_minutes']} + {facts['scoring_minutes']} minutes"


def speed_file(request: Request, iterations: int) -> Path:
    """The file with the last speed measurement of networks of this length: a smoke test replaces no other one."""
    return request.records / f"{request.data_name}-speed{request.suffix}-i{iterations}.json"


def speed_checkpoints(request: Request, iterations: int) -> dict[str, Path]:
    """The networks that are timed, by table row: those of seed 0."""
    rows = TABLE_SPEED.rows
    return {row.label: request.run_folder(row.model, 0, iterations) / "last.safetensors" for row in rows}


def check_speed(request: Request, plan: TrainingPlan) -> None:
    """Check before any training that every network to be timed will exist.

    Raises:
        FileNotFoundError: one is finished, but its checkpoint is gone, and no measurement is kept.
    """
    if speed_file(request, plan.iterations).is_file():
        return
    checkpoints = speed_checkpoints(request, plan.iterations)
    for row in TABLE_SPEED.rows:
        record = request.record_path(row.model, 0, plan.length(row.model))
        if record.exists() and not checkpoints[row.label].is_file():
            raise FileNotFoundError(
                f"reproduce speed: {checkpoints[row.label]} is gone; remove the records of {row.model} in "
                f"{request.records} to train it again, or ask for the other tables alone"
            )


def speed_table(request: Request, iterations: int, plan: TrainingPlan | None) -> str:
    """Milliseconds per image of the networks of seed 0: measured in turn, or the kept measurement.

    Raises:
        FileNotFoundError: nothing can be measured, and no measurement is kept.
    """
    path = speed_file(request, iterations)
    checkpoints = speed_checkpoints(request, iterations)
    if plan is not None and all(checkpoint.is_file() for checkpoint in checkpoints.values()):
        device = launch(request.accelerator).device
        found = {row.label: (Segmenter.load(checkpoints[row.label], device), row.fusion) for row in TABLE_SPEED.rows}
        timings = time_in_turn(found, open_experiment(request.data).test)
        own = {"threads": torch.get_num_threads(), "iterations": iterations, "smoke": plan.smoke}
        milliseconds = {name: asdict(timing) for name, timing in timings.items()}
        content = {"facts": environment(device) | own, "milliseconds": milliseconds}
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    if not path.is_file():
        raise FileNotFoundError(f"reproduce speed: {path} does not exist; run without --from-records")
    return render_speed(json.loads(path.read_text()))
