"""The margin agrees with the naive form, and is zero where the argmax changes hands."""

import numpy as np
import pytest
import torch

from tests.test_inference import segmenter_of, tiny
from unipan.fusion import margin
from unipan.fusion.argmax import Grid, upsample
from unipan.fusion.margin import channel_margin
from unipan.presets import scenes
from unipan.structures import Geometry


@pytest.mark.parametrize("chunk", [1, 500, 10**9])
def test_the_naive_form(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(margin, "VALUES_AT_ONCE", chunk)
    generator = torch.Generator().manual_seed(0)
    channels, geometry = torch.randn(5, 6, 8, generator=generator), Geometry((37, 53), (24, 32), 4)
    found = channel_margin(channels, geometry)
    grid = Grid.of(channels, geometry)
    values = np.sort(torch.stack([upsample(each, grid) for each in channels]).numpy(), axis=0)
    assert found.shape == (37, 53)
    np.testing.assert_allclose(found, values[-1] - values[-2], atol=1e-6)
    assert found.min() >= 0


def test_one_channel_has_no_rival() -> None:
    assert np.isinf(channel_margin(torch.zeros(1, 2, 2), Geometry((8, 8), (8, 8), 4))).all()
    assert np.isinf(channel_margin(torch.zeros(0, 2, 2), Geometry((8, 8), (8, 8), 4))).all()


def test_results_have_one_if_they_are_an_argmax() -> None:
    scene = segmenter_of(tiny(scenes())).scene(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    for fusion, channels in (("affinity", scene.panoptic), ("potential", scene.potential)):
        found = scene.result(fusion).margin
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, channel_margin(channels, scene.geometry))
    with pytest.raises(ValueError, match="no argmax"):
        _ = scene.result("heuristic").margin
