"""Validation while training: the figures of log.csv."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from tests.tiny import CATEGORIES, Drawn, eager, tiny_config, tiny_network
from unipan.analysis.evaluate import Evaluation, evaluate
from unipan.inference import Segmenter
from unipan.panoptic.categories import Categories
from unipan.training.run_folder import FIGURES
from unipan.training.validation import gather, logged_scores, validate


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def test_the_figures_are_those_of_the_evaluator(fabric: Fabric) -> None:
    config, data = eager(tiny_config()), Drawn([2, 0, 3])
    network = tiny_network(config).train()
    found = validate(fabric, network, config, CATEGORIES, data)
    assert network.training  # as it was
    assert set(found) == set(FIGURES)
    segmenter = Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))
    expected = evaluate(segmenter, data, ("affinity", "potential"))
    scores = expected.quality["potential"].compute()
    assert scores["All"] is not None
    assert found["psi_pq"] == scores["All"].pq
    assert found == logged_scores(expected)


def test_only_as_many_images_as_asked_for_evenly_spread(fabric: Fabric) -> None:
    base = tiny_config()
    config = replace(base, train=replace(base.train, validation_images=2))
    network = tiny_network(config).eval()
    segmenter = Segmenter(network, config, CATEGORIES, {}, torch.device("cpu"))
    data = Drawn([2, 0, 3, 1])
    ends = logged_scores(evaluate(segmenter, data, ("affinity", "potential"), [0, 3]))
    assert validate(fabric, network, config, CATEGORIES, data) == ends
    everything = replace(config, train=replace(config.train, validation_images=0))
    assert validate(fabric, network, everything, CATEGORIES, data) == logged_scores(
        evaluate(segmenter, data, ("affinity", "potential"))
    )


def test_the_data_may_list_the_classes_in_another_order(fabric: Fabric) -> None:
    class Reordered(Drawn):
        categories = Categories.of(reversed(CATEGORIES.all))

    config = eager(tiny_config())
    network = tiny_network(config).eval()
    plain = validate(fabric, network, config, CATEGORIES, Drawn([2, 3]))
    assert plain["pq"] > 0
    assert validate(fabric, network, config, CATEGORIES, Reordered([2, 3])) == pytest.approx(plain)


def test_groups_without_classes_have_no_figure(fabric: Fabric) -> None:
    """0 would be a figure, and the worst."""
    empty = Evaluation.of(CATEGORIES, ("affinity", "potential"))
    assert set(logged_scores(empty).values()) == {None}


def test_one_process_gathers_its_own_part(fabric: Fabric, tmp_path: Path) -> None:
    part = Evaluation.of(CATEGORIES, ("affinity", "potential"))
    assert gather(fabric, part) == [part]


def test_pq_is_that_of_the_experiments_own_fusion(fabric: Fabric) -> None:
    config = eager(tiny_config())
    config = replace(
        config,
        inference=replace(config.inference, fusion="heuristic"),
        heuristic=replace(config.heuristic, score_threshold=0.0, min_stuff_area=0.0),
    )
    network, data = tiny_network(config).eval(), Drawn([2, 3])
    segmenter = Segmenter(network, config, CATEGORIES, {}, torch.device("cpu"))
    scores = {
        fusion: evaluate(segmenter, data, [fusion]).quality[fusion].compute()["All"]
        for fusion in ("heuristic", "potential", "affinity")
    }
    found = validate(fabric, network, config, CATEGORIES, data)
    assert found["pq"] == pytest.approx(scores["heuristic"].pq)
    assert found["psi_pq"] == pytest.approx(scores["potential"].pq)
    assert len({each.pq for each in scores.values()}) == 3  # the three differ, so none stands in for another
