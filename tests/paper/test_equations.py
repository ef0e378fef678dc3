"""Every equation of Sec. 3 against its naive form: loops over pixels, the n x n matrix, all permutations."""

import itertools
import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou

from tests.tiny import HEIGHT, WIDTH, S, T, potential_of, random_detections, square_target, target
from unipan.build import build_affinity
from unipan.config import AffinityConfig
from unipan.models.affinity import Activation, InstanceAffinity, Normalisation
from unipan.models.affinity_rows import affinity_rows
from unipan.models.matching import channel_labels, match
from unipan.panoptic.maps import VOID
from unipan.presets import PUBLISHED
from unipan.structures import Detections

ALLOWED = []
for _activation, _normalise in itertools.product(get_args(Activation), get_args(Normalisation)):
    try:
        AffinityConfig(activation=_activation, normalise=_normalise)
        ALLOWED.append((_activation, _normalise))
    except ValueError:
        continue


def bilinear(mask: Tensor, y: float, x: float) -> float:
    """The value of an m x m mask at (y, x) in its own cells, half-pixel centres, border values kept."""
    m = mask.shape[0]
    y, x = (min(max(v - 0.5, 0.0), m - 1.0) for v in (y, x))
    y0, x0 = min(int(y), m - 2), min(int(x), m - 2)
    dy, dx = y - y0, x - x0
    top = (1 - dx) * mask[y0, x0] + dx * mask[y0, x0 + 1]
    bottom = (1 - dx) * mask[y0 + 1, x0] + dx * mask[y0 + 1, x0 + 1]
    return float((1 - dy) * top + dy * bottom)


def cells_in(start: float, end: float, length: int) -> set[int]:
    inside = {c for c in range(length) if start <= (c + 0.5) * 4 < end}
    return inside or {min(max(math.floor((start + end) / 8), 0), length - 1)}


def naive_psi(variant: str, semantic: Tensor, found: Detections) -> Tensor:
    """Eq. 1 and 2, pixel by pixel: a logit or probability of the class in the box, the mask's value, the score."""
    _, h, w = semantic.shape
    v = semantic if variant == "A" else semantic.softmax(0)
    psi = torch.zeros(len(found) + semantic.shape[0] - T, h, w, dtype=semantic.dtype)
    for k in range(len(found)):
        x0, y0, x1, y1 = found.boxes[k].tolist()
        for i, j in itertools.product(cells_in(y0, y1, h), cells_in(x0, x1, w)):
            value = float(v[found.classes[k], i, j])
            score = float(found.scores[k])
            if found.masks is None:
                psi[k, i, j] = value if variant == "A" else score * value
                continue
            m = found.masks[k] if variant == "A" else found.masks[k].sigmoid()
            cells = m.shape[0]
            at = bilinear(m, (4 * i + 2 - y0) / (y1 - y0) * cells, (4 * j + 2 - x0) / (x1 - x0) * cells)
            psi[k, i, j] = {"A": value + at, "B": score * value * at, "C": score * (value + at)}[variant]
    psi[len(found) :] = v[T:]
    return psi


