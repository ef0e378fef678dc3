"""Matrix products by oneDNN against the plain ones."""

import pytest
import torch
from torch.nn import functional as F

from unipan.ops.products import ROWS, multiplies_by_onednn, rows_times


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS, 3 * ROWS + 5])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (20, 7), (64, 128)])
@pytest.mark.parametrize("bias", [True, False])
def test_product_and_gradients_are_those_of_linear(count: int, inputs: int, outputs: int, bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(count, inputs), (outputs, inputs), *([(outputs,)] if bias else [])]
    given = [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]
    found, wanted = rows_times(*given), F.linear(*given)
    assert found.is_contiguous()
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    outer = torch.randn(wanted.shape, generator=generator)
    for one, other in zip(*(torch.autograd.grad(each, given, outer) for each in (found, wanted)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_rows_of_any_layout() -> None:
    rows = torch.randn(40, 2 * ROWS).T  # as columns in memory
    weight = torch.randn(6, 80)[:, ::2]
    torch.testing.assert_close(rows_times(rows, weight), rows @ weight.T, rtol=1e-5, atol=1e-5)


def test_other_types_and_autocast_are_left_to_torch() -> None:
    rows, weight = torch.randn(ROWS, 4), torch.randn(3, 4)
    assert multiplies_by_onednn(rows)
    for dtype in (torch.float64, torch.bfloat16):
        assert not multiplies_by_onednn(rows.to(dtype))
        assert torch.equal(rows_times(rows.to(dtype), weight.to(dtype)), F.linear(rows.to(dtype), weight.to(dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        assert rows_times(rows, weight).dtype == torch.bfloat16
    assert not multiplies_by_onednn(torch.empty(1, 1, device="meta"))


def test_few_kernels_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes differ in number from image to image; oneDNN keeps a kernel, and memory, for every number of rows."""
    seen: set[int] = set()
    made = torch.mkldnn_convolution
    monkeypatch.setattr(torch, "mkldnn_convolution", lambda x, *more: seen.add(x.shape[2]) or made(x, *more))
    for count in range(1, 3 * ROWS, 7):
        rows_times(torch.randn(count, 2), torch.randn(2, 2))
    assert seen == {ROWS, 2 * ROWS}
