"""Table 4, the network pretrained on COCO: what the page's own command keeps of it, by the names of the classes."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.paper.test_recipes import narrow
from tests.test_commands_in_pages import commands, words
from unipan.build import build_network
from unipan.checkpoint import save_checkpoint, transfer
from unipan.commands.train import parse
from unipan.config import Config
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.models.network import PanopticNetwork
from unipan.panoptic.categories import Categories
from unipan.presets import coco_r101
from unipan.training.session import describe_transfer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "full_size.md"
SHARED = {
    "road": "road", "sidewalk": "pavement-merged", "building": "building-other-merged", "wall": "wall-other-merged",
    "fence": "fence-merged", "traffic light": "traffic light", "vegetation": "tree-merged", "terrain": "grass-merged",
    "sky": "sky-other-merged", "person": "person", "car": "car", "truck": "truck", "bus": "bus", "train": "train",
    "motorcycle": "motorcycle", "bicycle": "bicycle",
}  # fmt: skip
"""Name in Cityscapes -> in COCO."""
NEW = {"rider", "pole", "traffic sign"}
THINGS = [category.name for category in CITYSCAPES.things if category.name not in NEW]
DETECTOR = {
    "detection.roi.box_predictor.cls_score": (1, 1),
    "detection.roi.box_predictor.bbox_pred": (4, 1),
    "detection.mask_predictor.mask_fcn_logits": (1, 0),
}
"""Layer -> rows of a class, and whether the background stands before the first."""


def command() -> Config:
    """The experiment that the page's second command of this row trains."""
    rows = [given for text, _ in commands(PAGE) if (given := words(text))[:2] == ["train", "cityscapes_r101"]]
    assert len(rows) == 1
    assert "--init" in rows[0]
    return parse(rows[0][1], rows[0][2:]).config


def network_of(config: Config, categories: Categories, seed: int) -> PanopticNetwork:
    torch.manual_seed(seed)
    network = build_network(config, categories)
    with torch.no_grad():  # biases start at 0 in both, and would be the same whatever was taken
        for name, value in network.named_parameters():
            if name.endswith("bias"):
                value.normal_()
    return network


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[PanopticNetwork, Path]:
    """What stands in for the network trained on COCO, and its file."""
    config, categories = narrow(coco_r101()), coco_categories()
    network, path = network_of(config, categories, 1), tmp_path_factory.mktemp("coco") / "last.safetensors"
    save_checkpoint(path, network.state_dict(), config, categories, {})
    return network, path


def rows_of(state: dict[str, Tensor], layer: str, category: int, rows: int = 1, backgrounds: int = 0) -> list[Tensor]:
    """Weights and biases of one class in a layer that ends in classes."""
    first = (category + backgrounds) * rows
    return [state[f"{layer}.{kind}"][first : first + rows] for kind in ("weight", "bias")]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def assert_mean(found: list[Tensor], old: dict[str, Tensor], layer: str, kin: list[int], *of: int, new: int) -> None:
    """Rows are the mean of those of COCO's classes; logits of a softmax grow by the log of old classes per new one."""
    weights, biases = zip(*[rows_of(old, layer, each, *of) for each in kin], strict=True)
    more = math.log(len(kin) / new) if layer in ("semantic.project", "detection.roi.box_predictor.cls_score") else 0.0
    torch.testing.assert_close(found[0], torch.stack(weights).mean(0))
    torch.testing.assert_close(found[1], torch.stack(biases).mean(0) + more)


def assert_detector_by_name(now: dict[str, Tensor], old: dict[str, Tensor]) -> None:
    """The shared things' rows are COCO's, the rider's are the mean of all things there."""
    here, there = CITYSCAPES.index_of_name, coco_categories().index_of_name
    for layer, (rows, backgrounds) in DETECTOR.items():
        for name in THINGS:
            assert_same(
                rows_of(now, layer, here[name], rows, backgrounds),
                rows_of(old, layer, there[SHARED[name]], rows, backgrounds),
            )
        rider = rows_of(now, layer, here["rider"], rows, backgrounds)
        assert_mean(rider, old, layer, list(range(len(coco_categories().things))), rows, backgrounds, new=1)


def test_the_pages_command_keeps_shared_classes_by_name(trained: tuple[PanopticNetwork, Path]) -> None:
    before, path = trained
    network = network_of(narrow(command()), CITYSCAPES, 2)
    taken = transfer(network, path, CITYSCAPES)
    assert (taken.left, taken.decoders) == ([], [])
    assert set(taken.semantic) == set(SHARED)
    assert {c.name for c in CITYSCAPES} - set(taken.semantic) == NEW
    assert set(taken.detection) == set(THINGS)
    now, old = network.state_dict(), before.state_dict()
    here, there = CITYSCAPES.index_of_name, coco_categories().index_of_name
    for name, other in SHARED.items():
        assert_same(rows_of(now, "semantic.project", here[name]), rows_of(old, "semantic.project", there[other]))
    for name in NEW:
        isthing = CITYSCAPES[here[name]].isthing
        kin = [n for n, each in enumerate(coco_categories()) if each.isthing == isthing]
        found = rows_of(now, "semantic.project", here[name])
        assert_mean(found, old, "semantic.project", kin, new=1 if isthing else 2)  # rider; pole and traffic sign
    assert_detector_by_name(now, old)
    classes = ("semantic.project.", *(f"{layer}." for layer in DETECTOR))
    assert all(torch.equal(now[key], old[key]) for key in now if not key.startswith(classes))


def test_with_the_presets_two_layers_v_and_q_start_afresh(trained: tuple[PanopticNetwork, Path]) -> None:
    before, path = trained
    config = command()
    assert config.decoder.layers == 3
    network = network_of(narrow(replace(config, decoder=replace(config.decoder, layers=2))), CITYSCAPES, 2)
    fresh = {key: value.clone() for key, value in network.state_dict().items()}
    taken = transfer(network, path, CITYSCAPES)
    assert taken.decoders == ["semantic", "affinity.extractor"]
    assert taken.semantic == []
    assert set(taken.detection) == set(THINGS)
    now = network.state_dict()
    assert set(taken.left) == {key for key in now if key.startswith(("semantic.", "affinity."))}
    said = describe_transfer(taken, network, CITYSCAPES, "coco")
    assert f"{len(taken.left)} are newly initialised" in said
    assert "--decoder.layers" in said
    assert all(torch.equal(now[key], fresh[key]) for key in taken.left)
    assert_detector_by_name(now, before.state_dict())
