"""One experiment of an ablation: train a network and score it under every fusion that it supports."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unipan.analysis.ceiling import ceiling
from unipan.analysis.evaluate import AP_DETECTIONS, count_detections, semantic_map
from unipan.analysis.heuristic_search import search_thresholds
from unipan.analysis.separation import Separation
from unipan.build import build_network
from unipan.config import Config, HeuristicConfig
from unipan.evaluation.average_precision import AveragePrecision
from unipan.evaluation.confusion import thing_stuff_counts
from unipan.evaluation.pq_scores import GROUPS
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.evaluation.trimming import Scored, trim_stuff
from unipan.folder_lock import folder_lock
from unipan.inference import Segmenter
from unipan.models.network import PanopticNetwork
from unipan.panoptic.maps import PanopticMap, Sample
from unipan.reproduction.ablations import TRIMMED_SHARE
from unipan.reproduction.records import ExperimentRecord, changed_fields, differing, environment, sparse
from unipan.reproduction.request import ExperimentData
from unipan.stopping import StopSignals
from unipan.training.launch import launch
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer

TUNING_IMAGES = 24
"""Number of images for tuning the thresholds of the heuristic fusion."""


def train_once(
    config: Config,
    data: ExperimentData,
    folder: Path,
    initial: Callable[[], PanopticNetwork],
    accelerator: str,
    signals: StopSignals | None = None,
) -> Trainer:
    """Train to the end; an interrupted run in the folder is continued.

    Args:
        config: of the experiment, with its iterations and seed.
        data: its images.
        folder: of the run.
        initial: makes the network with its initial weights.
        accelerator: see `training.launch`.
        signals: the caller's, already entered; its own if there are none.

    Raises:
        ValueError: a run with other options is in the folder, or another process trains there.
        StoppedBySignal: SIGINT or SIGTERM came, and the state is saved.
    """
    with (
        StopSignals("the training stops after this iteration") if signals is None else nullcontext(signals) as stop,
        folder_lock(folder, "--runs"),
    ):
        return _train_once(config, data, folder, initial, accelerator, stop)


def _train_once(
    config: Config,
    data: ExperimentData,
    folder: Path,
    initial: Callable[[], PanopticNetwork],
    accelerator: str,
    signals: StopSignals,
) -> Trainer:
    fabric = launch(accelerator)
    record = RunRecord(folder, quiet=True)
    record.clear_leftovers()
    state = None
    if (folder / "resume" / "state.pt").exists():
        state, stored, _ = record.load_resume()
        if stored != config:
            raise ValueError(f"{folder}: a run with other options is there; remove it, or give --runs DIR")
    network = initial() if state is None else build_network(config, data.train.categories)
    trainer = Trainer(fabric, config, data.train, data.tuning, record, network)
    trainer.signals = signals
    if state is not None:
        trainer.load_state(state)
    record.cut_log(trainer.progress.iteration)
    trainer.run()
    return trainer


def score(
    model: str, trainer: Trainer, data: ExperimentData, say: Callable[[str], None] = lambda _: None
) -> ExperimentRecord:
    """Score a trained network on the test images, under every fusion that it supports."""
    start = time.perf_counter()
    config = trainer.config
    segmenter = Segmenter(trainer.evaluated.eval(), config, data.train.categories, {}, trainer.fabric.device)
    segmenter = segmenter.with_categories(data.test.categories)
    thresholds = _tuned(segmenter, data) if config.detection.masks else None
    found = FusionScores(segmenter, thresholds)
    for index in range(len(data.test)):
        trainer.signals.check()
        found.update(data.test[index])
    progress = trainer.progress
    facts = environment(trainer.fabric.device) | {
        "seconds_per_iteration": round(progress.seconds / max(progress.iteration, 1), 3),
        "training_minutes": round(progress.seconds / 60, 1),
        "scoring_minutes": round((time.perf_counter() - start) / 60, 1),
        "threads": torch.get_num_threads(),
    }
    say(f"{model}: trained for {facts['training_minutes']} minutes, scored in {facts['scoring_minutes']}")
    top = ceiling(data.test, config.data, config.decoder.stride).scores
    return ExperimentRecord(
        model=model,
        data=data.name,
        seed=config.train.seed,
        iterations=config.train.iterations,
        config=changed_fields(config),
        facts=facts,
        categories=segmenter.categories.to_coco(),
        images=found.names,
        fusions=found.to_json(),
        semantic=found.semantic.compute().to_json()
        | {"confusion": found.semantic.confusion.tolist(), "sides": found.sides},
        ap=found.precision.compute(),
        tuned=None if thresholds is None else asdict(thresholds),
        ceiling={group.lower(): round(q.pq, 4) for group in GROUPS if (q := top[group]) is not None},
        separation=found.separation.to_json(),
    )


def _tuned(segmenter: Segmenter, data: ExperimentData) -> HeuristicConfig:
    images = np.unique(np.linspace(0, len(data.tuning) - 1, min(TUNING_IMAGES, len(data.tuning))).astype(int))
    return search_thresholds(segmenter, data.tuning, images.tolist())[0][0]


class FusionScores:
    """The scores of all fusions of one network, accumulated image by image.

    Args:
        segmenter: with the data's categories.
        thresholds: the tuned ones of the heuristic fusion; None without masks.
    """

    def __init__(self, segmenter: Segmenter, thresholds: HeuristicConfig | None) -> None:
        self.segmenter = segmenter
        self._fusions = scored_fusions(segmenter.config, thresholds)
        categories = segmenter.categories
        self._plain = {name: Scored.of(categories) for name in self._fusions}
        self._trimmed = {name: Scored.of(categories) for name in self._fusions}
        self.semantic = SemanticIoU(categories)
        self.precision = AveragePrecision(categories, AP_DETECTIONS)
        self.separation = Separation()
        self.sides: list[list[int]] = []
        self.names: list[str] = []

    def update(self, sample: Sample) -> None:
        """Segment and count one image."""
        scene = self.segmenter.scene(sample.image)
        area = round(TRIMMED_SHARE * sample.truth.ids.size)
        for name, (fusion, config) in self._fusions.items():
            result = replace(scene, config=config).result(fusion)
            found = PanopticMap(result.ids, result.segments)
            self._plain[name].update(sample.truth, found, sample.name)
            self._trimmed[name].update(sample.truth, trim_stuff(found, area), sample.name)
        before = self.semantic.confusion.copy()
        self.semantic.update(sample.truth, semantic_map(scene), sample.name)
        sides = thing_stuff_counts(self.semantic.confusion - before, self.segmenter.categories)
        self.sides.append(sides.reshape(-1).tolist())
        count_detections(self.precision, scene, sample.truth, sample.name)
        self.separation.update(scene, sample.truth)
        self.names.append(sample.name)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """As in `ExperimentRecord.fusions`."""
        found: dict[str, dict[str, Any]] = {}
        for name, plain in self._plain.items():
            trimmed = self._trimmed[name]
            counts = sparse(plain.quality, self.names)
            found[name] = {
                "counts": counts,
                "trimmed": differing(counts, sparse(trimmed.quality, self.names)),
                "iou": _means(plain.iou),
                "iou_trimmed": _means(trimmed.iou),
            }
        return found


def scored_fusions(config: Config, thresholds: HeuristicConfig | None) -> dict[str, tuple[str, Config]]:
    """The fusions of a network that a record scores, each with the config that it runs under.

    The network's own fusion, and that of a baseline also without its removal of small stuff (`whole`); the argmax of
    Psi and of P; the heuristic fusion with the published and with the tuned thresholds (`tuned`).
    """
    own = config.inference.fusion
    found: dict[str, tuple[str, Config]] = {}
    if own in ("affinity", "potential"):
        found["potential"] = ("potential", config)
        if config.affinity.enabled:
            found["affinity"] = ("affinity", config)
    else:
        found[own] = (own, config)
        # Both baselines remove small stuff themselves; Table I measures the effect.
        found[f"{own} whole"] = (own, replace(config, heuristic=replace(config.heuristic, min_stuff_area=0.0)))
    if thresholds is not None:
        found["heuristic"] = ("heuristic", config)
        found["tuned"] = ("heuristic", replace(config, heuristic=thresholds))
    return found


def _means(iou: SemanticIoU) -> dict[str, float | None]:
    scores = iou.compute()
    return {"mean": scores.mean, "things": scores.things, "stuff": scores.stuff}
