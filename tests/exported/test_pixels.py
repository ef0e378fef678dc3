"""An exported network gets the pixels that the network gets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize

from unipan.config import DataConfig
from unipan.datasets.transforms import collate, resize_image
from unipan.exported.pixels import network_input, resized_image
from unipan.structures import IMAGENET_MEAN

NATIVE = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
"""Elsewhere torchvision resizes floats and rounds, which may differ by one step."""


@pytest.mark.parametrize("before", [(90, 70), (201, 333), (1, 1), (64, 96)])
@pytest.mark.parametrize("after", [(96, 64), (192, 320), (33, 500), (3, 2), (64, 96)])
def test_resizing_is_torchs(before: tuple[int, int], after: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*before, 3), dtype=np.uint8)
    expected = resize(torch.from_numpy(image).permute(2, 0, 1), list(after), antialias=True).permute(1, 2, 0).numpy()
    found = resized_image(image, *after)
    assert found.shape == (*after, 3)
    if NATIVE:
        np.testing.assert_array_equal(found, expected)
    else:
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "data",
    [
        DataConfig(short_side=0),
        DataConfig(short_side=64, max_side=100),
        DataConfig(short_side=0, pad=True),
        DataConfig(short_side=50, max_side=70, pad=True),
    ],
)
def test_the_input_is_that_of_the_network(data: DataConfig) -> None:
    image = np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    batch = collate([(resize_image(image, data), "a")])
    pixels, size = network_input(image, data, IMAGENET_MEAN)
    assert tuple(size.tolist()) == batch.sizes[0]
    assert pixels.shape == tuple(batch.pixels.shape)
    np.testing.assert_allclose(pixels, batch.pixels.numpy(), atol=1e-7 if NATIVE else 1 / 254)
    other, _ = network_input(image, replace(data, flip=0.0), IMAGENET_MEAN)
    assert np.array_equal(pixels, other)
