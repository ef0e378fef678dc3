"""Batch norm folded into convolutions: the same function, of every ResNet that we build."""

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from unipan.models.backbone import ResNetFPN
from unipan.models.folding import fold_batch_norm


def scrambled(depth: int, frozen: bool, msra: bool = False) -> ResNetFPN:
    """In evaluation mode, with statistics that no fresh norm has."""
    torch.manual_seed(depth)
    network = ResNetFPN(depth=depth, width=8, fpn_channels=16, frozen=frozen, stride_in_1x1=msra)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            for name, low, high in (("weight", 0.2, 0.9), ("bias", -1, 1), ("running_mean", -1, 1)):
                nn.init.uniform_(getattr(module, name), low, high)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.double().eval()


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(("depth", "msra"), [(18, False), (34, False), (50, False), (50, True)])
@torch.no_grad()
def test_the_function_stays(depth: int, msra: bool, frozen: bool) -> None:
    network = scrambled(depth, frozen, msra)
    pixels = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    before = network(pixels)
    norms = sum(isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d) for module in network.modules())
    assert fold_batch_norm(network) == norms > 15
    assert not any(isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d) for module in network.modules())
    for name, level in network(pixels).items():
        torch.testing.assert_close(level, before[name])
    assert fold_batch_norm(network) == 0


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match=r"eval\(\)"):
        fold_batch_norm(ResNetFPN(depth=18, width=8))
