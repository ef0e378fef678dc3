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


def explained(network: PanopticNetwork, config: Config, data: Drawn) -> str:
    segmenter = Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))
    return explain_missing_things(segmenter, data, range(len(data)))


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


@pytest.mark.parametrize("steps", [60, 1500])
def test_more_steps_are_proposed_from_those_that_were_taken(steps: int) -> None:
    base = tiny_config()
    evidence = ThingEvidence(SemanticIoU(CATEGORIES), things=3)
    text = sentence(evidence, replace(base, train=replace(base.train, iterations=steps)))
    assert f"--train.iterations {4 * steps}" in text
