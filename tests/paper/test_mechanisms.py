"""What the paper says its parts do, on examples small enough to see it: no training, no data."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.paper.test_equations import ALLOWED, naive_matrix, psi_and_q, semantic_logits
from tests.paper.test_equations import affinity as affinity_head
from tests.tiny import (
    CATEGORIES,
    HEIGHT,
    WIDTH,
    S,
    T,
    eager,
    image_batch,
    potential_of,
    random_detections,
    square_target,
    target,
    tiny_config,
    tiny_network,
)
from unipan.build import build_criterion
from unipan.fusion.argmax import decode
from unipan.models.affinity import Activation, InstanceAffinity, Normalisation
from unipan.models.criterion import panoptic_loss
from unipan.models.matching import channel_labels, match
from unipan.models.potential import DynamicPotential
from unipan.panoptic.maps import VOID
from unipan.presets import ground_truth_boxes
from unipan.structures import Detections, Geometry, Target

ONE = torch.tensor(1.0)
WHOLE = [0.0, 0.0, float(WIDTH), float(HEIGHT)]


# ---- Sec. 3.3: stuff joins as detections -----------------------------------------------------------------------


def test_stuff_is_a_detection_with_the_whole_image_as_its_box() -> None:
    """Eq. 1 knows things alone, and is given every stuff class as a box: it makes the channels that ours copies."""
    semantic = semantic_logits().float()
    boxes = torch.tensor([WHOLE] * S)
    stuff = Detections(boxes, torch.ones(S), torch.arange(T, T + S))
    all_are_things = DynamicPotential(variant="B", num_things=T + S, stride=4)(semantic, stuff)
    none_found = potential_of("B")(semantic, random_detections(0))
    assert all_are_things.shape == none_found.shape == (S, HEIGHT // 4, WIDTH // 4)
    assert torch.equal(all_are_things, none_found)


# ---- Sec. 3.4.1 and A.3: the potential -------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_masks_weaken_things_in_variant_b_and_strengthen_them_in_c(seed: int) -> None:
    """B is high only where V and M both are; C never lies below the potential without masks. Stuff stays."""
    semantic, found = semantic_logits(seed), random_detections(6, cells=7, seed=seed, dtype=torch.float64)
    assert found.masks is not None
    b, c = (
        potential_of("B")(semantic, found),
        potential_of("C")(semantic, found),
    )
    plain = potential_of("B")(semantic, replace(found, masks=None))
    certain = replace(found, scores=torch.ones_like(found.scores))
    of_m_alone = (
        potential_of("C")(semantic, certain)[:6] - potential_of("B")(semantic, replace(certain, masks=None))[:6]
    )
    s = found.scores[:, None, None]
    assert (b[:6] <= torch.minimum(plain[:6], s * of_m_alone) + 1e-12).all()
    assert (c[:6] >= plain[:6]).all()
    assert torch.equal(b[6:], plain[6:])
    assert torch.equal(c[6:], plain[6:])


def test_only_c_lifts_a_thing_above_any_stuff() -> None:
    """V and M lie in 0..1: B stays there with the stuff, C reaches 2."""
    semantic = torch.full((T + S, 16, 24), -20.0)
    semantic[0] = 20.0
    sure = Detections(torch.tensor([WHOLE]), torch.ones(1), torch.tensor([0]), torch.full((1, 28, 28), 20.0))
    assert potential_of("B")(semantic, sure)[0].max() == pytest.approx(1)
    assert potential_of("C")(semantic, sure)[0].max() == pytest.approx(2)


@pytest.mark.parametrize(("variant", "share"), [("A", 1.0), ("B", 0.25), ("C", 0.25)])
def test_an_unsure_detection_is_attenuated_by_its_score_but_not_in_a(variant: str, share: float) -> None:
    semantic, found = semantic_logits(), random_detections(5, cells=7, dtype=torch.float64)
    head = potential_of(variant)  # type: ignore[arg-type]
    unsure = replace(found, scores=found.scores / 4)
    torch.testing.assert_close(head(semantic, unsure)[:5], share * head(semantic, found)[:5])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_a_false_detection_where_v_sees_stuff_wins_nowhere_in_b(seed: int, masks: bool) -> None:
    """Fig. I, row 4. Whatever its score, mask and box: s V M is at most V of its class."""
    semantic = semantic_logits(seed)
    semantic[T:] += 8
    found = random_detections(8, masks, cells=7, seed=seed, dtype=torch.float64)
    psi = potential_of("B")(semantic, replace(found, scores=torch.ones_like(found.scores)))
    assert (psi.argmax(0) >= 8).all()


# ---- Fig. 1 and I: what affinities repair ----------------------------------------------------------------------


def perfect_affinities(regions: Tensor) -> tuple[InstanceAffinity, Tensor]:
    """A head, and Q in which the pixels of one region are alike and those of two have nothing in common."""
    c = int(regions.max()) + 1
    head = InstanceAffinity(extractor=nn.Identity(), channels=c)
    for phi in (head.phi0, head.phi1):
        assert phi.bias is not None
        nn.init.dirac_(phi.weight)
        nn.init.zeros_(phi.bias)
    return head, F.one_hot(regions, c).movedim(-1, 0).float()


def probable(regions: Tensor, things: list[int]) -> Tensor:
    """Logits of V: .9 for thing 0 on the regions `things`, .1 for the first stuff, and the reverse elsewhere."""
    on_things = torch.isin(regions, torch.tensor(things))
    semantic = torch.full((T + S, *regions.shape), -20.0)
    semantic[0] = torch.where(on_things, 0.9, 0.1).log()
    semantic[T] = torch.where(on_things, 0.1, 0.9).log()
    return semantic


def boxes_at(boxes: list[list[float]]) -> Detections:
    """Of thing 0, in cells, all with score .9."""
    return Detections(
        4 * torch.tensor(boxes), torch.full((len(boxes),), 0.9), torch.zeros(len(boxes), dtype=torch.long)
    )


def test_p_leaves_a_box_that_is_too_small_and_psi_cannot() -> None:
    """Fig. 1: a box over the left half of an object. Psi is 0 outside; affinities carry the object over."""
    regions = torch.zeros(8, 12, dtype=torch.long)
    regions[2:6, 2:10] = 1
    found = boxes_at([[2.0, 2.0, 6.0, 6.0]])
    head, q = perfect_affinities(regions)
    psi = potential_of("B")(probable(regions, [1]), found)
    with torch.no_grad():
        p = head(psi, q)
    assert torch.equal(psi.argmax(0) == 0, (regions == 1) & (torch.arange(12) < 6))
    assert torch.equal(p.argmax(0) == 0, regions == 1)


def test_pixels_under_two_boxes_go_to_their_own_object() -> None:
    """Fig. I, rows 2 to 5: two touching objects of a class, boxes that overlap, no masks."""
    regions = torch.zeros(8, 14, dtype=torch.long)
    regions[2:6, 1:7], regions[2:6, 7:13] = 1, 2
    found = boxes_at([[1.0, 2.0, 10.0, 6.0], [4.0, 2.0, 13.0, 6.0]])
    head, q = perfect_affinities(regions)
    psi = potential_of("B")(probable(regions, [1, 2]), found)
    with torch.no_grad():
        p = head(psi, q)
    overlap = psi[:2, 2:6, 4:10]
    assert torch.equal(overlap[0], overlap[1])  # nothing in Psi tells them apart
    for k in (0, 1):
        assert torch.equal(p.argmax(0) == k, regions == k + 1)


# ---- Sec. 3.4.2: what the affinities are, and are not ----------------------------------------------------------


@pytest.mark.parametrize(("activation", "normalise"), ALLOWED)
def test_affinities_are_no_probabilities_of_pairs(activation: Activation, normalise: Normalisation) -> None:
    """ "The probability that any pair of pixels belong to the same instance" would be symmetric, and 1 for a pixel
    with itself. Eq. 4 has two different phi, so it is neither, under no activation and no normalisation."""
    _, q = psi_and_q()
    matrix = naive_matrix(affinity_head(activation, normalise), q)
    assert (matrix - matrix.T).abs().max() > 1e-4
    assert (matrix.diagonal() - 1).abs().min() > 1e-4
    if (activation, normalise) == ("softmax", "softmax"):  # the paper's [23]: a distribution over all pixels
        torch.testing.assert_close(matrix.sum(1), torch.ones(len(matrix), dtype=matrix.dtype))
    if activation == "identity":
        assert matrix.min() < 0


def test_one_head_serves_any_number_of_instances() -> None:
    head, (_, q) = affinity_head(), psi_and_q()
    for k in (1, 7, 153, 400):
        assert head(torch.rand(k, 5, 6, dtype=torch.float64), q).shape == (k, 5, 6)
    c = q.shape[0]
    assert sum(p.numel() for p in head.parameters()) == 2 * (c * c + c)


# ---- Sec. 3.5: the panoptic matching loss ----------------------------------------------------------------------


def matched_loss(found: Detections, wanted: Target, semantic: Tensor, q: Tensor | None = None) -> Tensor:
    kept, rows = match(found, wanted)
    p = potential_of("B")(semantic, kept)
    if q is not None:
        p = affinity_head()(p, q)
    return panoptic_loss([p], [channel_labels(wanted, rows, T, (HEIGHT, WIDTH), 4)], ONE)


def near(wanted: Target) -> Detections:
    """Both things of `square_target` found, the first twice, and a false positive."""
    disc, box = wanted.boxes.double()
    boxes = torch.stack([disc + 1, box, disc + 3, torch.tensor([60.0, 2.0, 80.0, 20.0]).double()])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6], dtype=torch.float64)
    return Detections(boxes, scores, torch.tensor([0, 1, 0, 0]))


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)), st.permutations(range(2)))
def test_the_loss_knows_no_order_of_detections_nor_of_the_truth(of_found: list[int], of_truth: list[int]) -> None:
    """ "Different permutations of the indices ... are qualitatively equivalent"."""
    wanted = square_target()
    place = torch.tensor(of_truth)
    moved = place.argsort()
    again = Target(
        wanted.boxes[place],
        wanted.classes[place],
        torch.where(wanted.instances == VOID, VOID, moved[wanted.instances.clamp(min=0)]),
        wanted.semantic,
    )
    found, semantic = near(wanted), semantic_logits()
    q = torch.randn(8, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    loss = matched_loss(found, wanted, semantic, q)
    permuted = matched_loss(found[torch.tensor(of_found)], again, semantic, q)
    torch.testing.assert_close(permuted, loss, rtol=1e-6, atol=0)


def test_duplicates_get_no_gradient_and_false_positives_do() -> None:
    wanted = square_target()
    found = near(wanted)
    found.scores.requires_grad_()
    matched_loss(found, wanted, semantic_logits()).backward()
    assert found.scores.grad is not None
    assert (found.scores.grad != 0).tolist() == [True, True, False, True]
    assert found.scores.grad[3] > 0, "a false positive is pushed down"


def test_truth_without_a_detection_gives_p_no_gradient() -> None:
    """But "both cases do not contribute any gradients" ends at P: the affinities of all other pixels look there."""
    wanted = square_target()
    found = near(wanted)[torch.tensor([1])]  # the disc is not found
    missed = (wanted.instances == 0)[2::4, 2::4]
    labels = channel_labels(wanted, match(found, wanted)[1], T, (HEIGHT, WIDTH), 4)
    assert (labels[missed] == VOID).all()
    psi = potential_of("B")(semantic_logits(), found)
    q = torch.randn(8, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    p = psi.clone().requires_grad_()
    panoptic_loss([p], [labels], ONE).backward()
    assert p.grad is not None
    assert not p.grad[:, missed].any()
    assert p.grad[:, ~missed].any()
    psi.requires_grad_()
    panoptic_loss([affinity_head()(psi, q)], [labels], ONE).backward()
    assert psi.grad is not None
    assert psi.grad[:, missed].any()


def test_t_is_the_overlap_of_boxes_from_which_a_match_is_valid() -> None:
    """t = .5, of boxes and not of segments: these segments overlap by less than half, their boxes by more."""
    instances = torch.full((HEIGHT, WIDTH), VOID)
    instances[8:32, 8:36] = 0
    instances[8:24, 8:28] = VOID  # an L: its box is that of the whole rectangle
    semantic = torch.where(instances == 0, 0, T)
    wanted = target(instances, [0], semantic)
    boxes = torch.tensor([[8.0, 8.0, 36.0, 24.0]])  # upper two thirds of the box
    found = Detections(boxes, torch.ones(1), torch.tensor([0]))
    upper = torch.zeros_like(instances, dtype=torch.bool)
    upper[8:24, 8:36] = True
    both, either = (upper & (instances == 0)).sum(), (upper | (instances == 0)).sum()
    assert both / either < 0.5
    assert match(found, wanted)[1].tolist() == [0]


class TheSame(nn.Module):
    """A detection submodule that finds the same on every image."""

    def __init__(self, found: Detections) -> None:
        super().__init__()
        self.found = found

    def forward(self, *_: object) -> tuple[list[Detections], dict[str, Tensor]]:
        return [self.found], {}


def test_what_enters_psi_is_not_the_same_in_training_and_at_test() -> None:
    """The head is one, but training removes second boxes with the help of the truth, and a test has none to ask."""
    wanted = square_target()
    found = near(wanted)
    network = tiny_network(tiny_config(masks=False)).eval()
    found = replace(found, boxes=found.boxes.float(), scores=found.scores.float())
    network.detection = TheSame(found)  # type: ignore[assignment]
    with torch.no_grad():
        tested, trained = network(image_batch()), network(image_batch(), [wanted])
    assert len(tested.detections[0]) == 4
    assert len(trained.detections[0]) == 3


# ---- A.4, Table H: what predicted boxes change in training -----------------------------------------------------


@pytest.mark.parametrize("true_boxes", [False, True])
def test_the_panoptic_loss_teaches_the_box_head_through_predicted_scores_alone(true_boxes: bool) -> None:
    config = eager(tiny_config(masks=False))
    config = ground_truth_boxes(config) if true_boxes else config
    network, wanted = tiny_network(config).train(), [square_target()]
    output = network(image_batch(), wanted)
    if true_boxes:
        assert (output.detections[0].scores == 1).all()
    build_criterion(config)(output, wanted)["panoptic"].backward()
    learned = network.detection.roi.box_predictor.cls_score.weight.grad
    assert (learned is not None and bool(learned.any())) is not true_boxes
    semantic = network.semantic.project.weight.grad
    assert semantic is not None
    assert semantic.any()


def test_the_boxes_also_change_what_v_learns() -> None:
    """A.4 has it that this "does not affect the semantic segmentation module"; the gradient of V says otherwise."""
    wanted = square_target()
    truth = Detections(wanted.boxes.double(), torch.ones(2, dtype=torch.float64), wanted.classes)
    gradients = []
    for found in (near(wanted), truth):
        semantic = semantic_logits().requires_grad_()
        matched_loss(found, wanted, semantic).backward()
        assert semantic.grad is not None
        gradients.append(semantic.grad)
    predicted, true = (g.flatten() for g in gradients)
    assert predicted.any()
    assert true.any()
    assert (predicted - true).norm() > 0.05 * true.norm()


# ---- Sec. 3.4.2 and 4.2: argmax is all -------------------------------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 9))
def test_argmax_leaves_no_void_no_overlap_and_one_segment_per_stuff_class(seed: int, count: int) -> None:
    found = random_detections(count, seed=seed)
    psi = potential_of("B")(semantic_logits(seed).float(), found)
    result = decode(psi, found, CATEGORIES, Geometry((HEIGHT, WIDTH), (HEIGHT, WIDTH), 4))
    assert (result.ids > 0).all()
    assert sum(segment.area for segment in result) == HEIGHT * WIDTH
    stuff = [segment.category for segment in result if not segment.isthing]
    assert len(stuff) == len(set(stuff))
