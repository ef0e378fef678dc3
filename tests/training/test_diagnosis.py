"""What a training says whose things are all missed, by what is the matter with the network."""

from dataclasses import replace

import pytest
import torch

from tests.tiny import CATEGORIES, Drawn, eager, tiny_config, tiny_network
from unipan.config import Config
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.inference import Segmenter
from unipan.models.network import PanopticNetwork
from unipan.training.diagnosis import ThingEvidence, explain_missing_things, sentence
from unipan.training.schedule import enough_steps


def explained(network: PanopticNetwork, config: Config, data: Drawn) -> str:
    segmenter = Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))
    return explain_missing_things(segmenter, data, range(len(data)), 0.0, 100)


def biased(config: Config, things: float) -> PanopticNetwork:
    """V says things everywhere, or nowhere."""
    network = tiny_network(config)
    with torch.no_grad():
        network.semantic.project.bias[:] = torch.tensor([things, things, 0.0, 0.0])  # type: ignore[union-attr, index]
    return network


def test_v_that_calls_things_stuff_is_named() -> None:
    config = eager(tiny_config())
    text = explained(biased(config, -50.0), config, Drawn([2, 3]))
    assert "of 5 things in 2 validation images none" in text
    assert "V gives 0 % of their pixels" in text
    assert "--loss.semantic-kind both" in text


def test_scores_below_the_threshold_are_named() -> None:
    base = tiny_config()
    config = replace(base, inference=replace(base.inference, score_threshold=1.0))
    assert "no detection reaches the score threshold of 1 " in explained(biased(config, 50.0), config, Drawn([2]))


def test_segments_that_miss_are_counted() -> None:
    base = eager(tiny_config())
    config = replace(base, inference=replace(base.inference, score_threshold=0.0))
    assert "none overlaps a thing by half" in explained(biased(config, 50.0), config, Drawn([2]))


def test_images_without_things_are_said() -> None:
    config = eager(tiny_config())
    assert "there is no PQ of things" in explained(tiny_network(config), config, Drawn([0]))


@pytest.mark.parametrize(("steps", "proposed"), [(2, 100), (60, 240), (1500, 6000)])
def test_more_steps_are_proposed_from_those_that_were_taken_and_never_fewer_than_find_things(
    steps: int, proposed: int
) -> None:
    base = tiny_config()
    evidence = ThingEvidence(SemanticIoU(CATEGORIES), things=3)
    config = replace(base, train=replace(base.train, iterations=steps))
    text = sentence(evidence, config, 0.0, enough_steps(trained=True))
    assert text.endswith(f"--train.iterations {proposed}), or weigh classes alike in V: --loss.semantic-kind both")
    afresh = sentence(evidence, config, 0.0, enough_steps(trained=False))
    assert f"--train.iterations {max(4 * steps, 600)})" in afresh


def test_next_to_nothing_is_not_called_nothing() -> None:
    text = sentence(ThingEvidence(SemanticIoU(CATEGORIES), things=3), tiny_config(), 0.004, 100)
    assert "PQ of things is 0.4 %" in text
    assert "hardly any is found" in text
