"""The feature pyramid against torchvision's."""

import weakref
from collections import OrderedDict

import pytest
import torch
from torch import Tensor
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from unipan.models.pyramid import FeaturePyramid

CHANNELS = [4, 6, 8, 10]


def both() -> tuple[FeaturePyramid, FeaturePyramidNetwork]:
    torch.manual_seed(0)
    ours = FeaturePyramid(in_channels=CHANNELS, out_channels=5)
    theirs = FeaturePyramidNetwork(CHANNELS, 5, extra_blocks=LastLevelMaxPool())
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def stages(height: int, width: int) -> list[Tensor]:
    return [torch.randn(2, c, -(-height // 2**n), -(-width // 2**n)) for n, c in enumerate(CHANNELS)]


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_levels_and_gradients_are_torchvisions(size: tuple[int, int], layout: torch.memory_format) -> None:
    ours, theirs = both()
    given = [each.contiguous(memory_format=layout).requires_grad_() for each in stages(*size)]
    wanted = theirs(OrderedDict(zip("2345", given, strict=True)))
    found = ours(list(given))
    assert list(found) == ["p2", "p3", "p4", "p5", "p6"]
    assert all(torch.equal(one, other) for one, other in zip(found.values(), wanted.values(), strict=True))
    gradients = [
        torch.autograd.grad(sum(level.square().sum() for level in levels.values()), [*given, *network.parameters()])
        for levels, network in ((found, ours), (wanted, theirs))
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@torch.inference_mode()
def test_no_input_outlives_its_use() -> None:
    """At 1024 x 2048 and the paper's width they take 0.25 GiB."""
    ours, given = both()[0], stages(16, 24)
    alive = [weakref.ref(each) for each in given]
    seen: list[int] = []
    for output in ours.layer_blocks:
        output.register_forward_pre_hook(lambda *_: seen.append(sum(each() is not None for each in alive)))
    ours(given)
    assert given == []
    assert seen == [3, 2, 1, 0]
