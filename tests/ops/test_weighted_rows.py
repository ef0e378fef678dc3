"""Sums of weighted rows against loops, and their transpose against autograd."""

import pytest
import torch
from torch import Tensor

from unipan.ops.weighted_rows import samples_by_rows, shared_out, weighted_rows


def drawn(count: int, sums: int, terms: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    rows = torch.randint(count, (sums, terms), generator=generator, dtype=torch.int32)
    return table, rows, torch.randn(sums, terms, generator=generator, dtype=torch.float64)


def test_each_sum_is_the_loop() -> None:
    table, rows, weights = drawn(7, 4, 3)
    naive = [sum(weights[n, k] * table[rows[n, k]] for k in range(3)) for n in range(4)]
    torch.testing.assert_close(weighted_rows(table, rows, weights), torch.stack(naive))


@pytest.mark.parametrize(("count", "sums", "terms"), [(7, 40, 3), (300, 20, 4), (1, 5, 2), (6, 0, 4)])
def test_sharing_out_is_the_transpose(count: int, sums: int, terms: int) -> None:
    """Also with rows that appear twice in one sum, and with rows that nothing reads."""
    table, rows, weights = drawn(count, sums, terms)
    outer = torch.randn(sums, 5, dtype=torch.float64)
    table.requires_grad_()
    (expected,) = torch.autograd.grad((table[rows.long()] * weights[..., None]).sum(1), table, outer)
    found = shared_out(outer, rows, weights, count)
    assert found.shape == table.shape
    torch.testing.assert_close(found, expected)


def test_the_last_row_that_is_read_may_be_the_first() -> None:
    """Rows at the end of the table that nothing reads are zero."""
    found = shared_out(torch.ones(1, 2), torch.zeros(1, 3, dtype=torch.int32), torch.ones(1, 3), 4)
    assert found.tolist() == [[3, 3], [0, 0], [0, 0], [0, 0]]


def test_sixteen_bits_are_added_in_thirty_two() -> None:
    table = torch.full((1, 8), 1.0, dtype=torch.bfloat16)
    rows, weights = torch.zeros(1, 512, dtype=torch.int32), torch.ones(1, 512, dtype=torch.bfloat16)
    assert weighted_rows(table, rows, weights).eq(512).all()  # one after the other in bf16, it would stay at 256


def test_other_devices_and_tracers_see_the_plain_operators() -> None:
    assert samples_by_rows(torch.zeros(1))
    assert not samples_by_rows(torch.zeros(1, device="meta"))

    class Asks(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if samples_by_rows(x) else x + 2

    exported = torch.export.export(Asks(), (torch.zeros(1),))
    assert exported.module()(torch.zeros(1)).item() == 2
    assert torch.jit.trace(Asks(), torch.zeros(1), check_trace=False)(torch.zeros(1)).item() == 2
