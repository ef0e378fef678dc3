"""What `unipan reproduce` was asked for: the images, the recipe that all models share, and each model's own config."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from unipan.config import Config
from unipan.datasets.same_classes import check_classes
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import TRAINING_SEEDS, VALIDATION_SEEDS
from unipan.datasets.sources import is_scenes, open_photos
from unipan.datasets.statistics import thing_statistics
from unipan.models.network import PanopticNetwork
from unipan.reproduction.ablations import MODELS, SCENE_SIZE, photos_recipe, scenes_recipe
from unipan.reproduction.experiment import ExperimentData, with_length
from unipan.reproduction.paper_tables import TABLES
from unipan.reproduction.records import changed_fields, hash_of
from unipan.training.session import build, fit_to_data

TABLE_SEEDS = range(6_000_000, 6_000_200)
"""The scenes that tables are scored on; nothing is chosen by them."""


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


def run_folder(request: Request, model: str, seed: int, iterations: int) -> Path:
    """Checkpoints and log of one training."""
    return request.runs / f"{model.replace(' ', '-')}{weight_name(request)}-s{seed}-i{iterations}"


def weight_name(request: Request) -> str:
    """The part of a name that tells another weight of the panoptic loss than 1."""
    return "" if request.panoptic == 1 else f"-w{request.panoptic:g}"


def data_name(source: str) -> str:
    """What records call the data."""
    return source if is_scenes(source) else Path(source).name


@cache
def open_experiment(source: str) -> ExperimentData:
    """The images: drawn scenes, or a folder with train/ and val/.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: chosen scenes, or other classes in val/ than in train/.
    """
    if is_scenes(source):
        if source != "scenes":
            raise ValueError(f"--data {source}: the scenes of the tables are fixed; give --data scenes")
        parts = (Scenes(seeds, SCENE_SIZE) for seeds in (TRAINING_SEEDS, VALIDATION_SEEDS, TABLE_SEEDS))
        return ExperimentData("scenes", *parts)
    folder = Path(source)
    if not ((folder / "train").is_dir() and (folder / "val").is_dir()):
        raise FileNotFoundError(
            f"--data {source}: give `scenes`, or a folder with train/ and val/ in COCO panoptic format"
        )
    train, val = open_photos(str(folder / "train")), open_photos(str(folder / "val"))
    # Scoring would find out, after hours of training.
    check_classes(train.categories, val.categories)
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


def config_of(request: Request, model: str, seed: int, iterations: int) -> Config:
    """The config of one training."""
    return with_length(MODELS[model].build(recipe(request.data, request.panoptic)), seed, iterations)


def config_hashes(request: Request) -> dict[str, str]:
    """What tells each model's trainings from others', by model: all of its config but seed and length."""
    return {model: hash_of(changed_fields(config_of(request, model, 0, 1))) for model in MODELS}


def twins(request: Request) -> dict[str, str]:
    """Models that this recipe makes the same as an earlier one, and that one: without a code of place and a loss on
    Psi, `B printed` is B. One training serves both."""
    first: dict[str, str] = {}
    found = {}
    hashes = config_hashes(request)
    for model in sorted(MODELS, key=lambda key: MODELS[key].turn):
        if MODELS[model].as_long_as is None:
            same = first.setdefault(hashes[model], model)
            if same != model:
                found[model] = same
    return found


def fresh_network(source: str, config: Config) -> PanopticNetwork:
    """Initial weights: drawn from the seed, or, on photographs, the bundled checkpoint's where they fit."""
    torch.manual_seed(config.train.seed)
    categories = open_experiment(source).train.categories
    return build(config, categories, None if is_scenes(source) else "scenes")[0]
