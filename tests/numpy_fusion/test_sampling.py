"""Sampling in NumPy equals that of the network's own fusions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unipan.fusion.argmax import Grid, argmax, upsample
from unipan.numpy_fusion import sampling
from unipan.ops.boxes import inside
from unipan.ops.masks import paste, paste_window
from unipan.structures import Geometry

SIZES = [((6, 9), (6, 9)), ((6, 9), (24, 36)), ((6, 9), (13, 31)), ((12, 10), (5, 4)), ((1, 1), (3, 2))]


@pytest.mark.parametrize(("grid", "image"), SIZES)
def test_maps_and_their_argmax_at_the_image(grid: tuple[int, int], image: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=(5, *grid)).astype(np.float32)
    places = Grid.of(torch.from_numpy(values), Geometry(image, grid, 1))
    expected = np.stack([upsample(torch.from_numpy(each), places).numpy() for each in values])
    np.testing.assert_allclose(sampling.resampled(values, *image), expected, atol=1e-5)
    found = sampling.winners(values, *image)
    np.testing.assert_array_equal(found, argmax(torch.from_numpy(values), places).numpy())
    if grid != image:
        assert (found == expected.argmax(0)).mean() > 0.99  # ties after rounding


def test_the_argmax_is_interpolated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(5, 6, 9)).astype(np.float32)
    whole = sampling.winners(values, 24, 36)
    monkeypatch.setattr(sampling, "AT_ONCE", 20)
    np.testing.assert_array_equal(sampling.winners(values, 24, 36), whole)


spans = st.tuples(st.floats(-5, 30, width=32), st.floats(0.0625, 20, width=32))


@settings(deadline=None, max_examples=60)
@given(across=spans, down=spans, seed=st.integers(0, 100))
def test_a_mask_lies_in_its_box(across: tuple[float, float], down: tuple[float, float], seed: int) -> None:
    height, width = 17, 23
    box = np.array([across[0], down[0], sum(across), sum(down)], np.float32)
    mask = np.random.default_rng(seed).normal(size=(6, 6)).astype(np.float32)
    rows, columns = sampling.cells_inside(box, height, width)
    own = np.zeros((height, width), bool)
    own[rows, columns] = True
    boxes = torch.from_numpy(box)[None]
    np.testing.assert_array_equal(own, inside(boxes, height, width, 1)[0].numpy())
    pasted = np.zeros((height, width), np.float32)
    pasted[rows, columns] = sampling.in_box(mask, box, (rows, columns))
    expected = paste(torch.from_numpy(mask)[None], boxes, height, width, 1)[0].numpy()
    np.testing.assert_allclose(pasted, expected, atol=1e-3)
    window, values = paste_window(torch.from_numpy(mask), boxes[0], height, width)
    pixels = sampling.pixels_inside(box, height, width)
    assert pixels == window
    np.testing.assert_allclose(sampling.in_box(mask, box, pixels), values.numpy(), atol=1e-3)
