"""The Lovasz losses against the definition of the Lovasz extension: sorted errors times discrete Jaccard gains."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from unipan.ops.lovasz import lovasz_hinge, lovasz_softmax
from unipan.panoptic.maps import VOID


def jaccard_loss(wrong: set[int], foreground: set[int]) -> float:
    """1 - Jaccard of the segmentation that errs at the pixels `wrong` (Eq. 5 of the Lovasz paper)."""
    union = foreground | wrong
    return len(wrong) / len(union) if union else 0.0


def extension(errors: list[float], foreground: set[int]) -> float:
    """Its Lovasz extension at `errors`, by definition (Def. 1 there)."""
    total, wrong = 0.0, set[int]()
    for pixel in sorted(range(len(errors)), key=lambda pixel: -errors[pixel]):
        before = jaccard_loss(wrong, foreground)
        wrong.add(pixel)
        total += errors[pixel] * (jaccard_loss(wrong, foreground) - before)
    return total


def example(seed: int, rows: int = 3, pixels: int = 11) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, pixels, generator=generator, dtype=torch.float64)
    return logits, torch.rand(rows, pixels, generator=generator) > torch.rand(rows, 1, generator=generator)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_hinge_is_the_extension_of_each_row(seed: int) -> None:
    logits, targets = example(seed)
    for found, logit, target in zip(lovasz_hinge(logits, targets), logits.tolist(), targets.tolist(), strict=True):
        errors = [max(0.0, 1 - (v if t else -v)) for v, t in zip(logit, target, strict=True)]
        assert found.item() == pytest.approx(extension(errors, {i for i, t in enumerate(target) if t}))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_softmax_is_the_mean_extension_over_the_classes_present(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(14, 5, generator=generator, dtype=torch.float64).softmax(1)
    labels = torch.randint(VOID, 4, (14,), generator=generator)
    kept = [p for p in range(14) if labels[p] != VOID]
    present = sorted({int(labels[p]) for p in kept})
    losses = []
    for label in present:
        foreground = {i for i, p in enumerate(kept) if labels[p] == label}
        chances = [probabilities[p, label].item() for p in kept]
        losses.append(extension([1 - c if i in foreground else c for i, c in enumerate(chances)], foreground))
    assert lovasz_softmax(probabilities, labels).item() == pytest.approx(sum(losses) / len(losses))


def test_gradients() -> None:
    logits, targets = example(3)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lovasz_hinge(x, targets), logits)
    scores, _ = example(4, 9, 4)
    scores.requires_grad_()
    labels = torch.tensor([0, 1, 2, VOID, 2, 2, 0, VOID, 1])
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x.softmax(1), labels), scores)


def test_softmax_of_certain_predictions_is_one_minus_the_jaccard_index() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, VOID])
    predicted = torch.tensor([0, 0, 1, 1, 2, 2])
    loss = lovasz_softmax(F.one_hot(predicted, 3).float(), labels)
    assert loss.item() == pytest.approx(1 - (2 / 3 + 1 / 3) / 2)
    assert lovasz_softmax(F.one_hot(labels.clamp(0), 3).float(), labels) == 0


def test_hinge_extremes() -> None:
    targets = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    right = torch.where(targets > 0, 1.0, -1.0)
    assert lovasz_hinge(right, targets).tolist() == [0, 0, 0]
    assert lovasz_hinge(5 * right, targets).tolist() == [0, 0, 0]
    assert lovasz_hinge(-right, targets).tolist() == [2, 2, 2]
    half = right.clone()
    half[0, 1] = -1
    assert lovasz_hinge(half, targets)[0].item() == pytest.approx(2 * 0.5)


def test_nothing_to_learn_gives_zero_with_a_graph() -> None:
    scores = torch.randn(6, 3, requires_grad=True)
    nothing = lovasz_hinge(scores[:0], torch.zeros(0, 3))
    assert nothing.shape == (0,)
    loss = lovasz_softmax(scores.softmax(1), torch.full((6,), VOID)) + nothing.sum()
    loss.backward()
    assert loss == 0
    assert scores.grad is not None
    assert scores.grad.eq(0).all()


def test_rows_do_not_see_each_other() -> None:
    logits, targets = example(5)
    alone = torch.cat([lovasz_hinge(logits[r : r + 1], targets[r : r + 1]) for r in range(3)])
    torch.testing.assert_close(lovasz_hinge(logits, targets), alone)


def test_half_precision_is_computed_in_32_bit() -> None:
    logits, targets = example(7)
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = lovasz_hinge(half, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, lovasz_hinge(half.float(), targets))
