"""The nouns."""

from dataclasses import replace

import numpy as np
import torch

from tests.tiny import CATEGORIES, draw, image_batch, random_detections, square_target
from unipan.panoptic.maps import PanopticMap, Segment


def test_detections_select() -> None:
    found = random_detections(5)
    found.scores.requires_grad_()
    for keep in (torch.tensor([4, 0]), found.scores > 0.5, torch.zeros(0, dtype=torch.long)):
        some = found[keep]
        assert torch.equal(some.boxes, found.boxes[keep])
        assert torch.equal(some.classes, found.classes[keep])
        assert some.masks is not None
        assert found.masks is not None
        assert torch.equal(some.masks, found.masks[keep])
        assert some.scores.requires_grad
    assert random_detections(3, masks=False)[torch.tensor([1])].masks is None
    assert len(found) == 5


def test_batches_and_targets_move() -> None:
    batch = image_batch(2).to("meta")
    assert batch.pixels.device.type == "meta"
    assert len(batch) == 2
    target = replace(square_target(), seed=7).to("meta")
    assert target.seed == 7
    assert {v.device.type for name, v in vars(target).items() if name != "seed"} == {"meta"}


def test_a_panoptic_map_is_its_segments() -> None:
    truth = draw(0).truth
    assert list(truth) == list(truth.segments)
    assert len(truth) == len(truth.segments)
    segment = Segment(1, CATEGORIES[0], 1.0, 4, (0, 0, 2, 2))
    assert segment.isthing
    assert PanopticMap(np.ones((2, 2), np.int32), (segment,)).ids.sum() == segment.area


def test_detections_are_printed_in_one_line() -> None:
    for found in (random_detections(40), random_detections(3, masks=False), random_detections(0)):
        assert len(str(found)) < 80
        assert "\n" not in str(found)
        assert f"Detections({len(found)}" in str(found)
