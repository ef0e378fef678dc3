"""UPSNet's inference: each rule on cases made by hand, and all of them against a slow form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from tests.fusion.test_heuristic import CATEGORIES, SIZE, found, names
from unipan.config import UpsnetConfig
from unipan.fusion.argmax import Grid
from unipan.fusion.upsnet import channels, compete, prune, prune_and_vote
from unipan.models.potential import DynamicPotential
from unipan.numpy_fusion.painting import vote
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Detections, Geometry

RULES = UpsnetConfig()
T, ROAD, SKY = 2, 2, 3


def read(detections: Detections, semantic: Tensor, stuff_area: float = 0.0, rules: UpsnetConfig = RULES) -> PanopticMap:
    return prune_and_vote(detections, semantic, CATEGORIES, rules, stuff_area, Geometry(SIZE, SIZE, 4))


def plain(label: int = ROAD, value: float = 3.0) -> Tensor:
    """V that says one class everywhere."""
    v = torch.zeros(4, 8, 8)
    v[label] = value
    return v


def painted(label: int, rows: slice, columns: slice, onto: Tensor, value: float = 6.0) -> Tensor:
    """The same with another class in a window of the grid."""
    v = onto.clone()
    v[label, rows, columns] = value
    return v


def left(detections: Detections, rules: UpsnetConfig = RULES) -> list[float]:
    """The scores of what pruning leaves."""
    return [round(score, 3) for score in prune(detections, rules, SIZE).scores.tolist()]


def test_unsure_detections_are_pruned_and_the_limit_itself_is_unsure() -> None:
    boxes = [[0.0, 0, 8, 8], [12.0, 0, 20, 8], [0.0, 12, 8, 20], [12.0, 12, 20, 20]]
    assert left(found(boxes, [0.5, 0.9, 0.75, 0.65], [0, 0, 1, 1]), replace(RULES, score_threshold=0.65)) == [0.9, 0.75]


def test_nms_is_over_all_classes() -> None:
    boxes = [[0.0, 0, 16, 16], [0.0, 0, 16, 14], [20.0, 0, 30, 10]]  # IoU of the first two: .875
    assert left(found(boxes, [0.7, 0.8, 0.9], [0, 1, 0])) == [0.9, 0.8]


def test_a_mask_is_dropped_when_its_own_class_has_taken_more_than_the_limit() -> None:
    """Boxes 10 wide, shifted by 6: .4 of the second is taken; their IoU is .25, so NMS lets both pass."""
    boxes = [[0.0, 0, 10, 10], [6.0, 0, 16, 10]]
    assert left(found(boxes, [0.9, 0.8], [0, 0])) == [0.9]
    assert left(found(boxes, [0.9, 0.8], [0, 1])) == [0.9, 0.8]  # another class takes nothing from it
    assert left(found(boxes, [0.9, 0.8], [0, 0]), replace(RULES, overlap_threshold=0.4)) == [
        0.9,
        0.8,
    ]  # not more than .4
    assert left(found([boxes[0], [7.0, 0, 17, 10]], [0.9, 0.8], [0, 0])) == [0.9, 0.8]  # .3 exactly


def test_what_was_dropped_takes_nothing() -> None:
    """The third would lose .4 to the second, which itself is dropped for the first."""
    boxes = [[0.0, 0, 10, 10], [6.0, 0, 16, 10], [12.0, 0, 22, 10]]
    assert left(found(boxes, [0.9, 0.8, 0.7], [0, 0, 0])) == [0.9, 0.7]


def test_overlap_counts_masks_not_boxes() -> None:
    detections = found([[0, 0, 10, 10], [6, 0, 16, 10]], [0.9, 0.8], [0, 0])
    assert detections.masks is not None
    detections.masks[0, :, 2:] = -9.0  # the first mask ends before the second box begins
    assert left(detections) == [0.9, 0.8]


def test_empty_masks_are_dropped() -> None:
    assert left(found([[0, 0, 8, 8]], [0.9], [0], logit=-9.0)) == []
    assert left(found([[0, 0, 8, 8]], [0.9], [0], logit=0.0)) == []  # above 0, not from 0 on
    assert left(found([[40, 40, 48, 48]], [0.9], [0])) == []  # outside the image
    assert left(found([], [], [])) == []


def test_the_three_rules_of_the_vote() -> None:
    """Pixels that V gives to car, person, road, sky in four segments of cars."""
    counts = np.array(
        [
            [40, 30, 20, 10],  # 1: most of it is car
            [20, 10, 60, 10],  # 2: road holds more than half
            [20, 45, 10, 25],  # 3: person holds most, no stuff holds half
            [30, 0, 35, 35],  # 3: stuff holds .7, but no single class half
            [50, 0, 50, 0],  # 1: a tie is enough
            [10, 40, 0, 50],  # 2: half exactly
            [0, 0, 0, 0],  # no pixel at all
        ]
    )
    voted = vote(counts, np.zeros(7, np.int64), T, 0.5)
    assert voted.tolist() == [0, ROAD, 0, 0, 0, SKY, 0]


def test_without_detections_every_class_competes_as_v_says() -> None:
    result = read(found([], [], []), painted(SKY, slice(0, 4), slice(None), plain()))
    assert names(result) == ["road", "sky"]
    assert (result.ids > 0).all()


def test_a_thing_without_detection_is_void() -> None:
    v = painted(0, slice(0, 4), slice(0, 4), plain())
    result = read(found([], [], []), v)
    assert names(result) == ["road"]
    assert not result.ids[:12, :12].any()
    assert result.ids[20:, 20:].all()


def test_a_detection_takes_its_thing_out_of_void() -> None:
    v = painted(0, slice(0, 4), slice(0, 4), plain(), value=12.0)
    result = read(found([[0, 0, 16, 16]], [0.9], [0]), v)
    assert names(result) == ["car", "road"]
    car = result.segments[0]
    assert (car.bbox, car.score) == ((0, 0, 16, 16), pytest.approx(0.9))
    # Beside the box V still sees the car (bilinear: 4.5 against the road's 3), and only void can have it.
    assert not result.ids[4, 16]
    assert result.ids[4, 18] == 2


def test_mask_logits_decide_between_two_things_of_one_class() -> None:
    v = painted(0, slice(0, 4), slice(None), plain())
    detections = found([[0, 0, 20, 16], [12, 0, 32, 16]], [0.9, 0.8], [0, 0], logit=2.0)
    assert detections.masks is not None
    detections.masks[0, :, 2:] = -5.0
    result = read(detections, v)
    assert names(result)[:2] == ["car", "car"]
    assert result.ids[5, 4] == 1
    assert result.ids[5, 17] == 2


def test_a_segment_that_v_calls_road_becomes_road() -> None:
    detections = found([[0, 0, 16, 16]], [0.9], [0])
    result = read(detections, plain())  # the mask's 9 beats the road's 3
    assert names(result) == ["road"]
    assert result.segments[0].area == 32 * 32
    kept = read(detections, plain(), rules=replace(RULES, stuff_vote_threshold=1.1))
    assert names(kept) == ["car", "road"]


def test_a_segment_that_v_calls_another_thing_keeps_its_class() -> None:
    result = read(found([[0, 0, 16, 16]], [0.9], [0]), painted(1, slice(0, 4), slice(0, 4), plain()))
    assert names(result)[0] == "car"


def test_small_stuff_is_void() -> None:
    v = painted(SKY, slice(0, 1), slice(0, 1), plain())
    assert names(read(found([], [], []), v)) == ["road", "sky"]
    dropped = read(found([], [], []), v, stuff_area=0.1)
    assert names(dropped) == ["road"]
    assert dropped.ids[0, 0] == 0


def test_boxes_follow_the_images_size() -> None:
    v = painted(1, slice(2, 6), slice(2, 4), plain())
    result = prune_and_vote(found([[8, 8, 16, 24]], [0.9], [1]), v, CATEGORIES, RULES, 0.0, Geometry((64, 96), SIZE, 4))
    assert result.ids.shape == (64, 96)
    assert result.segments[0].category.name == "person"
    assert result.segments[0].bbox == (24, 16, 24, 32)


def test_a_mask_free_network_is_told_why() -> None:
    with pytest.raises(ValueError, match=r"UPSNet's fusion: .* no masks"):
        read(replace(found([[0, 0, 8, 8]], [0.9], [0]), masks=None), plain())


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_channels_are_psi_at_the_images_size(count: int) -> None:
    """What was trained on the grid competes at full size: variant A with void, one cell per pixel."""
    generator = torch.Generator().manual_seed(count)
    v = torch.randn(4, 8, 8, generator=generator)
    corners = torch.rand(count, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + 2 + torch.rand(count, 2, generator=generator) * 14], 1)
    detections = replace(
        found(boxes.tolist(), [0.9] * count, [index % 2 for index in range(count)]),
        masks=torch.randn(count, 28, 28, generator=generator),
    )
    grid = Grid.of(v, Geometry(SIZE, SIZE, 4))
    made = list(channels(v, detections, grid, T))
    full = F.interpolate(v[None], SIZE, mode="bilinear", align_corners=False)[0]
    expected = DynamicPotential(variant="A", num_things=T, stride=1, void_channel=True)(full, detections)
    torch.testing.assert_close(torch.stack(made), expected, atol=1e-5, rtol=1e-5)
    assert np.array_equal(compete(v, detections, grid, T), torch.stack(made).argmax(0).numpy())


def slow(detections: Detections, v: Tensor, rules: UpsnetConfig, stuff_area: float) -> np.ndarray:
    """Class index per pixel, -1 void, for masks of one logit each, from whole-image maps and loops."""
    full = F.interpolate(v[None], SIZE, mode="bilinear", align_corners=False)[0]
    inside = torch.zeros(len(detections), *SIZE, dtype=torch.bool)
    for region, box in zip(inside, detections.boxes.int().tolist(), strict=True):
        region[box[1] : box[3], box[0] : box[2]] = True
    kept: list[int] = []
    suppressing: list[int] = []
    assert detections.masks is not None
    logit = detections.masks[:, 0, 0]
    for row in detections.scores.argsort(descending=True, stable=True).tolist():
        if any(
            box_iou(detections.boxes[[row]], detections.boxes[[other]]) > rules.nms_threshold for other in suppressing
        ):
            continue
        suppressing.append(row)
        rivals = [other for other in kept if detections.classes[other] == detections.classes[row]]
        taken = inside[rivals].any(0) & inside[row]
        area = inside[row].sum() * (logit[row] > 0)
        if detections.scores[row] > rules.score_threshold and area and taken.sum() / area <= rules.overlap_threshold:
            kept.append(row)
    through = [full[detections.classes[row]] * inside[row] for row in kept]
    things = [crop + logit[row] * inside[row] for row, crop in zip(kept, through, strict=True)]
    void = full[:T].amax(0) - (torch.stack(through).amax(0) if kept else 0)
    winners = torch.stack([*things, *full[T:], void]).argmax(0)
    labels, result = full.argmax(0), np.full(SIZE, -1)
    for index, row in enumerate(kept):
        region = winners == index
        share = [float((labels[region] == label).float().mean()) if region.any() else 0.0 for label in range(4)]
        own, stuff = int(detections.classes[row]), T + int(np.argmax(share[T:]))
        result[region] = stuff if share[own] < max(share) and share[stuff] >= rules.stuff_vote_threshold else own
    for stuff in (ROAD, SKY):
        result[winners == len(kept) + stuff - T] = stuff
        if (result == stuff).sum() < stuff_area * result.size:
            result[result == stuff] = -1
    return result


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 8))
def test_equals_the_slow_form(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 28, (count, 2))
    boxes = np.concatenate([corners, np.minimum(corners + rng.integers(3, 24, (count, 2)), 32)], 1).astype(float)
    detections = found(boxes.tolist(), rng.random(count).tolist(), rng.integers(0, 2, count).tolist())
    detections = replace(detections, masks=torch.from_numpy(rng.normal(1, 2, (count, 1, 1))).float().expand(-1, 4, 4))
    rules = UpsnetConfig(
        nms_threshold=0.5,
        score_threshold=0.3,
        overlap_threshold=float(rng.random()),
        stuff_vote_threshold=float(rng.random()),
    )
    v = torch.from_numpy(rng.standard_normal((4, 8, 8)).astype(np.float32)) * 2
    stuff_area = float(rng.random()) / 4
    result = read(detections, v, stuff_area, rules)
    index = np.full(len(result) + 1, -1)
    index[1:] = [CATEGORIES.index_of_id[segment.category.id] for segment in result]
    assert np.array_equal(index[result.ids], slow(detections, v, rules, stuff_area))
