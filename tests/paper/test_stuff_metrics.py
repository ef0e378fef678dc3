"""Supplementary C: PQ is no robust measure of stuff, because one pixel of an absent class is a false positive."""

import csv
from importlib import resources

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.evaluation.trimming import trim_stuff
from unipan.panoptic.maps import PanopticMap, panoptic_map

SKY, GROUND = CATEGORIES.stuff
SIDE = 100


def all_sky() -> np.ndarray:
    return np.ones((SIDE, SIDE), np.int32)


def stuff_map(ids: np.ndarray) -> PanopticMap:
    names = {1: SKY, 2: GROUND}
    return panoptic_map(ids, {key: names[key] for key in np.unique(ids).tolist()})


def scored(prediction_of_second: np.ndarray, trim: int = 0) -> tuple[float, float, float]:
    """PQ, RQ of stuff and mean IoU in percent: an image half sky, half ground, and one that is all sky."""
    both, sky = all_sky(), all_sky()
    both[SIDE // 2 :] = 2
    quality, iou = PanopticQuality(CATEGORIES), SemanticIoU(CATEGORIES)
    for name, truth, prediction in (("both", both, both), ("sky", sky, prediction_of_second)):
        found = trim_stuff(stuff_map(prediction), trim)
        quality.update(stuff_map(truth), found, name)
        iou.update(stuff_map(truth), found, name)
    of_stuff, mean = quality.compute()["Stuff"], iou.compute().stuff
    assert of_stuff is not None
    assert mean is not None
    return 100 * of_stuff.pq, 100 * of_stuff.rq, 100 * mean


def test_one_wrong_pixel_costs_pq_17_points_and_iou_next_to_nothing() -> None:
    wrong = all_sky()
    wrong[0, 0] = 2  # one pixel of ground, in an image that has none
    perfect, spoiled = scored(all_sky()), scored(wrong)
    assert perfect == (100, 100, 100)
    lost = [before - after for before, after in zip(perfect, spoiled, strict=True)]
    # Ground: one match, one false positive, so RQ is 1 / 1.5; the mean of two classes loses a sixth.
    assert lost[0] == pytest.approx(100 / 6, abs=0.01)
    assert lost[1] == pytest.approx(100 / 6, abs=0.01)
    assert lost[2] < 0.02
    trimmed = scored(wrong, trim=2)
    assert trimmed[:2] == pytest.approx((100, 100), abs=0.01)
    assert trimmed[2] == pytest.approx(spoiled[2], abs=0.02)


def test_heuristic_fusion_depends_on_its_thresholds() -> None:
    """Sec. 1: "quite sensitive to the choice of hyperparameters". The grid of the bundled thresholds, 80 scenes."""
    path = resources.files("unipan") / "checkpoints" / "scenes.heuristic.csv"
    pq = [float(row["PQ"]) for row in csv.DictReader(path.read_text().splitlines())]
    assert len(pq) >= 100
    assert max(pq) - min(pq) > 1
