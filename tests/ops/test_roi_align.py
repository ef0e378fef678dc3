"""RoIAlign by rows against torchvision's kernel, level by level."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from unipan.ops import roi_align as by_rows
from unipan.ops.roi_align import BoxGrid, pyramid_roi_align

SCALES = (1 / 4, 1 / 8, 1 / 16)


def levels(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Of two images of 91 x 150 pixels: sides that no scale divides."""
    g = torch.Generator().manual_seed(0)
    sides = [(23, 38), (12, 19), (6, 10)]
    return [torch.randn(2, 3, *side, generator=g, dtype=dtype).requires_grad_() for side in sides]


def boxes(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Ordinary boxes, empty ones, thin ones, larger than the image, beyond each side; the level of each is drawn."""
    g = torch.Generator().manual_seed(1)
    corner = torch.rand(40, 2, generator=g, dtype=dtype) * torch.tensor([150, 91])
    drawn = torch.cat([corner, corner + torch.rand(40, 2, generator=g, dtype=dtype) * 80], 1)
    odd = [[5, 5, 5, 5], [9, 4, 7, 2], [3, 3, 4, 60], [-40, -30, 300, 200], [-90, -90, -50, -50], [149, 90, 150, 91]]
    odd += [[170, 100, 260, 180], [-4, -4, 0, 0], [-3.9, -8, 20, 20]]
    every = torch.cat([drawn, torch.tensor(odd, dtype=dtype)])
    image = torch.randint(2, (len(every), 1), generator=g)
    return torch.cat([image, every], 1), torch.randint(3, (len(every),), generator=g)


def oracle(maps: list[Tensor], rois: Tensor, chosen: Tensor, grid: BoxGrid) -> Tensor:
    pooled = maps[0].new_zeros(len(rois), maps[0].shape[1], grid.size, grid.size)
    for number, (level, scale) in enumerate(zip(maps, grid.scales, strict=True)):
        here = (chosen == number).nonzero()[:, 0]
        part = roi_align(level, rois[here], grid.size, scale, grid.samples, grid.aligned)
        pooled = pooled.index_copy(0, here, part)
    return pooled


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(("size", "samples"), [(7, 2), (4, 1), (3, 3), (1, 2)])
def test_values_and_gradients_are_torchvisions(size: int, samples: int, aligned: bool) -> None:
    maps, (rois, chosen) = levels(), boxes()
    grid = BoxGrid(size, SCALES, samples, aligned)
    found, expected = pyramid_roi_align(maps, rois, chosen, grid), oracle(maps, rois, chosen, grid)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    outer = torch.randn_like(expected)
    gradients = zip(torch.autograd.grad(found, maps, outer), torch.autograd.grad(expected, maps, outer), strict=True)
    for one, other in gradients:
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_differences() -> None:
    maps, (rois, chosen) = levels(), boxes()
    grid = BoxGrid(2, SCALES, 2)
    assert torch.autograd.gradcheck(lambda *each: pyramid_roi_align(each, rois[:6], chosen[:6], grid), maps)


def test_pieces_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, (rois, chosen) = levels(), boxes()
    expected = pyramid_roi_align(maps, rois, chosen, BoxGrid(7, SCALES, 2))
    monkeypatch.setattr(by_rows, "PIECE_BYTES", 3 * 49 * 3 * 8)
    assert torch.equal(pyramid_roi_align(maps, rois, chosen, BoxGrid(7, SCALES, 2)), expected)


def test_no_box_gives_no_square_and_a_gradient_of_zero() -> None:
    maps = levels()
    found = pyramid_roi_align(maps, torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), BoxGrid(7, SCALES, 2))
    assert found.shape == (0, 3, 7, 7)
    assert all(each.eq(0).all() for each in torch.autograd.grad(found.sum(), maps))


def test_fixed_levels_get_no_gradient() -> None:
    maps, (rois, chosen) = levels(), boxes()
    maps[1].requires_grad_(False)
    pyramid_roi_align(maps, rois, chosen, BoxGrid(7, SCALES, 2)).sum().backward()
    assert [each.grad is not None for each in maps] == [True, False, True]


def test_sixteen_bits_are_close_and_places_stay_exact() -> None:
    maps, (rois, chosen) = levels(torch.float32), boxes(torch.float32)
    grid = BoxGrid(7, SCALES, 2)
    found = pyramid_roi_align([each.bfloat16() for each in maps], rois, chosen, grid)
    expected = oracle(maps, rois, chosen, grid)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() / expected.norm() < 0.01
    outer = torch.randn_like(expected)
    halves = torch.autograd.grad(found, maps, outer.bfloat16())
    for one, other in zip(halves, torch.autograd.grad(expected, maps, outer), strict=True):
        assert (one - other).norm() / other.norm() < 0.01
