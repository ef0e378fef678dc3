"""What `unipan reproduce` does: plan the trainings, run what no record holds yet, two side by side, make the tables."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch

from unipan.ablations import MODELS, SCENE_SIZE, TABLE_SPEED, TABLES, photos_recipe, scenes_recipe
from unipan.commands.sources import is_scenes, open_photos
from unipan.commands.training import build, fit_to_data
from unipan.config import Config
from unipan.data.scenes import Scenes
from unipan.data.seeds import TRAINING_SEEDS, VALIDATION_SEEDS
from unipan.data.statistics import thing_statistics
from unipan.engine.ablation_table import Finished, models_of, render, render_speed
from unipan.engine.experiment import ExperimentData, score, train_once, with_length
from unipan.engine.experiment_record import (
    ExperimentRecord,
    changed_fields,
    environment,
    hash_of,
    load_records,
    record_name,
)
from unipan.engine.folder_quality import available_cores
from unipan.engine.launch import launch
from unipan.engine.record import RunRecord
from unipan.engine.speed import time_in_turn
from unipan.engine.train import Trainer, spell_time
from unipan.inference import Segmenter
from unipan.metrics.pq_scores import PanopticScores
from unipan.models.network import PanopticNetwork
from unipan.ops.files import write_atomically
from unipan.ops.processes import end_with_parent

TABLE_SEEDS = range(6_000_000, 6_000_200)
"""The scenes that tables are scored on; nothing is chosen by them."""
LARGEST = "D"
"""The model that a budget is fitted to."""
SMOKE_MINUTES = 5.0
"""A shorter budget makes no table to compare."""
SCORING_MINUTES = 1.0
"""Of one training, roughly, for the estimate that is printed first."""


@dataclass(frozen=True)
class Request:
    """What was asked for; see `commands.reproduce`."""

    tables: list[str]
    data: str
    seeds: range
    budget: float
    iterations: int | None
    jobs: int
    runs: Path
    records: Path
    accelerator: str
    panoptic: float = 1.0

    @property
    def models(self) -> list[str]:
        """Keys of all networks, in the order of their turns."""
        wanted = dict.fromkeys(model for table in self.tables for model in TABLES[table].models)
        return sorted(wanted, key=lambda key: MODELS[key].turn)


@dataclass(frozen=True)
class Plan:
    """How long each training is.

    Attributes:
        iterations: of the models of equal length.
        seconds: measured time of a step, by model.
        smoke: too short to compare.
    """

    iterations: int
    seconds: dict[str, float]
    smoke: bool

    def length(self, model: str) -> int:
        """Iterations of a model."""
        other = MODELS[model].as_long_as
        if other is None:
            return self.iterations
        return max(1, round(self.iterations * self.seconds[other] / self.seconds[model]))

    def minutes(self, model: str) -> float:
        """Of one training, without scoring."""
        return self.length(model) * self.seconds[model] / 60


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


def run_folder(request: Request, model: str, seed: int, iterations: int) -> Path:
    """Checkpoints and log of one training."""
    weight = "" if request.panoptic == 1 else f"-w{request.panoptic:g}"
    return request.runs / f"{model.replace(' ', '-')}{weight}-s{seed}-i{iterations}"


def run(request: Request, train: bool = True) -> dict[str, str]:
    """Train what is missing and return the tables as Markdown, by name.

    Raises:
        FileNotFoundError, ValueError: what is wrong with the data, the records or a training, in one sentence.
    """
    if train:
        plan = make_plan(request)
        train_missing(request, plan)
        length = plan.iterations
    else:
        length = longest(request)
    finished = Finished.of(load_records(request.records), data_name(request.data), recipe_hash(request), length)
    return {
        name: speed_table(request, length, train) if name == "speed" else render(TABLES[name], finished)
        for name in request.tables
    }


def speed_table(request: Request, iterations: int, measure: bool) -> str:
    """Milliseconds an image of the trained networks of seed 0, measured in turn or, else, read from their file.

    Raises:
        FileNotFoundError: a checkpoint, or the file, is gone.
    """
    path = request.records / f"{data_name(request.data)}-speed.json"
    if measure:
        data = open_experiment(request.data).test
        found = {}
        for row in TABLE_SPEED.rows:
            checkpoint = run_folder(request, row.model, 0, iterations) / "last.safetensors"
            if not checkpoint.is_file():
                raise FileNotFoundError(
                    f"reproduce speed: {checkpoint} is gone; remove the records of {row.model} in {request.records} "
                    "to train it again"
                )
            found[row.label] = (Segmenter.load(checkpoint), row.reading)
        timings = {name: asdict(timing) for name, timing in time_in_turn(found, data).items()}
        facts = environment() | {"threads": torch.get_num_threads(), "iterations": iterations}
        write_atomically(path, (json.dumps({"facts": facts, "milliseconds": timings}, indent=1) + "\n").encode())
    if not path.is_file():
        raise FileNotFoundError(f"reproduce speed: {path} does not exist; run without --from-records")
    return render_speed(json.loads(path.read_text()))


def longest(request: Request) -> int:
    """The longest equal iterations of which there are records."""
    name, recipe = data_name(request.data), recipe_hash(request)
    found = [each for each in load_records(request.records) if each.data == name and each.extra.get("recipe") == recipe]
    if request.iterations is not None:
        return request.iterations
    if not found:
        raise ValueError(f"reproduce: {request.records} holds no record of {name}; run without --from-records first")
    return max(int(each.extra["beside"]) for each in found)


def data_name(source: str) -> str:
    """What records call the data."""
    return source if is_scenes(source) else Path(source).name


@cache
def open_experiment(source: str) -> ExperimentData:
    """The images: drawn scenes, or a folder with train/ and val/.

    Raises:
        FileNotFoundError: no such folder.
    """
    if is_scenes(source):
        parts = (Scenes(seeds, SCENE_SIZE) for seeds in (TRAINING_SEEDS, VALIDATION_SEEDS, TABLE_SEEDS))
        return ExperimentData("scenes", *parts)
    folder = Path(source)
    if not ((folder / "train").is_dir() and (folder / "val").is_dir()):
        raise FileNotFoundError(
            f"--data {source}: give `scenes`, or a folder with train/ and val/ in COCO panoptic format"
        )
    train, val = open_photos(str(folder / "train")), open_photos(str(folder / "val"))
    return ExperimentData(folder.name, train, train, val)


@cache
def recipe(source: str, panoptic: float) -> Config:
    """What all models on this data share, with this weight of the panoptic loss where a model has it."""
    base = scenes_recipe() if is_scenes(source) else photos_recipe()
    base = replace(base, loss=replace(base.loss, panoptic=panoptic, potential=panoptic * base.loss.potential))
    if is_scenes(source):
        return base
    data = open_experiment(source).train
    return fit_to_data(base, thing_statistics(data, base.data, stride=base.decoder.stride))


def recipe_hash(request: Request) -> str:
    """Tells recipes apart in records."""
    return hash_of(changed_fields(recipe(request.data, request.panoptic)))


def config_of(request: Request, model: str, seed: int, iterations: int) -> Config:
    """The config of one training."""
    return with_length(MODELS[model].build(recipe(request.data, request.panoptic)), seed, iterations)


def twins(request: Request) -> dict[str, str]:
    """Models that this recipe makes the same as an earlier one, and that one: without a code of place and a loss on
    Psi, `B printed` is B. One training serves both."""
    first: dict[str, str] = {}
    found = {}
    for model in sorted(MODELS, key=lambda key: MODELS[key].turn):
        if MODELS[model].as_long_as is None:
            same = first.setdefault(hash_of(changed_fields(config_of(request, model, 0, 1))), model)
            if same != model:
                found[model] = same
    return found


def fresh_network(source: str, config: Config) -> PanopticNetwork:
    """Initial weights: drawn from the seed, or, on photographs, the bundled checkpoint's where they fit."""
    torch.manual_seed(config.train.seed)
    categories = open_experiment(source).train.categories
    return build(config, categories, None if is_scenes(source) else "scenes")[0]


