"""The merger's rules, one by one, and all together against a slow form of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from unipan.config import HeuristicConfig
from unipan.fusion.heuristic import merge
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Detections, Geometry

CATEGORIES = Categories.of(
    Category(n + 1, name, thing, (n, n, n))
    for n, (name, thing) in enumerate([("car", True), ("person", True), ("road", False), ("sky", False)])
)
RULES = HeuristicConfig(score_threshold=0.5, overlap_threshold=0.5, mask_threshold=0.5, min_stuff_area=0.0)
SIZE = (32, 32)


def found(boxes: list[list[float]], scores: list[float], labels: list[int], logit: float = 9.0) -> Detections:
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.long),
        torch.full((len(boxes), 4, 4), logit),
    )


def logits(top: int = 3, bottom: int = 2) -> Tensor:
    """Class `top` in the upper half of the grid, `bottom` in the lower."""
    values = torch.zeros(4, 8, 8)
    values[top, :4] = 8
    values[bottom, 4:] = 8
    return values


def names(result: PanopticMap) -> list[str]:
    return [segment.category.name for segment in result]


def test_things_lie_on_stuff() -> None:
    result = merge(found([[8, 8, 16, 24]], [0.9], [1]), logits(), CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))
    assert names(result) == ["person", "road", "sky"]
    person, road, sky = result.segments
    assert (person.area, person.bbox, person.score) == (128, (8, 8, 8, 16), pytest.approx(0.9))
    assert road.area == sky.area == 512 - 64
    assert 0.9 < road.score <= 1


def test_the_confident_one_takes_the_shared_pixels() -> None:
    boxes = [[0.0, 0, 16, 8], [8.0, 0, 32, 8]]
    result = merge(found(boxes, [0.6, 0.8], [0, 1]), logits(), CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))
    assert [(s.category.name, s.area) for s in result if s.isthing] == [("person", 192), ("car", 64)]


def test_an_overlapped_mask_is_skipped_and_takes_nothing() -> None:
    boxes = [[0.0, 0, 16, 8], [4.0, 0, 18, 8]]
    detections = found(boxes, [0.9, 0.8], [0, 0])
    assert names(merge(detections, logits(), CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))) == ["car", "road", "sky"]
    lenient = replace(RULES, overlap_threshold=0.9)
    assert names(merge(detections, logits(), CATEGORIES, lenient, Geometry(SIZE, SIZE, 4)))[:2] == ["car", "car"]


def test_unsure_detections_and_empty_masks_are_skipped() -> None:
    unsure = found([[0, 0, 8, 8]], [0.4], [0])
    empty = found([[0, 0, 8, 8]], [0.9], [0], logit=-9.0)
    outside = found([[40, 40, 48, 48]], [0.9], [0])
    for detections in (unsure, empty, outside):
        assert names(merge(detections, logits(), CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))) == ["road", "sky"]


def test_thing_pixels_that_no_mask_takes_are_void() -> None:
    result = merge(found([], [], []), logits(top=0), CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))
    assert names(result) == ["road"]
    assert not result.ids[:15].any()


def test_small_stuff_is_void() -> None:
    semantic = logits()
    semantic[:, :4] = 0
    semantic[2] = 4
    semantic[3, 0, 0] = 8
    keep = merge(found([], [], []), semantic, CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))
    drop = merge(found([], [], []), semantic, CATEGORIES, replace(RULES, min_stuff_area=0.1), Geometry(SIZE, SIZE, 4))
    assert names(keep) == ["road", "sky"]
    assert names(drop) == ["road"]
    assert drop.ids[0, 0] == 0


def test_boxes_follow_the_images_size() -> None:
    result = merge(found([[8, 8, 16, 24]], [0.9], [1]), logits(), CATEGORIES, RULES, Geometry((64, 96), SIZE, 4))
    assert result.ids.shape == (64, 96)
    assert result.segments[0].bbox == (24, 16, 24, 32)


def test_a_mask_free_network_is_told_why() -> None:
    detections = replace(found([[0, 0, 8, 8]], [0.9], [0]), masks=None)
    with pytest.raises(ValueError, match="predicts boxes without masks, and the merger paints masks"):
        merge(detections, logits(), CATEGORIES, RULES, Geometry(SIZE, SIZE, 4))


def slow(detections: Detections, semantic: Tensor, rules: HeuristicConfig) -> np.ndarray:
    """Class index per pixel, -1 void, from whole-image masks and loops."""
    labels = F.interpolate(semantic[None], scale_factor=4, mode="bilinear")[0].argmax(0).numpy()
    result = np.full(SIZE, -1)
    taken = np.zeros(SIZE, bool)
    assert detections.masks is not None
    for row in np.argsort(-detections.scores.numpy(), kind="stable"):
        x0, y0, x1, y1 = (int(side) for side in detections.boxes[row])
        mask = np.zeros(SIZE, bool)
        mask[y0:y1, x0:x1] = bool(detections.masks[row, 0, 0] > 0)
        if detections.scores[row] < rules.score_threshold or not mask.any():
            continue
        if (mask & taken).sum() / mask.sum() > rules.overlap_threshold or not (mask & ~taken).any():
            continue
        result[mask & ~taken] = int(detections.classes[row])
        taken |= mask
    for stuff in (2, 3):
        region = (labels == stuff) & ~taken
        if region.sum() >= rules.min_stuff_area * region.size:
            result[region] = stuff
    return result


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 8))
def test_equals_the_slow_form(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.integers(0, 33, (count, 2, 2)), axis=1)
    boxes = [[float(c[0, 0]), float(c[0, 1]), float(c[1, 0]), float(c[1, 1])] for c in corners]
    detections = found(boxes, rng.random(count).tolist(), rng.integers(0, 2, count).tolist())
    rules = HeuristicConfig(
        score_threshold=0.3, overlap_threshold=float(rng.random()), min_stuff_area=float(rng.random()) / 4
    )
    semantic = torch.from_numpy(rng.standard_normal((4, 8, 8)).astype(np.float32))
    result = merge(detections, semantic, CATEGORIES, rules, Geometry(SIZE, SIZE, 4))
    index = np.full(len(result) + 1, -1)
    index[1:] = [CATEGORIES.index_of_id[segment.category.id] for segment in result]
    assert np.array_equal(index[result.ids], slow(detections, semantic, rules))
