"""Upsampling against PyTorch's, and its transpose against the gradient of PyTorch's."""

import pytest
import torch
from torch.nn import functional as F

from unipan.ops.upsampling import nine_around, transposed_upsampling, upsample_bilinear, upsampled_between

SIZES = [(1, 1, 1), (3, 1, 4), (2, 5, 2), (4, 6, 7)]


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_both_ways_equal_pytorch_and_its_gradient(size: tuple[int, int, int], factor: int) -> None:
    torch.manual_seed(0)
    cells = torch.randn(size, dtype=torch.float64, requires_grad=True)
    expected = F.interpolate(cells[None], scale_factor=factor, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(upsample_bilinear(cells, factor), expected, rtol=1e-13, atol=1e-13)
    fine = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(expected, cells, fine)
    torch.testing.assert_close(transposed_upsampling(fine, factor), gradient, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_some_fine_cells_alone(size: tuple[int, int, int], factor: int) -> None:
    cells = torch.randn(size, dtype=torch.float64)
    everywhere = upsample_bilinear(cells, factor)
    points = torch.cartesian_prod(*(torch.arange(side) for side in everywhere.shape[1:]))
    around = cells.flatten(1)[:, nine_around(size[1:], factor, points)]
    torch.testing.assert_close(upsampled_between(around, factor, points), everywhere.flatten(1).T)


@pytest.mark.parametrize("factor", [2, 4])
def test_gradients(factor: int) -> None:
    torch.manual_seed(0)
    cells = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    fine = torch.randn(2, 3 * factor, 2 * factor, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: upsample_bilinear(x, factor), (cells,))
    assert torch.autograd.gradcheck(lambda x: transposed_upsampling(x, factor), (fine,))
