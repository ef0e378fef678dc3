"""The wrapper modules do what the network does; converting them is another test, because it takes seconds."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.export.test_detection import network_of
from tests.tiny import HEIGHT, WIDTH, eager, image_batch, tiny_config
from unipan.config import Config
from unipan.export.wrappers import DenseGraph, HeadGraph
from unipan.models.parts import LEVELS

SETTINGS: dict[str, dict[str, object]] = {
    "the paper's": {"affinity.activation": "gelu"},
    "identity": {},
    "rope on a finer grid": {"affinity.rope": 1, "decoder.stride": 2, "affinity.shortest_wavelength": 32.0},
    "elu and an encoding": {"affinity.activation": "elu", "affinity.positional_encoding": 2, "decoder.stride": 1},
    "softmax": {"affinity.normalise": "softmax", "affinity.activation": "softmax"},
    "softmax, finer": {"affinity.normalise": "softmax", "decoder.stride": 2},
    "relu by pixels": {"affinity.activation": "relu", "affinity.normalise": "pixels"},
    "A with void": {"potential.variant": "A", "potential.void_channel": True, "affinity.normalise": "none"},
    "C": {"potential.variant": "C"},
    "no affinity": {"affinity.enabled": False},
    "deformable": {"decoder.deformable": True},
    "summing decoder": {"decoder.kind": "sum"},
    "no masks": {"detection.masks": False},
}


def configured(settings: dict[str, object]) -> Config:
    config = eager(tiny_config())
    stride: Any = settings.get("decoder.stride", 4)
    config = replace(config, matching=replace(config.matching, stride=stride))
    for name, value in settings.items():
        section, _, field = name.partition(".")
        config = replace(config, **{section: replace(getattr(config, section), **{field: value})})
    return replace(config, inference=replace(config.inference, score_threshold=0.0))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_two_graphs_are_the_network(name: str) -> None:
    network = network_of(configured(SETTINGS[name]))
    batch = image_batch(1, seed=7)
    with torch.no_grad():
        expected = network(batch)
        cues = DenseGraph(network)(batch.pixels, torch.tensor([HEIGHT, WIDTH]))
        assert (LEVELS[0] in cues) == ("masks" in cues)
        made = HeadGraph(network)(**{name: cue for name, cue in cues.items() if name not in LEVELS})
    torch.testing.assert_close(cues["semantic"], expected.semantic[0])
    assert ("panoptic" in made) == (network.affinity is not None)
    torch.testing.assert_close(made["potential"], expected.potentials[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made.get("panoptic", made["potential"]), expected.panoptic[0], atol=1e-5, rtol=1e-4)
    assert len(expected.detections[0]) > 2


def test_the_head_has_no_weights_and_leaves_the_network_alone() -> None:
    network = network_of(configured(SETTINGS["the paper's"]))
    assert list(HeadGraph(network).parameters()) == []
    assert network.affinity is not None
    assert len(list(network.affinity.parameters())) > 4


def test_of_a_network_with_another_detector_the_head_alone_is_offered() -> None:
    network = network_of(configured(SETTINGS["no masks"]))
    network.detection = nn.Identity()  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"a detector of its own \(Identity\).*head_graph\(network\)"):
        DenseGraph(network)
