"""A call of `unipan reproduce`, and what follows from it: images, configs, and where results are kept."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from unipan.config import Config
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.same_classes import check_classes
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import TRAINING_SEEDS, VALIDATION_SEEDS
from unipan.datasets.sources import is_scenes, open_photos, train_and_val
from unipan.datasets.statistics import thing_statistics
from unipan.models.network import PanopticNetwork
from unipan.reproduction.ablations import MODELS, SCENE_SIZE, photos_recipe, scenes_recipe
from unipan.reproduction.paper_tables import TABLES
from unipan.reproduction.records import ExperimentRecord, changed_fields, hash_of, load_records, record_name
from unipan.training.session import build, fit_to_data

TABLE_SEEDS = range(6_000_000, 6_000_200)
"""The scenes that the tables are scored on; no choice was made on them."""


@dataclass(frozen=True)
class ExperimentData:
    """The images of an experiment.

    Attributes:
        name: in records: `scenes`, or the folder's name.
        train: for training.
        tuning: for tuning the thresholds of the heuristic fusion; never scored.
        test: for scoring.
    """

    name: str
    train: PanopticData
    tuning: PanopticData
    test: PanopticData


@dataclass(frozen=True)
class Request:
    """The options of `unipan reproduce`; see `commands.reproduce`."""

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
        """Keys of all networks, in the order in which they are trained."""
        wanted = dict.fromkeys(model for table in self.tables for model in TABLES[table].models)
        return sorted(wanted, key=lambda key: MODELS[key].turn)

    @property
    def data_name(self) -> str:
        """The name of the data in records."""
        return self.data if is_scenes(self.data) else Path(self.data).name

    @property
    def suffix(self) -> str:
        """Suffix of file names: the weight of the panoptic loss, if it is not 1."""
        return "" if self.panoptic == 1 else f"-w{self.panoptic:g}"

    def run_folder(self, model: str, seed: int, iterations: int) -> Path:
        """Checkpoints and log of one training."""
        return self.runs / f"{model.replace(' ', '-')}{self.suffix}-s{seed}-i{iterations}"

    def record_path(self, model: str, seed: int, iterations: int) -> Path:
        """The record that one training leaves."""
        fields = changed_fields(self.config(model, seed, iterations))
        return self.records / record_name(self.data_name, model, seed, iterations, hash_of(fields))

    def finished(self) -> list[ExperimentRecord]:
        """All records of this data."""
        return [record for record in load_records(self.records) if record.data == self.data_name]

    def config(self, model: str, seed: int, iterations: int) -> Config:
        """The config of one training."""
        config = MODELS[model].build(recipe(self.data, self.panoptic))
        return replace(config, train=replace(config.train, seed=seed, iterations=iterations))

    def config_hashes(self) -> dict[str, str]:
        """For each model a hash of its config without seed and length, which identifies its trainings."""
        return {model: hash_of(changed_fields(self.config(model, 0, 1))) for model in MODELS}

    def twins(self) -> dict[str, str]:
        """Models whose config equals that of an earlier model, and that model: one training serves both.

        For example, `B plain` is B if the recipe has no positional encoding and no loss on Psi.
        """
        first: dict[str, str] = {}
        found = {}
        hashes = self.config_hashes()
        for model in sorted(MODELS, key=lambda key: MODELS[key].turn):
            if MODELS[model].as_long_as is None:
                same = first.setdefault(hashes[model], model)
                if same != model:
                    found[model] = same
        return found

    def initial_network(self, config: Config) -> PanopticNetwork:
        """The network, initialised from the seed or, for photographs, from the bundled checkpoint where it matches."""
        torch.manual_seed(config.train.seed)
        categories = open_experiment(self.data).train.categories
        return build(config, categories, None if is_scenes(self.data) else "scenes")[0]


@cache
def open_experiment(source: str) -> ExperimentData:
    """The images: drawn scenes, or a folder with train/ and val/.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a choice of scenes, or different classes in val/ and train/.
    """
    if is_scenes(source):
        if source != "scenes":
            raise ValueError(f"--data {source}: the scenes of the tables are fixed; give --data scenes")
        parts = (Scenes(seeds, SCENE_SIZE) for seeds in (TRAINING_SEEDS, VALIDATION_SEEDS, TABLE_SEEDS))
        return ExperimentData("scenes", *parts)
    train, val = (open_photos(str(half)) for half in train_and_val(source))
    check_classes(train.categories, val.categories)  # now, and not after hours of training
    return ExperimentData(Path(source).name, train, train, val)


@cache
def recipe(source: str, panoptic: float) -> Config:
    """What all models on this data share; `panoptic` is the weight of the panoptic loss in models that have it."""
    base = scenes_recipe() if is_scenes(source) else photos_recipe()
    base = replace(base, loss=replace(base.loss, panoptic=panoptic, potential=panoptic * base.loss.potential))
    if is_scenes(source):
        return base
    return fit_to_data(base, thing_statistics(open_experiment(source).train, base.data, stride=base.decoder.stride))
