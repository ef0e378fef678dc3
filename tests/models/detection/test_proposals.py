"""What is sampled to train on: torchvision's losses and choices, but each image's own."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_iou

from tests.models.detection.test_head import features_of, head_of
from tests.tiny import image_batch, square_target
from unipan.models.detection.box_head import sample_proposals
from unipan.models.detection.head import DetectionHead
from unipan.models.detection.proposals import IGNORED, AnchorMatcher, sample, truth_of
from unipan.structures import Target

MATCHER = AnchorMatcher(high=0.7, low=0.3)
TORCHVISIONS = Matcher(0.7, 0.3, allow_low_quality_matches=True)
LABELS = torch.tensor([0, 3, -1, 0, 0, 1, 2, -1, 0, 0])


def seeded(count: int) -> list[Target]:
    return [replace(square_target(things=number != 1), seed=number) for number in range(count)]


@pytest.mark.parametrize(
    ("most", "share", "positives", "negatives"), [(4, 0.5, 2, 2), (8, 0.25, 2, 5), (8, 0.5, 3, 5), (2, 0.0, 0, 2)]
)
def test_a_sample_has_the_numbers_that_it_should(most: int, share: float, positives: int, negatives: int) -> None:
    chosen = sample(LABELS, most, share, None)
    assert (LABELS[chosen] > 0).sum() == positives
    assert (LABELS[chosen] == 0).sum() == negatives
    assert not chosen[LABELS == IGNORED].any()


def test_a_seed_decides_and_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    draws = [sample(LABELS, 3, 0.5, torch.Generator().manual_seed(seed)).tolist() for seed in (5, 5, *range(6, 16))]
    assert torch.equal(torch.get_rng_state(), state)
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 3


def losses_of(head: DetectionHead, features: dict[str, Tensor], targets: list[Target]) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return head.train()(features, image_batch(len(targets)), targets)[1]


def test_without_seeds_sample_and_losses_are_torchvisions_to_the_bit() -> None:
    ours, theirs = head_of(), head_of()
    theirs.rpn.__class__ = RegionProposalNetwork  # the class that ours refines; both hold the same parts
    targets = [square_target(), square_target(things=False)]
    ours_losses, their_losses = (losses_of(head, features_of(2), targets) for head in (ours, theirs))
    assert ours_losses["rpn_box"] > 0
    for name, loss in their_losses.items():
        assert torch.equal(loss, ours_losses[name]), name
    proposals = [torch.rand(30, 2).repeat(1, 2) * 40 + torch.tensor([0.0, 0, 20, 20]) for _ in targets]
    torch.manual_seed(4)
    expected = ours.roi.select_training_samples(
        list(proposals), [{"boxes": t.boxes, "labels": t.classes + 1} for t in targets]
    )
    torch.manual_seed(4)
    found = sample_proposals(ours.roi, proposals, [truth_of(target) for target in targets])
    for mine, torchvisions in zip(found, expected, strict=True):
        for one, other in zip(mine, torchvisions, strict=True):
            assert torch.equal(one, other)


def test_a_sliver_that_no_anchor_overlaps_has_none() -> None:
    """As where a crop cuts a thing at its edge. torchvision gives it every anchor that overlaps it by 0."""
    anchors = torch.tensor([[float(x), 0, x + 4, 4] for x in range(0, 40, 4)])
    boxes = torch.tensor([[0.0, 0, 4, 4], [9, 0, 13, 4], [41, 0, 42, 4]])  # one alike, one between two, the sliver
    overlap = box_iou(boxes, anchors)
    assert MATCHER(overlap).tolist() == [0, -1, 1, *[-1] * 7]
    assert (TORCHVISIONS(overlap) >= 0).all()
    assert isinstance(head_of().rpn.proposal_matcher, AnchorMatcher)


@pytest.mark.parametrize("seed", range(20))
def test_all_else_is_matched_as_by_torchvision(seed: int) -> None:
    """Ties, boxes below the threshold, anchors between the thresholds: random overlaps, rounded so that some agree."""
    overlap = torch.rand(4, 60, generator=torch.Generator().manual_seed(seed)).mul(20 - seed).round() / 20
    overlap[:, 0] = 0.05  # no box is without any overlap
    assert torch.equal(MATCHER(overlap), TORCHVISIONS(overlap))


@pytest.mark.parametrize("count", [1, 3])
def test_slivers_alone_match_nothing(count: int) -> None:
    matches = MATCHER(torch.zeros(count, 5))
    assert (matches == Matcher.BELOW_LOW_THRESHOLD).all()


def test_an_image_has_the_same_sample_in_any_company() -> None:
    """So the means of three images alone are the mean of the batch, however it is split over processes."""
    head, features, targets = head_of(), features_of(3), seeded(3)
    together = losses_of(head, features, targets)
    alone = []
    for row in range(3):
        own = {level: f[row : row + 1] for level, f in features.items()}
        alone.append(losses_of(head, own, targets[row : row + 1]))
    for name in ("rpn_objectness", "rpn_box", "box_class", "box_regression"):
        torch.testing.assert_close(together[name], torch.stack([each[name] for each in alone]).mean())
    other = losses_of(head, features, [replace(target, seed=99) for target in targets])
    assert other["rpn_objectness"] != together["rpn_objectness"]


def test_every_draw_of_an_image_is_its_own() -> None:
    """UPSNet's pruned ground truth comes from the same generator, after anchors and proposals."""
    head = head_of(use_gt_boxes=True)
    head.gt_box_keep_rate = 0.5
    kept = []
    for noise in range(2):
        torch.manual_seed(noise)
        found = head.train()(features_of(3), image_batch(3), seeded(3))[0]
        kept.append([each.boxes.tolist() for each in found])
    assert kept[0] == kept[1]
