"""What inference does with the network is the same function, for every kind of network."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.tiny import image_batch, tiny_config, tiny_network
from unipan.models.inference_form import PointwiseConv, RowsLinear, for_inference, is_pointwise


@pytest.mark.parametrize("deformable", [True, False])
@pytest.mark.parametrize("masks", [True, False])
@torch.inference_mode()
def test_the_network_finds_the_same(deformable: bool, masks: bool) -> None:
    config = tiny_config()
    config = replace(
        config,
        decoder=replace(config.decoder, deformable=deformable),
        detection=replace(config.detection, masks=masks),
    )
    network, images = tiny_network(config, seed=3).eval(), image_batch(2, seed=1)
    before = network(images)
    after = for_inference(network)(images)
    torch.testing.assert_close(after.semantic, before.semantic, rtol=1e-4, atol=1e-4)
    for one, other in zip(after.panoptic, before.panoptic, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(RowsLinear) >= 4
    assert kinds.count(PointwiseConv) >= 8
    assert nn.Linear not in kinds


@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_a_pointwise_convolution_is_one(batch: int) -> None:
    layer = nn.Conv2d(5, 7, 1)
    quick = for_inference(nn.Sequential(nn.Conv2d(5, 7, 1)).eval())[0]
    quick.load_state_dict(layer.state_dict())
    pixels = torch.randn(batch, 5, 11, 13)
    for x in (pixels, pixels.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(quick(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "pointwise"),
    [({}, True), ({"stride": 2}, False), ({"padding": 1}, False), ({"groups": 2}, False), ({"padding": "same"}, False)],
    ids=str,
)
def test_others_are_left(options: dict[str, int], pointwise: bool) -> None:
    assert is_pointwise(nn.Conv2d(4, 4, 1, **options)) == pointwise
    assert not is_pointwise(nn.Conv2d(4, 4, 3))
