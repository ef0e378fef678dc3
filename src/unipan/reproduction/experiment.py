"""One experiment of an ablation: train a network, read its maps in every way it allows, score each once an image."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unipan.analysis.ceiling import ceiling
from unipan.analysis.evaluate import AP_DETECTIONS, count_detections, semantic_map
from unipan.analysis.heuristic_search import merged, search_merger
from unipan.build import build_network
from unipan.config import Config, HeuristicConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.evaluation.average_precision import AveragePrecision
from unipan.evaluation.confusion import thing_stuff_counts
from unipan.evaluation.pq_scores import GROUPS
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.evaluation.trimming import Scored, trim_stuff
from unipan.inference import Scene, Segmenter
from unipan.models.network import PanopticNetwork
from unipan.panoptic.maps import PanopticMap, Sample
from unipan.reproduction.ablations import TRIMMED_SHARE
from unipan.reproduction.records import ExperimentRecord, changed_fields, differing, environment, sparse
from unipan.training.launch import launch
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer

TUNING_IMAGES = 24
"""Images on which the merger's limits are searched."""

Reading = Callable[[Scene], PanopticMap]


@dataclass(frozen=True)
class ExperimentData:
    """The images of an experiment.

    Attributes:
        name: in records: `scenes`, or the folder's.
        train: trained on.
        tuning: the merger's limits are searched on some of them; never scored.
        test: scored.
    """

    name: str
    train: PanopticData
    tuning: PanopticData
    test: PanopticData


def train_once(
    config: Config, data: ExperimentData, folder: Path, fresh: Callable[[], PanopticNetwork], accelerator: str
) -> Trainer:
    """Train to the end, from where an interrupted run in the folder stands.

    Args:
        config: the experiment, with its iterations and seed.
        data: its images.
        folder: of the run.
        fresh: makes the network with its initial weights.
        accelerator: see `engine.launch`.
    """
    fabric = launch(accelerator)
    record = RunRecord(folder, quiet=True)
    if (folder / "resume" / "state.pt").exists():
        state, stored, _ = record.load_resume()
        if stored != config:
            raise ValueError(f"{folder}: a run with other options is there; remove it, or give --runs DIR")
        trainer = Trainer(fabric, config, data.train, data.tuning, record, build_network(config, data.train.categories))
        trainer.load_state(state)
        record.cut_log(trainer.progress.iteration)
    else:
        record.cut_log(0)
        trainer = Trainer(fabric, config, data.train, data.tuning, record, fresh())
    trainer.run()
    return trainer


def score(
    model: str, trainer: Trainer, data: ExperimentData, say: Callable[[str], None] = lambda _: None
) -> ExperimentRecord:
    """Read and score the maps of a trained network on the test images."""
    start = time.perf_counter()
    config = trainer.config
    network = trainer.evaluated.eval()
    segmenter = Segmenter(network, config, data.train.categories, {}, trainer.fabric.device)
    segmenter = segmenter.with_categories(data.test.categories)
    limits = _tuned(segmenter, data) if config.detection.masks else None
    found = Scores(segmenter, limits)
    for index in range(len(data.test)):
        found.update(data.test[index])
    progress = trainer.progress
    facts = environment(trainer.fabric.device) | {
        "seconds_per_iteration": round(progress.seconds / max(progress.iteration, 1), 3),
        "training_minutes": round(progress.seconds / 60, 1),
        "scoring_minutes": round((time.perf_counter() - start) / 60, 1),
        "threads": torch.get_num_threads(),
    }
    say(f"{model}: trained for {facts['training_minutes']} minutes, scored in {facts['scoring_minutes']}")
    top = ceiling(data.test, config.data, config.decoder.stride)
    return ExperimentRecord(
        model=model,
        data=data.name,
        seed=config.train.seed,
        iterations=config.train.iterations,
        config=changed_fields(config),
        facts=facts,
        categories=segmenter.categories.to_coco(),
        images=found.names,
        readings=found.readings(),
        semantic=found.semantic.compute().to_json()
        | {"confusion": found.semantic.confusion.tolist(), "sides": found.sides},
        ap=None if found.precision is None else found.precision.compute(),
        merger=None if limits is None else asdict(limits),
        ceiling={group.lower(): round(q.pq, 4) for group in GROUPS if (q := top.scores[group]) is not None},
    )