def make_plan(request: Request) -> Plan:
    """Lengths of the trainings, from a few timed steps; kept in the runs' folder, so that a resume has the same.

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
    plan = Plan(iterations, known, iterations * known[LARGEST] < SMOKE_MINUTES * 60)
    save_plan(request, plan)
    return plan


def plan_file(request: Request) -> Path:
    """Where the plan of these options is kept."""
    return request.runs / f"plan-{request.iterations or f'{request.budget:g}min'}.json"


def save_plan(request: Request, plan: Plan) -> None:
    """So that a resume has the same lengths."""
    request.runs.mkdir(parents=True, exist_ok=True)
    content = {"iterations": plan.iterations, "seconds": plan.seconds}
    write_atomically(plan_file(request), json.dumps(content, indent=1).encode())


def timed(request: Request, known: dict[str, float], models: set[str]) -> dict[str, float]:
    """Seconds of a step by model: what is known, and the others measured."""
    return known | {model: round(step_seconds(request, model), 4) for model in sorted(models - known.keys())}


def step_seconds(request: Request, model: str) -> float:
    """Median time of a step of one model, with as many threads as its training will have."""
    torch.set_num_threads(threads_of(request.jobs))
    config = config_of(request, model, 0, 100)
    data = open_experiment(request.data)
    record = RunRecord(request.runs / "timing", quiet=True)
    network = fresh_network(request.data, config)
    return Trainer(launch(request.accelerator), config, data.train, data.tuning, record, network).seconds_per_step()


def threads_of(jobs: int) -> int:
    """Threads of one of several trainings: more of them than cores would make all of them wait."""
    return max(1, available_cores() // jobs)


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
    plan = replace(plan, seconds=timed(request, plan.seconds, {model for model, _ in missing}))
    save_plan(request, plan)
    todo = [Job(model, seed, request, plan, threads_of(request.jobs)) for model, seed in missing]
    minutes = sum(plan.minutes(job.model) + SCORING_MINUTES for job in todo) / request.jobs
    print(
        f"{plan.iterations} iterations a model; {len(todo)} of {len(wanted)} trainings to run, {request.jobs} side by "
        f"side: about {spell_time(60 * minutes)} (timed alone; side by side they are slower)"
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
        except (ValueError, OSError) as error:
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
    record.extra.update(recipe=recipe_hash(request), beside=job.plan.iterations, smoke=job.plan.smoke)
    if also := [model for model, same in twins(request).items() if same == job.model]:
        record.extra["also"] = also
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
