"""What the exporter follows finds the boxes that the network finds, for any number of them."""

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from tests.tiny import HEIGHT, WIDTH, eager, image_batch, tiny_config, tiny_network
from unipan.config import Config
from unipan.export.detection import find, propose, suppress, within
from unipan.models.network import PanopticNetwork
from unipan.structures import ImageBatch


def network_of(config: Config) -> PanopticNetwork:
    network = tiny_network(config, seed=3).train()
    with torch.no_grad():
        network.backbone(image_batch(4, seed=9).pixels)  # batch norm has seen something
    return network.eval()


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (HEIGHT - 9, WIDTH - 20)])
@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.99])
def test_detections_are_those_of_the_head(masks: bool, aligned: bool, size: tuple[int, int], threshold: float) -> None:
    config = eager(tiny_config(masks))
    config = replace(
        config, detection=replace(config.detection, roi_aligned=aligned, score_threshold=threshold, sampling_ratio=2)
    )
    network = network_of(config)
    pixels = image_batch(1, seed=5).pixels
    with torch.no_grad():
        features = network.backbone((pixels - network.mean) / network.std)
        [expected], _ = network.detection(features, ImageBatch(pixels, [size], ["a"]))
        found = find(network.detection, features, pixels, torch.tensor(size))  # type: ignore[arg-type]
    assert len(found) == len(expected)
    assert (len(found) > 0) == (threshold < 0.9)
    torch.testing.assert_close(found.boxes, expected.boxes)
    torch.testing.assert_close(found.scores, expected.scores)
    assert torch.equal(found.classes, expected.classes)
    assert (found.masks is None) == (expected.masks is None)
    if found.masks is not None:
        torch.testing.assert_close(found.masks, expected.masks, rtol=1e-3, atol=1e-4)  # logits
    assert float(found.boxes[:, 2:].amax(0).sum() if len(found) else 0) <= sum(size)


def test_proposals_are_those_of_torchvision() -> None:
    network = network_of(eager(tiny_config()))
    pixels = image_batch(1, seed=6).pixels
    with torch.no_grad():
        features = network.backbone((pixels - network.mean) / network.std)
        expected, _ = network.detection.rpn(ImageList(pixels, [(HEIGHT, WIDTH)]), features)  # type: ignore[attr-defined]
        found = propose(network.detection.rpn, features, pixels, torch.tensor([HEIGHT, WIDTH]))  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected[0])
    assert len(found) > 4


def test_groups_do_not_suppress_each_other() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]])
    scores, groups = torch.tensor([0.5, 0.9, 0.7]), torch.tensor([0, 0, 1])
    assert suppress(boxes, scores, groups, 0.5).tolist() == [1, 2]
    none = torch.zeros(0)
    assert suppress(boxes[:0], none, none.long(), 0.5).tolist() == []


def test_boxes_end_with_the_image() -> None:
    boxes = torch.tensor([[-3.0, 2, 50, 90]])
    assert within(boxes, torch.tensor([40, 30])).tolist() == [[0, 2, 30, 40]]
