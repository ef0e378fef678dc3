"""Psi and P in NumPy equal the modules of the network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.any_detector.cases import T, drawn_input
from unipan.any_detector.tensor_fusion import resized, to_detections, untrained_affinity
from unipan.models.potential import DynamicPotential
from unipan.numpy_fusion.psi import affinity_of, potential_of, sigmoid, softmax

CPU = torch.device("cpu")


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    variant=st.sampled_from(["A", "B", "C"]),
    masks=st.sampled_from(["none", "box", "whole"]),
    count=st.integers(0, 6),
)
def test_the_potential_is_that_of_the_network(seed: int, variant: str, masks: str, count: int) -> None:
    v, found = drawn_input(seed, count, masks)
    void = variant == "A"
    reference = DynamicPotential(variant=variant, num_things=T, stride=1, void_channel=void)  # type: ignore[arg-type]
    expected = reference(torch.from_numpy(v), to_detections(found, CPU)).numpy()
    np.testing.assert_allclose(potential_of(v, found, T, variant, void), expected, atol=2e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "masks"), [(0, "none"), (3, "box")])
def test_detections_are_printed_in_one_line_as_those_of_the_network(count: int, masks: str) -> None:
    found = drawn_input(1, count, masks)[1]
    assert str(found) == str(to_detections(found, CPU)).replace("Detections", "Found")


@pytest.mark.parametrize("size", [(24, 32), (12, 16), (7, 9)])
def test_the_affinity_is_the_head_with_the_identity_for_phi(size: tuple[int, int]) -> None:
    v, found = drawn_input(1, 4, "box")
    psi = potential_of(v, found, T, "B")
    queries = np.random.default_rng(2).normal(size=(5, *size)).astype(np.float32)
    with torch.no_grad():
        expected = untrained_affinity(5)(torch.from_numpy(psi), resized(torch.from_numpy(queries), *psi.shape[1:]))
    np.testing.assert_allclose(affinity_of(psi, queries), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_affinity_is_the_dense_matrix() -> None:
    """The naive form: every pair of pixels has its dot product, divided by the channel's mass."""
    psi = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    queries = np.random.default_rng(1).normal(size=(2, 4, 5)).astype(np.float32)
    q, flat = queries.reshape(2, -1), psi.reshape(3, -1)
    matrix = q.T @ q
    expected = flat + (flat @ matrix) / (flat.sum(1, keepdims=True) + 1)
    np.testing.assert_allclose(affinity_of(psi, queries).reshape(3, -1), expected, rtol=1e-4)


def test_probabilities_of_extreme_logits_are_finite() -> None:
    values = np.array([[[-1000.0]], [[0.0]], [[1000.0]]], np.float32)
    np.testing.assert_array_equal(softmax(values)[:, 0, 0], [0, 0, 1])
    np.testing.assert_array_equal(sigmoid(values)[:, 0, 0], [0, 0.5, 1])