def semantic_logits(seed: int = 0, h: int = HEIGHT // 4, w: int = WIDTH // 4) -> Tensor:
    return torch.randn(T + S, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_eq_1_and_2_pixel_by_pixel(variant: str, masks: bool) -> None:
    semantic = semantic_logits()
    found = random_detections(9, masks, cells=6, dtype=torch.float64)
    psi = potential_of(variant)(semantic, found)
    torch.testing.assert_close(psi, naive_psi(variant, semantic, found), rtol=0, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 12), st.integers(0, 1000))
def test_without_masks_variant_b_is_variant_c(count: int, seed: int) -> None:
    semantic, found = semantic_logits(seed), random_detections(count, masks=False, seed=seed, dtype=torch.float64)
    b, c = (
        potential_of("B")(semantic, found),
        potential_of("C")(semantic, found),
    )
    assert torch.equal(b, c)


@pytest.mark.parametrize("variant", ["A", "B", "C"])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("count", [0, 1, 100, 400])
def test_any_number_of_detections(variant: str, masks: bool, count: int) -> None:
    semantic, found = semantic_logits().float(), random_detections(count, masks)
    psi = potential_of(variant)(semantic, found)
    assert psi.shape == (count + S, HEIGHT // 4, WIDTH // 4)
    assert psi.isfinite().all()
    v = semantic if variant == "A" else semantic.softmax(0)
    assert torch.equal(psi[count:], v[T:])  # stuff is never attenuated


def test_psi_of_one_detection_depends_on_no_other() -> None:
    semantic, found = semantic_logits().float(), random_detections(20)
    head = potential_of("B")
    whole = head(semantic, found)
    for keep in (torch.tensor([3]), torch.tensor([5, 0, 19]), torch.randperm(20)):
        assert torch.equal(head(semantic, found[keep])[: len(keep)], whole[keep])


@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_gradients_reach_v_s_and_m_but_not_the_boxes(variant: str) -> None:
    semantic = semantic_logits().requires_grad_()
    found = random_detections(4, cells=5, dtype=torch.float64)
    leaves = [found.boxes, found.scores, found.masks]
    for leaf in leaves:
        assert leaf is not None
        leaf.requires_grad_()
    potential_of(variant)(semantic, found).pow(2).sum().backward()
    assert semantic.grad is not None
    assert semantic.grad.abs().sum() > 0
    assert found.boxes.grad is None
    assert found.masks is not None
    assert found.masks.grad is not None
    assert found.masks.grad.abs().sum() > 0
    if variant == "A":
        assert found.scores.grad is None  # [26]'s head has no score
    else:
        assert found.scores.grad is not None
        assert (found.scores.grad != 0).all()


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_gradcheck_of_the_potential(variant: str, masks: bool) -> None:
    semantic = semantic_logits(h=4, w=5).requires_grad_()
    found = random_detections(3, masks, cells=3, dtype=torch.float64)
    boxes = found.boxes / 4
    parts = [found.scores.requires_grad_()] + ([found.masks.requires_grad_()] if found.masks is not None else [])

    def psi(semantic: Tensor, scores: Tensor, masks: Tensor | None = None) -> Tensor:
        return potential_of(variant)(semantic, Detections(boxes, scores, found.classes, masks))

    assert torch.autograd.gradcheck(psi, (semantic, *parts))


# ---- Eq. 3 and 4 -----------------------------------------------------------------------------------------------


def affinity(activation: Activation = "identity", normalise: Normalisation = "segment", c: int = 8) -> InstanceAffinity:
    torch.manual_seed(1)
    return InstanceAffinity(extractor=nn.Identity(), channels=c, activation=activation, normalise=normalise).double()


def psi_and_q(k: int = 7, c: int = 8, h: int = 5, w: int = 6) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    return (
        torch.rand(k, h, w, generator=g, dtype=torch.float64),
        torch.randn(c, h, w, generator=g, dtype=torch.float64),
    )


def naive_matrix(head: InstanceAffinity, queries: Tensor) -> Tensor:
    """The n x n affinities, one pair of pixels after the other."""

    def act(x: Tensor) -> Tensor:
        kinds = {
            "identity": lambda v: v,
            "elu": F.elu,
            "gelu": F.gelu,
            "relu": F.relu,
            "softmax": lambda v: v.softmax(0),
        }
        return kinds[head.activation](x)

    pixels = list(queries.flatten(1).T)
    weight = [conv.weight[:, :, 0, 0] for conv in (head.phi0, head.phi1)]
    q0 = [act(weight[0] @ p + head.phi0.bias) for p in pixels]
    raw = [weight[1] @ p + head.phi1.bias for p in pixels]
    q1 = list(torch.stack(raw).softmax(0)) if head.normalise == "softmax" else [act(p) for p in raw]
    return torch.stack([torch.stack([a @ b for b in q1]) for a in q0])


def naive_p(head: InstanceAffinity, psi: Tensor, queries: Tensor) -> Tensor:
    matrix, flat = naive_matrix(head, queries), psi.flatten(1)
    messages = torch.einsum("ij,kj->ki", matrix, flat)
    if head.normalise == "pixels":
        messages = messages / flat.shape[1]
    if head.normalise == "segment":
        messages = messages / (flat.abs().sum(1, keepdim=True) + 1)
    return psi + messages.reshape(psi.shape)


@pytest.mark.parametrize(("activation", "normalise"), ALLOWED)
def test_eq_3_associativity_equals_the_explicit_matrix(activation: Activation, normalise: Normalisation) -> None:
    head = affinity(activation, normalise)
    psi, q = psi_and_q()
    p = head(psi, q)
    torch.testing.assert_close(p, naive_p(head, psi, q), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(p, psi)


@pytest.mark.parametrize(("activation", "normalise"), ALLOWED)
def test_row_is_the_row_of_the_matrix(activation: Activation, normalise: Normalisation) -> None:
    head = affinity(activation, normalise)
    _, q = psi_and_q()
    matrix = naive_matrix(head, q)
    cells = torch.tensor([[0, 0], [2, 3], [4, 5]])
    wanted = matrix[cells[:, 0] * 6 + cells[:, 1]].reshape(3, 5, 6)
    torch.testing.assert_close(affinity_rows(head, q, (5, 6), cells), wanted)


@pytest.mark.parametrize(("activation", "normalise"), ALLOWED)
def test_gradcheck_of_the_affinity(activation: Activation, normalise: Normalisation) -> None:
    head = affinity(activation, normalise, c=3)
    psi, q = psi_and_q(k=3, c=3, h=2, w=3)
    inputs = (psi.requires_grad_(), q.requires_grad_(), *head.parameters())
    assert torch.autograd.gradcheck(lambda psi, q, *_: head(psi, q), inputs)


def test_gradcheck_of_the_affinity_on_signed_psi() -> None:
    head = affinity("elu", "segment", c=3)  # variant A's Psi is signed
    psi, q = psi_and_q(k=3, c=3, h=2, w=3)
    assert torch.autograd.gradcheck(head, ((psi - 0.5).requires_grad_(), q.requires_grad_()))


@pytest.mark.parametrize("normalise", get_args(Normalisation))
def test_every_channel_is_revised_by_itself(normalise: Normalisation) -> None:
    """Permuting Psi's channels permutes P's, dropping some drops them; nothing else changes."""
    head = affinity(normalise=normalise)
    psi, q = psi_and_q()
    p = head(psi, q)
    for order in (torch.randperm(7), torch.tensor([6]), torch.tensor([1, 4])):
        torch.testing.assert_close(head(psi[order], q), p[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("normalise", ["none", "pixels", "softmax"])
def test_p_is_linear_in_psi(normalise: Normalisation) -> None:
    check_linearity(affinity(normalise=normalise))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_recipes_obey_eq_4(name: str) -> None:
    """An activation after the 1x1 convolution, linear in Psi, nothing divided, no positional encoding."""
    config = PUBLISHED[name]()
    assert config.affinity.activation != "identity"
    assert (config.affinity.positional_encoding, config.affinity.rope) == (0, 0)
    head = build_affinity(replace(config, affinity=replace(config.affinity, channels=8)))
    assert head is not None
    check_linearity(head.double())


def check_linearity(head: InstanceAffinity) -> None:
    psi, q = psi_and_q()
    other = torch.rand_like(psi)
    torch.testing.assert_close(head(2 * psi + 3 * other, q), 2 * head(psi, q) + 3 * head(other, q))


def test_permuting_detections_permutes_p_and_nothing_else() -> None:
    semantic, found = semantic_logits().float(), random_detections(12)
    q = torch.randn(8, HEIGHT // 4, WIDTH // 4)
    potential, head = potential_of("B"), affinity().float()
    p = head(potential(semantic, found), q)
    order = torch.randperm(12)
    permuted = head(potential(semantic, found[order]), q)
    torch.testing.assert_close(permuted[:12], p[order])
    torch.testing.assert_close(permuted[12:], p[12:])


def test_an_empty_channel_stays_empty_and_finite() -> None:
    psi, q = psi_and_q()
    psi[2] = 0
    p = affinity()(psi, q)
    assert p.isfinite().all()
    assert torch.equal(p[2], psi[2])


@pytest.mark.parametrize(("activation", "normalise"), ALLOWED)
def test_the_branch_is_alive_after_one_step(activation: Activation, normalise: Normalisation) -> None:
    head = affinity(activation, normalise)
    psi, q = psi_and_q()
    before = head(psi, q).detach()
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    wanted = torch.randint(7, (1, 5, 6))
    F.cross_entropy(head(psi, q)[None], wanted).backward()
    weights = [head.phi0.weight, head.phi1.weight]
    assert all(w.grad is not None and w.grad.abs().max() > 0 for w in weights)
    optimiser.step()
    after = head(psi, q)
    assert not torch.allclose(after, before, rtol=0, atol=1e-9)
    assert not torch.allclose(after, psi)


# ---- Eq. 5 -----------------------------------------------------------------------------------------------------


def brute_force(found: Detections, truth_boxes: Tensor, truth_classes: Tensor, t: float) -> float:
    """The largest sum of class-gated IoU_t over all one-to-one assignments."""
    iou = box_iou(found.boxes, truth_boxes) * (found.classes[:, None] == truth_classes[None])
    iou = torch.where(iou >= t, iou, 0.0)
    d, n = iou.shape
    if d > n:
        iou, d, n = iou.T, n, d
    return max(sum(float(iou[i, j]) for i, j in enumerate(order)) for order in itertools.permutations(range(n), d))


@st.composite
def crowded_boxes(draw: st.DrawFn, most: int) -> Tensor:
    count = draw(st.integers(1, most))
    rows = [
        (x, y, x + 10 + dw, y + 10 + dh)
        for x, y, dw, dh in (draw(st.tuples(*[st.integers(0, 5)] * 4)) for _ in range(count))
    ]
    return torch.tensor(rows, dtype=torch.float32)


@settings(max_examples=60, deadline=None)
@given(crowded_boxes(5), crowded_boxes(4), st.integers(0, 99), st.sampled_from([0.3, 0.5, 0.8]))
def test_eq_5_hungarian_equals_all_permutations(boxes: Tensor, truths: Tensor, seed: int, t: float) -> None:
    g = torch.Generator().manual_seed(seed)
    found = Detections(boxes, torch.rand(len(boxes)), torch.randint(2, (len(boxes),), generator=g))
    classes = torch.randint(2, (len(truths),), generator=g)
    wanted = replace(square_target(things=False), boxes=truths, classes=classes)
    kept, rows = match(found, wanted, t)
    iou = box_iou(kept.boxes, truths) * (kept.classes[:, None] == classes[None])
    matched = (rows != VOID).nonzero()[:, 0]
    assert float(iou[matched, rows[matched]].sum()) == pytest.approx(brute_force(found, truths, classes, t), abs=1e-5)
    assert len(set(rows[matched].tolist())) == len(matched)  # one to one
    assert (iou[matched, rows[matched]] >= t).all()
    assert (iou[rows == VOID].amax(1) < t).all()  # what is left without truth is a false positive, not a duplicate
    assert len(found) - len(kept) == sum(
        bool((row >= t).any()) for row in box_iou(boxes, truths) * (found.classes[:, None] == classes[None])
    ) - len(matched)


def test_classes_gate_the_match_and_duplicates_leave() -> None:
    wanted = square_target()
    disc, box = wanted.boxes
    boxes = torch.stack([disc, disc + 1, disc, disc + 40, box])
    found = Detections(boxes, torch.linspace(0.9, 0.5, 5), torch.tensor([0, 0, 1, 0, 1]), torch.rand(5, 4, 4))
    kept, rows = match(found, wanted)
    # The shifted disc is a duplicate; the disc called a box, and the one far away, stay as false positives.
    assert rows.tolist() == [0, VOID, VOID, 1]
    assert torch.equal(kept.boxes, boxes[[0, 2, 3, 4]])
    assert torch.equal(kept.scores, found.scores[[0, 2, 3, 4]])


def test_the_threshold_counts_from_exactly_t() -> None:
    wanted = square_target()
    half = wanted.boxes[0].clone()
    half[2] = (half[0] + half[2]) / 2  # IoU 1/2
    found = Detections(half[None], torch.ones(1), torch.tensor([0]))
    assert match(found, wanted, 0.5)[1].tolist() == [0]
    assert match(found, wanted, 0.51)[1].tolist() == [VOID]


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("things", [True, False])
def test_nothing_to_match(count: int, things: bool) -> None:
    found = random_detections(count)
    found = replace(found, classes=torch.zeros_like(found.classes))
    wanted = square_target(things=things)
    kept, rows = match(found, replace(wanted, classes=torch.ones_like(wanted.classes)))
    assert len(kept) == count
    assert rows.tolist() == [VOID] * count
    labels = channel_labels(wanted, rows, T, (HEIGHT, WIDTH), 4)
    assert labels.shape == (HEIGHT // 4, WIDTH // 4)
    assert set(labels.unique().tolist()) == ({VOID} if things else set()) | {count, count + 1}


def test_the_matched_truth_cell_by_cell() -> None:
    wanted = square_target()
    instances, semantic = wanted.instances.clone(), wanted.semantic.clone()
    semantic[:, :4] = VOID  # void
    instances[40:56, 8:24], semantic[40:56, 8:24] = VOID, 0  # a crowd of discs: a class, no instance
    wanted = target(instances, [0, 1], semantic)
    rows = torch.tensor([VOID, 1])  # a false positive, the box; the disc is not found
    labels = channel_labels(wanted, rows, T, (HEIGHT, WIDTH + 32), 4)
    for i, j in itertools.product(range(HEIGHT // 4), range((WIDTH + 32) // 4)):
        y, x = 4 * i + 2, 4 * j + 2
        if x >= WIDTH or semantic[y, x] == VOID or (semantic[y, x] < T and instances[y, x] != 1):
            expected = VOID
        else:
            expected = 1 if instances[y, x] == 1 else 2 + int(semantic[y, x]) - T
        assert labels[i, j] == expected
    assert (labels != 0).all()  # a false positive should win nowhere


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_labels_come_at_every_stride(stride: int) -> None:
    wanted = square_target()
    labels = channel_labels(wanted, torch.tensor([0, 1]), T, (HEIGHT, WIDTH), stride)
    assert labels.shape == (HEIGHT // stride, WIDTH // stride)
    assert (labels == 0).sum() == 24 * 28 / stride**2
