"""Matching beyond Eq. 5 (tests/paper/test_equations.py): gradients, devices of meaning, padding, ties."""

import torch

from tests.tiny import HEIGHT, WIDTH, S, T, random_detections, square_target
from unipan.models.matching import channel_labels, class_gated_iou, match
from unipan.panoptic.maps import VOID
from unipan.structures import Detections


def test_matching_keeps_the_graph_of_scores_and_masks() -> None:
    wanted = square_target()
    scores, masks = torch.rand(2, requires_grad=True), torch.rand(2, 4, 4, requires_grad=True)
    boxes = wanted.boxes.clone().requires_grad_()
    kept, rows = match(Detections(boxes, scores, wanted.classes, masks), wanted)
    assert rows.tolist() == [0, 1]
    assert kept.masks is not None
    (kept.scores.sum() + kept.masks.sum()).backward()
    assert scores.grad is not None
    assert masks.grad is not None


def test_the_optimum_is_global_not_greedy() -> None:
    """One detection overlaps both truths best; greedily it takes the wrong one and a pair is lost."""
    truth_boxes = torch.tensor([[0, 0, 20, 10], [4, 0, 24, 10]]).float()
    boxes = torch.tensor([[1, 0, 21, 10], [-5, 0, 15, 10]]).float()
    wanted = square_target(things=False)
    wanted = type(wanted)(truth_boxes, torch.tensor([0, 0]), wanted.instances, wanted.semantic)
    found = Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 0]))
    iou = class_gated_iou(found, wanted)
    assert iou.argmax() == 0  # greedy would give detection 0 to truth 0
    assert match(found, wanted)[1].tolist() == [1, 0]


def test_padding_is_void_and_labels_follow_their_detections() -> None:
    wanted = square_target()
    labels = channel_labels(wanted, torch.tensor([1, VOID, 0]), T, (HEIGHT + 32, WIDTH + 64), 4)
    assert (labels[HEIGHT // 4 :] == VOID).all()
    assert (labels[:, WIDTH // 4 :] == VOID).all()
    # The box is channel 0, the disc channel 2, the false positive wins nowhere; stuff follows.
    assert labels[9, 20] == 0
    assert labels[4, 4] == 2
    assert sorted(labels.unique().tolist()) == [VOID, 0, 2, 3, 4]


def test_an_all_void_image_teaches_nothing() -> None:
    wanted = square_target(void=True)
    kept, rows = match(random_detections(5), wanted)
    assert len(kept) == 5
    assert (channel_labels(wanted, rows, T, (HEIGHT, WIDTH), 4) == VOID).all()


def test_things_that_nothing_matches_go_to_the_void_channel_where_there_is_one() -> None:
    wanted = square_target()
    rows = torch.tensor([1])  # the box has a detection, the disc has none
    void = 1 + S
    plain = channel_labels(wanted, rows, T, (HEIGHT, WIDTH + 32), 4)
    labels = channel_labels(wanted, rows, T, (HEIGHT, WIDTH + 32), 4, void)
    assert plain[4, 4] == VOID
    assert labels[4, 4] == void
    assert labels[9, 20] == 0
    # Nothing else changes: padding, crowds and void stay VOID.
    assert torch.equal(labels == void, (plain == VOID) & (labels != VOID))
    assert int((labels == void).sum()) == 6 * 7
    crowd = type(wanted)(wanted.boxes, wanted.classes, torch.where(wanted.instances == 0, VOID, wanted.instances),
                         wanted.semantic)  # fmt: skip
    assert (channel_labels(crowd, rows, T, (HEIGHT, WIDTH), 4, void) != void).all()
