"""AP's rules: detections above .05, 100 per image, before fusion, whatever the panoptic cut-off."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, Drawn, tiny_config, tiny_network
from unipan.analysis.evaluate import AP_DETECTIONS, evaluate
from unipan.config import Config, DetectionConfig
from unipan.inference import Segmenter


def segmenter_of(config: Config, cutoff: float) -> Segmenter:
    network = tiny_network(replace(config, inference=replace(config.inference, score_threshold=cutoff)))
    with torch.no_grad():
        network.train().backbone(torch.rand(4, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)))
    return Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))


def test_the_constants() -> None:
    assert DetectionConfig().score_threshold == 0.05
    assert DetectionConfig().max_detections == AP_DETECTIONS == 100


def test_detections_count_above_the_score_threshold_and_whatever_the_panoptic_cutoff() -> None:
    pytest.importorskip("faster_coco_eval")
    config = tiny_config()
    parts = []
    for cutoff in (0.0, 0.99):
        found = evaluate(segmenter_of(config, cutoff), Drawn([3, 2]), ["affinity"], detections=AP_DETECTIONS)
        assert found.precision is not None
        parts.append(found.precision.images)
    assert parts[0].keys() == parts[1].keys()
    for name, image in parts[0].items():
        mine, theirs = image["detections"], parts[1][name]["detections"]
        assert [row["score"] for row in mine] == [row["score"] for row in theirs]
        assert np.all([row["score"] > 0.05 for row in mine])
        assert len(mine) > 0
