"""One experiment, from fresh weights to its record, against the evaluator that `unipan evaluate` uses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import CATEGORIES, Drawn, tiny_config, tiny_network
from unipan.analysis.evaluate import evaluate
from unipan.analysis.heuristic_search import GRID, search_thresholds
from unipan.config import Config
from unipan.inference import Segmenter
from unipan.presets import panoptic_fpn
from unipan.reproduction.experiment import score, train_once
from unipan.reproduction.records import ExperimentRecord
from unipan.reproduction.request import ExperimentData
from unipan.training.trainer import Trainer

DATA = ExperimentData("drawn", Drawn([3, 0, 2]), Drawn([2, 1], 50), Drawn([3, 2, 1, 0], 80))


def config_of(**changes: object) -> Config:
    base = replace(tiny_config(), inference=replace(tiny_config().inference, score_threshold=0.0))
    return replace(base, **changes)  # type: ignore[arg-type]


def trained(config: Config, folder: Path) -> Trainer:
    return train_once(config, DATA, folder, lambda: tiny_network(config), "cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, ExperimentRecord]:
    trainer = trained(config_of(), tmp_path_factory.mktemp("run"))
    return trainer, score("D", trainer, DATA)


def test_every_reading_is_what_the_evaluator_counts(finished: tuple[Trainer, ExperimentRecord]) -> None:
    trainer, record = finished
    assert set(record.fusions) == {"potential", "affinity", "heuristic", "tuned"}
    segmenter = Segmenter(trainer.evaluated.eval(), trainer.config, CATEGORIES, {}, trainer.fabric.device)
    found = evaluate(segmenter, DATA.test, ("affinity", "potential", "heuristic"))
    for fusion, quality in found.quality.items():
        assert quality.names == sorted(record.images)
        order = [record.images.index(name) for name in quality.names]
        assert np.allclose(record.counts(fusion)[order], quality.per_image, atol=5e-5), fusion
        assert quality.per_image.any()
    assert record.semantic["mean"] == pytest.approx(found.semantic.compute().mean)
    assert record.fusions["affinity"]["iou"]["mean"] == pytest.approx(found.panoptic.compute().mean)
    assert (record.seed, record.iterations, record.model, record.data) == (0, 6, "D", "drawn")


def test_the_tuned_limits_are_the_best_of_the_grid(finished: tuple[Trainer, ExperimentRecord]) -> None:
    trainer, record = finished
    segmenter = Segmenter(trainer.evaluated.eval(), trainer.config, CATEGORIES, {}, trainer.fabric.device)
    grid = search_thresholds(segmenter, DATA.tuning, range(len(DATA.tuning)))
    assert len(grid) == np.prod([len(values) for values in GRID.values()])
    assert record.tuned == vars(grid[0][0])
    scores = [quality.compute()["All"].pq for _, quality in grid]  # type: ignore[union-attr]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


def test_without_masks_there_is_no_heuristic_fusion_and_without_affinity_no_p(tmp_path: Path) -> None:
    base = config_of()
    config = replace(
        base,
        detection=replace(base.detection, masks=False),
        affinity=replace(base.affinity, enabled=False),
        loss=replace(base.loss, panoptic=0.0),
    )
    record = score("A", trained(config, tmp_path), DATA)
    assert list(record.fusions) == ["potential"]
    assert record.tuned is None
    assert record.ap is not None
    assert record.ap["mask"] is None


def test_a_baseline_is_read_with_its_small_stuff_too(tmp_path: Path) -> None:
    """Table I: what heuristic fusion removes by itself is no gain of trimming."""
    config = panoptic_fpn(config_of(heuristic=replace(tiny_config().heuristic, min_stuff_area=0.5)))
    record = score("Panoptic FPN", trained(config, tmp_path), DATA)
    assert set(record.fusions) == {"heuristic", "heuristic whole", "tuned"}
    stuff = len(CATEGORIES.things)
    segments = {
        name: record.counts(name)[:, stuff:, 1:3].sum()  # TP + FP
        for name in ("heuristic", "heuristic whole")
    }
    assert segments["heuristic whole"] > segments["heuristic"]


def test_an_interrupted_training_continues(tmp_path: Path) -> None:
    config = config_of()
    whole = trained(config, tmp_path / "whole")
    half = Trainer(whole.fabric, config, DATA.train, DATA.tuning, whole.record.__class__(tmp_path / "cut", quiet=True),
                   tiny_network(config))  # fmt: skip
    half.run(stop_after=4)
    calls: list[int] = []
    cut = train_once(config, DATA, tmp_path / "cut", lambda: calls.append(1) or tiny_network(config), "cpu")  # type: ignore[func-returns-value]
    assert not calls
    assert cut.progress.iteration == 6
    wanted = whole.evaluated.state_dict()
    assert all((value == wanted[key]).all() for key, value in cut.evaluated.state_dict().items())


def test_another_experiments_folder_is_not_continued(tmp_path: Path) -> None:
    config = config_of()
    trained(config, tmp_path)
    other = replace(config, train=replace(config.train, lr=0.5))
    with pytest.raises(ValueError, match="a run with other options is there"):
        trained(other, tmp_path)