def _tuned(segmenter: Segmenter, data: ExperimentData) -> HeuristicConfig:
    images = np.unique(np.linspace(0, len(data.tuning) - 1, min(TUNING_IMAGES, len(data.tuning))).astype(int))
    return search_merger(segmenter, data.tuning, images.tolist())[0][0]


class Scores:
    """Every reading of one network, counted image by image.

    Args:
        segmenter: with the data's categories.
        limits: of the tuned merger; None without masks.
    """

    def __init__(self, segmenter: Segmenter, limits: HeuristicConfig | None) -> None:
        self.segmenter = segmenter
        self._ways = ways_to_read(segmenter.config, limits)
        categories = segmenter.categories
        self._plain = {name: Scored.of(categories) for name in self._ways}
        self._trimmed = {name: Scored.of(categories) for name in self._ways}
        self.semantic = SemanticIoU(categories)
        self.precision = AveragePrecision(categories, AP_DETECTIONS) if find_spec("faster_coco_eval") else None
        self.sides: list[list[int]] = []
        self.names: list[str] = []

    def update(self, sample: Sample) -> None:
        """Segment and count one image."""
        scene = self.segmenter.scene(sample.image)
        area = round(TRIMMED_SHARE * sample.truth.ids.size)
        for name, read in self._ways.items():
            result = read(scene)
            found = PanopticMap(result.ids, result.segments)
            self._plain[name].update(sample.truth, found, sample.name)
            self._trimmed[name].update(sample.truth, trim_stuff(found, area), sample.name)
        before = self.semantic.confusion.copy()
        self.semantic.update(sample.truth, semantic_map(scene), sample.name)
        sides = thing_stuff_counts(self.semantic.confusion - before, self.segmenter.categories)
        self.sides.append(sides.reshape(-1).tolist())
        if self.precision is not None:
            count_detections(self.precision, scene, sample.truth, sample.name)
        self.names.append(sample.name)

    def readings(self) -> dict[str, dict[str, Any]]:
        """As in `ExperimentRecord`."""
        found: dict[str, dict[str, Any]] = {}
        for name, plain in self._plain.items():
            trimmed = self._trimmed[name]
            counts = sparse(plain.quality, self.names)
            found[name] = {
                "counts": counts,
                "trimmed": differing(counts, sparse(trimmed.quality, self.names)),
                "iou": _shares(plain.iou),
                "iou_trimmed": _shares(trimmed.iou),
            }
        return found


def ways_to_read(config: Config, limits: HeuristicConfig | None) -> dict[str, Reading]:
    """The readings that a network allows: its own fusion, a baseline's also with small stuff (`whole`), argmax of Psi
    and of P, the merger published and tuned."""

    def by(fusion: str) -> Reading:
        return lambda scene: scene.result(fusion)

    own = config.inference.fusion
    found: dict[str, Reading] = {}
    if own in ("affinity", "potential"):
        found["potential"] = by("potential")
        if config.affinity.enabled:
            found["affinity"] = by("affinity")
    else:
        found[own] = by(own)
        # Both baselines remove small stuff themselves; Table I asks what that is worth.
        whole = replace(config, heuristic=replace(config.heuristic, min_stuff_area=0.0))
        found[f"{own} whole"] = lambda scene: replace(scene, config=whole).result(own)
    if limits is not None:
        found["heuristic"] = by("heuristic")
        tuned = limits
        found["tuned"] = lambda scene: merged(scene, tuned)
    return found


def _shares(iou: SemanticIoU) -> dict[str, float | None]:
    scores = iou.compute()
    return {"mean": scores.mean, "things": scores.things, "stuff": scores.stuff}


def with_length(config: Config, seed: int, iterations: int) -> Config:
    """The same experiment with its seed and length."""
    return replace(config, train=replace(config.train, seed=seed, iterations=iterations))
