"""Sec. 3.1 takes a ResNet-FPN; any module that does what `models.parts.Backbone` says can stand in its place.

Tried with one: MobileNetV3 (arXiv 1905.02244) below torchvision's FPN.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from tests.tiny import CATEGORIES, image_batch, square_target, tiny_config, tiny_network
from unipan.build import build_criterion
from unipan.checkpoint import load_checkpoint, save_checkpoint, transfer
from unipan.models.parts import Backbone

STAGES = {1: "p2", 3: "p3", 8: "p4", 12: "p5"}
"""The last blocks of MobileNetV3-Small at strides 4, 8, 16 and 32."""


class MobileNetFPN(nn.Module):
    out_channels = 16
    must_match: Mapping[str, object] = {}

    def __init__(self) -> None:
        super().__init__()
        self.blocks = mobilenet_v3_small().features
        self.fpn = FeaturePyramidNetwork([16, 24, 48, 576], self.out_channels, LastLevelMaxPool())

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        levels = {}
        for index, block in enumerate(self.blocks):
            pixels = block(pixels)
            if index in STAGES:
                levels[STAGES[index]] = pixels
        features: dict[str, Tensor] = self.fpn(levels)
        features["p6"] = features.pop("pool")
        return features

    def load_pretrained(self, weights: str) -> None:
        self.blocks.load_state_dict(torch.load(weights, weights_only=True))


@pytest.fixture(autouse=True)
def _plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.build.build_backbone", lambda _: MobileNetFPN())


def test_the_network_trains_with_another_backbone() -> None:
    network, wanted = tiny_network().train(), [square_target(), square_target(things=False)]
    assert isinstance(network.backbone, Backbone)
    criterion = build_criterion(tiny_config())
    criterion.total(criterion(network(image_batch(2), wanted), wanted)).backward()
    assert [name for name, p in network.backbone.named_parameters() if p.grad is None] == []


def test_a_checkpoint_rebuilds_it_and_another_run_starts_from_it(tmp_path: Path) -> None:
    network, path = tiny_network(seed=1).eval(), tmp_path / "net.safetensors"
    save_checkpoint(path, network.state_dict(), tiny_config(), CATEGORIES, {})
    loaded = load_checkpoint(path).network
    with torch.no_grad():
        assert torch.equal(loaded(image_batch()).semantic, network(image_batch()).semantic)
    assert transfer(tiny_network(seed=2), path, CATEGORIES).left == []
