"""The code of place: what two cells' product depends on."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unipan.ops.places import SHORTEST, sine_code

CPU = torch.device("cpu")


def test_shape_and_first_cell() -> None:
    code = sine_code(5, 9, 3, CPU)
    assert code.shape == (12, 5, 9)
    assert torch.equal(code[:, 0, 0], torch.tensor([0.0] * 3 + [1.0] * 3).repeat(2))


def test_the_shortest_wavelength_comes_round() -> None:
    code = sine_code(int(SHORTEST) + 3, 2, 1, CPU)
    assert torch.allclose(code[:2, 2, 0], code[:2, 2 + int(SHORTEST), 0], atol=1e-6)
    assert not torch.allclose(code[:2, 2, 0], code[:2, 4, 0], atol=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_the_product_depends_on_the_offset_alone(y: int, x: int, down: int, right: int) -> None:
    code = sine_code(20, 20, 4, CPU)
    here = code[:, y, x] @ code[:, y + down, x + right]
    assert torch.isclose(here, code[:, 0, 0] @ code[:, down, right], atol=1e-4)


def test_nearer_cells_are_more_alike_within_half_a_wavelength() -> None:
    code = sine_code(1, 64, 5, CPU)
    products = [float(code[:, 0, 0] @ code[:, 0, x]) for x in range(int(SHORTEST / 2) + 1)]
    assert products == sorted(products, reverse=True)
