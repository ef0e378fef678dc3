"""The codes of place: what two cells' product depends on."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unipan.ops.positional_encoding import DIRECTIONS, ROPE_CHANNELS, rope_angles, rotate, sinusoidal_encoding

SHORTEST = 8.0
CPU = torch.device("cpu")


def test_shape_and_first_cell() -> None:
    code = sinusoidal_encoding(5, 9, 3, CPU)
    assert code.shape == (12, 5, 9)
    assert torch.equal(code[:, 0, 0], torch.tensor([0.0] * 3 + [1.0] * 3).repeat(2))


def test_the_shortest_wavelength_comes_round() -> None:
    code = sinusoidal_encoding(int(SHORTEST) + 3, 2, 1, CPU)
    assert torch.allclose(code[:2, 2, 0], code[:2, 2 + int(SHORTEST), 0], atol=1e-6)
    assert not torch.allclose(code[:2, 2, 0], code[:2, 4, 0], atol=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_the_product_depends_on_the_offset_alone(y: int, x: int, down: int, right: int) -> None:
    code = sinusoidal_encoding(20, 20, 4, CPU)
    here = code[:, y, x] @ code[:, y + down, x + right]
    assert torch.isclose(here, code[:, 0, 0] @ code[:, down, right], atol=1e-4)


def test_nearer_cells_are_more_alike_within_half_a_wavelength() -> None:
    code = sinusoidal_encoding(1, 64, 5, CPU)
    products = [float(code[:, 0, 0] @ code[:, 0, x]) for x in range(int(SHORTEST / 2) + 1)]
    assert products == sorted(products, reverse=True)


def test_a_rotary_code_has_a_pair_of_channels_for_each_direction_and_wavelength() -> None:
    angles = rope_angles(5, 9, 3, CPU)
    assert angles.shape == (3 * DIRECTIONS, 45)
    assert torch.equal(angles[:, 0], torch.zeros(12))
    # The first direction runs along a row; after the shortest wavelength it has turned once.
    assert torch.allclose(angles[0, int(SHORTEST)], torch.tensor(2 * torch.pi))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 999))
def test_turned_features_see_the_offset_alone(y: int, x: int, down: int, right: int, seed: int) -> None:
    """Two cells of the same features have the same product wherever they lie at the same offset."""
    a, b = torch.randn(2, ROPE_CHANNELS * 2 + 3, 1, generator=torch.Generator().manual_seed(seed)).expand(-1, -1, 400)
    angles = rope_angles(20, 20, 2, CPU)
    a, b = rotate(a, angles), rotate(b, angles)
    here = a[:, 20 * y + x] @ b[:, 20 * (y + down) + x + right]
    assert torch.isclose(here, a[:, 0] @ b[:, 20 * down + right], atol=1e-3)


def test_a_turn_keeps_lengths_and_the_other_channels() -> None:
    features = torch.randn(ROPE_CHANNELS + 5, 12, generator=torch.Generator().manual_seed(0))
    turned = rotate(features, rope_angles(3, 4, 1, CPU))
    assert torch.equal(turned[:5], features[:5])
    assert not torch.allclose(turned[5:], features[5:], atol=0.1)
    assert torch.allclose(turned.norm(dim=0), features.norm(dim=0), atol=1e-5)
    assert torch.equal(rotate(features, rope_angles(3, 4, 0, CPU)), features)
