"""The fused loss against the two functions of PyTorch that it stands for."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from unipan.ops.upsampled_loss import upsampled_cross_entropy
from unipan.panoptic.maps import VOID


def as_written(scores: Tensor, labels: Tensor) -> Tensor:
    fine = F.interpolate(scores[None], labels.shape, mode="bilinear", align_corners=False)
    return F.cross_entropy(fine, labels[None], ignore_index=VOID, reduction="sum")


def loss_and_gradient(
    function: Callable[[Tensor, Tensor], Tensor], scores: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    leaf = scores.clone().requires_grad_()
    loss = function(leaf, labels)
    (2.5 * loss).backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


def fused(scores: Tensor, labels: Tensor) -> Tensor:
    return upsampled_cross_entropy(scores, labels, VOID)


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 6),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    factor=st.integers(1, 5),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1000.0]),
    seed=st.integers(0, 1000),
)
def test_equals_interpolation_and_cross_entropy(
    channels: int, size: tuple[int, int], factor: int, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(channels, *size, generator=generator, dtype=torch.float64)
    labels = torch.randint(VOID, channels, (factor * size[0], factor * size[1]), generator=generator)
    for found, expected in zip(
        loss_and_gradient(fused, scores, labels), loss_and_gradient(as_written, scores, labels), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-11 * max(scale, 1))


def test_in_32_bits_it_is_as_exact_as_what_it_stands_for() -> None:
    torch.manual_seed(0)
    scores, labels = 10 * torch.rand(20, 24, 48), torch.randint(VOID, 20, (96, 192))
    exact = loss_and_gradient(as_written, scores.double(), labels)
    plain = loss_and_gradient(as_written, scores, labels)
    found = loss_and_gradient(fused, scores, labels)
    for ours, theirs, right in zip(found, plain, exact, strict=True):
        assert float((ours - right).abs().max()) <= 2 * float((theirs - right).abs().max())


def test_scores_are_left_as_they_are() -> None:
    scores = torch.randn(3, 4, 5)
    before = scores.clone()
    fused(scores, torch.zeros(8, 10, dtype=torch.long))
    assert scores.equal(before)


def test_void_alone_gives_zero_and_a_gradient_of_zero() -> None:
    loss, gradient = loss_and_gradient(fused, torch.randn(3, 4, 5), torch.full((8, 10), VOID))
    assert float(loss) == 0
    assert not gradient.any()


def test_nothing_but_the_scores_and_their_gradient_is_kept() -> None:
    """The full-size softmax, which is what makes the loss expensive, never exists."""
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.nbytes)
        return tensor

    scores = torch.randn(10, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        fused(scores, torch.zeros(64, 64, dtype=torch.long))
    assert sum(kept) <= scores.nbytes


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="9 x 10"):
        fused(torch.randn(3, 4, 5), torch.zeros(9, 10, dtype=torch.long))
