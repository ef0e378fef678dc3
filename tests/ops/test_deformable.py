"""Deformable convolution by rows against torchvision's kernel, in values and gradients, and against differences."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from unipan.ops import deformable
from unipan.ops.deformable import ConvolutionGrid, cells_around, deformable_convolution

PADDED = ConvolutionGrid(padding=(1, 1))
GRIDS = [
    (PADDED, (3, 3)),
    (ConvolutionGrid((2, 1), (1, 0), (1, 1)), (3, 3)),
    (ConvolutionGrid((1, 1), (2, 2), (2, 2)), (3, 3)),
    (ConvolutionGrid((2, 3), (0, 2), (1, 3)), (2, 3)),
    (ConvolutionGrid(), (1, 1)),
]


def layer(
    batch: int = 2,
    size: tuple[int, int] = (9, 13),
    grid: ConvolutionGrid = PADDED,
    kernel: tuple[int, int] = (3, 3),
    far: float = 2.0,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """Features, offsets, weights and bias, each with a gradient; `far` is how many cells the offsets reach."""
    generator = torch.Generator().manual_seed(0)
    parts = zip(size, grid.stride, grid.padding, grid.dilation, kernel, strict=True)
    out = [(side + 2 * p - d * (k - 1) - 1) // s + 1 for side, s, p, d, k in parts]
    shapes = [(batch, 5, *size), (batch, 2 * math.prod(kernel), *out), (4, 5, *kernel), (4,)]
    found = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    found[1] *= far
    return [each.requires_grad_() for each in found]


def oracle(inputs: list[Tensor], grid: ConvolutionGrid = PADDED) -> Tensor:
    features, offset, weight, bias = inputs
    output: Tensor = deform_conv2d(features, offset, weight, bias, grid.stride, grid.padding, grid.dilation)
    return output


@pytest.mark.parametrize(("grid", "kernel"), GRIDS)
@pytest.mark.parametrize("far", [0.0, 2.0, 30.0])
def test_values_and_gradients_are_torchvisions(grid: ConvolutionGrid, kernel: tuple[int, int], far: float) -> None:
    """Far offsets leave the image; offsets of zero lie on the edges of cells, where the gradient is one-sided."""
    inputs = layer(grid=grid, kernel=kernel, far=far)
    found, expected = deformable_convolution(*inputs, grid), oracle(inputs, grid)
    torch.testing.assert_close(found, expected)
    outer = torch.randn_like(expected)
    gradients = zip(
        torch.autograd.grad(found, inputs, outer), torch.autograd.grad(expected, inputs, outer), strict=True
    )
    for one, other in gradients:
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 2)])
@pytest.mark.parametrize("channels_last", [True, False])
def test_any_size_and_memory_format(size: tuple[int, int], channels_last: bool) -> None:
    inputs = layer(size=size)
    if channels_last:
        inputs[:2] = [each.contiguous(memory_format=torch.channels_last) for each in inputs[:2]]
    found = deformable_convolution(*inputs, PADDED)
    torch.testing.assert_close(found, oracle(inputs))
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("length", [1, 40, 116, 117])
def test_pieces_meet(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """Any length of a piece gives the same; 117 pixels are one image, and no piece spans two."""
    inputs = layer()
    expected = deformable_convolution(*inputs, PADDED)
    outer = torch.randn_like(expected)
    gradients = torch.autograd.grad(expected, inputs, outer)
    monkeypatch.setattr(deformable, "PIECE_BYTES", length * 9 * 5 * 8)
    found = deformable_convolution(*inputs, PADDED)
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(found, inputs, outer), gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_differences() -> None:
    inputs = layer(1, (4, 5), far=1.0)
    with torch.no_grad():  # away from the edges of cells, where the derivative jumps
        inputs[1].copy_(inputs[1].floor() + 0.2 + 0.6 * torch.rand_like(inputs[1]))
    assert torch.autograd.gradcheck(lambda *each: deformable_convolution(*each, PADDED), inputs)


def test_an_empty_batch_gives_an_empty_output_and_gradients_of_zero() -> None:
    inputs = layer(batch=0)
    found = deformable_convolution(*inputs, PADDED)
    assert found.shape == (0, 4, 9, 13)
    gradients = torch.autograd.grad(found.sum(), inputs)
    assert [each.shape for each in gradients] == [each.shape for each in inputs]
    assert all(each.eq(0).all() for each in gradients)


def test_without_a_bias_and_with_fixed_features() -> None:
    features, offset, weight, _ = layer()
    features.requires_grad_(False)
    found = deformable_convolution(features, offset, weight, None, PADDED)
    expected = deform_conv2d(features, offset, weight, None, padding=1)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found.sum(), [offset, weight]),
        torch.autograd.grad(expected.sum(), [offset, weight]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_sixteen_bits_are_close_and_places_stay_exact() -> None:
    """Offsets of a thousand cells: in bf16 they would be rounded to multiples of eight."""
    inputs = layer(dtype=torch.float32)
    wide = torch.nn.functional.pad(inputs[0].detach(), (1024, 0)).requires_grad_()  # 1024 columns before the image
    with torch.no_grad():
        inputs[1][:, 1::2] += 1024
    inputs = [wide, *inputs[1:]]
    grid = ConvolutionGrid((1, 79), (1, 1))  # 14 columns of output, as the offsets have 13 and more
    inputs[1] = torch.nn.functional.pad(inputs[1].detach(), (0, 1)).requires_grad_()
    found = deformable_convolution(wide, inputs[1], inputs[2].bfloat16(), inputs[3], grid)
    expected = oracle(inputs, grid)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() / expected.norm() < 0.01
    outer = torch.randn_like(expected)
    halves = torch.autograd.grad(found, inputs, outer.bfloat16())
    for one, other in zip(halves, torch.autograd.grad(expected, inputs, outer), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() / other.norm() < 0.01


def test_what_is_not_a_number_stays_one_and_harms_nothing() -> None:
    """An offset that is NaN gives NaN at its own pixel alone, as in torchvision; none reads beyond the table."""
    inputs = layer()
    with torch.no_grad():
        inputs[1][0, 0, 4, 5] = math.nan
        inputs[1][0, 3, 2, 2] = 1e30
    found = deformable_convolution(*inputs, PADDED)
    assert found.isnan().any(1).nonzero().tolist() == [[0, 4, 5]]


def test_cells_around_one_place_by_hand() -> None:
    """(1.25, 2.5) lies between rows 1, 2 and columns 2, 3 of 4 x 5 cells; (-0.5, 4.5) half outside."""
    places = torch.tensor([[[1.25, 2.5], [-0.5, 4.5]]])
    rows, weights = cells_around(places, torch.zeros(1, 2), torch.zeros(2, 2), (4, 5))
    assert rows[0, 0].tolist() == [7, 8, 12, 13]
    torch.testing.assert_close(weights[0, 0], torch.tensor([0.375, 0.375, 0.125, 0.125]))
    torch.testing.assert_close(weights[0, 1], torch.tensor([0, 0, 0.25, 0]))
    assert rows[0, 1, 2] == 4


def test_memory_does_not_hold_all_samples() -> None:
    """256 channels at 128 x 256 would be 302 MB of sampled features at once."""
    sampler = deformable._Sampler(torch.zeros(1, 256, 128, 256), torch.zeros(1, 18, 128, 256), (3, 3), PADDED)
    assert sampler.length * 9 * 256 * 4 <= deformable.PIECE_BYTES
    assert len(sampler.pieces()) == math.ceil(128 * 256 / sampler.length)
