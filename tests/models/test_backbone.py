"""The backbone against torchvision's names, shapes and outputs."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from tests.tiny import resnet_state
from unipan.config import BackboneConfig
from unipan.models.backbone import ResNetFPN


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_width_64_has_torchvisions_names_and_shapes(depth: int) -> None:
    with torch.device("meta"):
        own = ResNetFPN(depth=depth).resnet.state_dict()
        theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in theirs.items() if k[:3] != "fc."}


@pytest.mark.parametrize("depth", [18, 50])
def test_c5_equals_torchvisions(depth: int, tmp_path: Path) -> None:
    state = resnet_state(depth)
    save_file(state, tmp_path / "weights.safetensors")
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    theirs.load_state_dict(state)
    theirs.avgpool = theirs.fc = torch.nn.Identity()
    pixels = torch.randn(1, 3, 64, 96)
    for frozen in (False, True):
        backbone = ResNetFPN(depth=depth, frozen=frozen).eval()
        backbone.load_pretrained(str(tmp_path / "weights.safetensors"))
        with torch.no_grad():
            c5, expected = backbone.resnet(pixels)[-1], theirs.eval()(pixels)
        torch.testing.assert_close(c5.flatten(1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
def test_levels_halve_from_stride_4(size: tuple[int, int]) -> None:
    features = ResNetFPN(depth=18, width=8, fpn_channels=16)(torch.randn(2, 3, *size))
    assert list(features) == ["p2", "p3", "p4", "p5", "p6"]
    height, width = (-(-side // 4) for side in size)
    for feature in features.values():
        assert feature.shape == (2, 16, height, width)
        height, width = -(-height // 2), -(-width // 2)
    assert torch.equal(features["p6"], features["p5"][:, :, ::2, ::2])


def test_squeeze_and_excite_has_the_papers_size_and_touches_p5s_input_only() -> None:
    with torch.device("meta"):
        excite = ResNetFPN(depth=50).excite
    assert sum(parameter.numel() for parameter in excite.parameters()) == 526_464
    assert not list(ResNetFPN(depth=18, width=8, se_reduction=0).excite.parameters())
    backbone = ResNetFPN(depth=18, width=8, fpn_channels=16).eval()
    seen: list[Tensor] = []
    backbone.excite.register_forward_hook(lambda _m, _i, output: seen.append(output))
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features = backbone(pixels)
        lateral = backbone.fpn.inner_blocks[3](seen[0])
        torch.testing.assert_close(features["p5"], backbone.fpn.layer_blocks[3](lateral))
        squeezed = backbone.resnet(pixels)[-1]
    ratio = seen[0] / squeezed
    assert ratio[squeezed > 0].min() > 0
    assert ratio[squeezed > 0].max() < 1


def test_frozen_stem_and_res2_learn_nothing_and_statistics_stay(tmp_path: Path) -> None:
    save_file(resnet_state(18), tmp_path / "weights.safetensors")
    backbone = ResNetFPN(depth=18, fpn_channels=16, frozen=True).train()
    backbone.load_pretrained(str(tmp_path / "weights.safetensors"))
    before = {key: value.clone() for key, value in backbone.resnet.state_dict().items()}
    sum(feature.sum() for feature in backbone(torch.randn(2, 3, 64, 64)).values()).backward()
    for name, parameter in backbone.named_parameters():
        frozen = name.startswith(("resnet.conv1.", "resnet.layer1."))
        assert parameter.requires_grad != frozen, name
        assert (parameter.grad is None) == frozen, name
    assert not [name for name, _ in backbone.resnet.named_parameters() if "bn" in name or "downsample.1" in name]
    for key, value in backbone.resnet.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_from_scratch_everything_learns_and_statistics_move() -> None:
    backbone = ResNetFPN(depth=50, width=8, fpn_channels=16, frozen=False).train()
    sum(feature.square().sum() for feature in backbone(torch.randn(2, 3, 64, 64)).values()).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    assert backbone.resnet.bn1.running_mean.abs().sum() > 0


def test_the_stride_in_the_1x1_is_a_bottleneck_by_hand() -> None:
    torch.manual_seed(0)
    resnet = ResNetFPN(depth=50, width=8, fpn_channels=8, frozen=True, stride_in_1x1=True).resnet
    for stage, stride in zip((resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4), (1, 2, 2, 2), strict=True):
        first = stage[0]
        for norm in (first.bn1, first.bn2, first.bn3, first.downsample[1]):
            for buffer in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                buffer.uniform_(0.5, 1.5)
        x = torch.randn(1, first.conv1.in_channels, 12, 16)

        def normed(y: Tensor, norm: torch.nn.Module) -> Tensor:
            parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            weight, bias, mean, var = (part[None, :, None, None] for part in parts)
            return (y - mean) / (var + 1e-5).sqrt() * weight + bias

        small = x[:, :, ::stride, ::stride]  # a 1x1 of stride 2 sees every second pixel
        y = normed(torch.einsum("oi,bihw->bohw", first.conv1.weight[:, :, 0, 0], small), first.bn1).relu()
        y = normed(torch.nn.functional.conv2d(y, first.conv2.weight, padding=1), first.bn2).relu()
        y = normed(torch.einsum("oi,bihw->bohw", first.conv3.weight[:, :, 0, 0], y), first.bn3)
        shortcut = torch.einsum("oi,bihw->bohw", first.downsample[0].weight[:, :, 0, 0], small)
        expected = (y + normed(shortcut, first.downsample[1])).relu()
        torch.testing.assert_close(first(x), expected, rtol=1e-4, atol=1e-4)
        assert all(block.conv1.stride == block.conv2.stride == (1, 1) for block in stage[1:])


@pytest.mark.parametrize("depth", [18, 34])
def test_blocks_without_a_1x1_cannot_have_the_stride_there(depth: int) -> None:
    with pytest.raises(ValueError, match=f"stride_in_1x1 needs blocks with a 1x1, which ResNet-{depth} lacks"):
        BackboneConfig(depth=depth, stride_in_1x1=True)  # type: ignore[arg-type]
