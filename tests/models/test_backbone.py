"""The backbone against torchvision's names, shapes and outputs; pretrained weights from a generated file."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import WeightsEnum

from unipan.config import BackboneConfig
from unipan.models.backbone import ResNetFPN, load_pretrained


def state_of(depth: int) -> dict[str, Tensor]:
    """What a torchvision weight file holds, with batch-norm statistics that are not the initial ones."""
    state: dict[str, Tensor] = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
    generator = torch.Generator().manual_seed(depth)
    for key, value in state.items():
        if "running" in key:
            state[key] = torch.rand(value.shape, generator=generator) + 0.5
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(state_of(18), path)
    return path


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_width_64_has_torchvisions_names_and_shapes(depth: int) -> None:
    with torch.device("meta"):
        own = ResNetFPN(depth).resnet.state_dict()
        theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in theirs.items() if k[:3] != "fc."}


@pytest.mark.parametrize("depth", [18, 50])
def test_c5_equals_torchvisions(depth: int, tmp_path: Path) -> None:
    state = state_of(depth)
    save_file(state, tmp_path / "weights.safetensors")
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    theirs.load_state_dict(state)
    theirs.avgpool = theirs.fc = torch.nn.Identity()
    pixels = torch.randn(1, 3, 64, 96)
    for frozen in (False, True):
        backbone = ResNetFPN(depth, frozen=frozen).eval()
        load_pretrained(backbone, str(tmp_path / "weights.safetensors"))
        with torch.no_grad():
            c5, expected = backbone.resnet(pixels)[-1], theirs.eval()(pixels)
        torch.testing.assert_close(c5.flatten(1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
def test_levels_halve_from_stride_4(size: tuple[int, int]) -> None:
    features = ResNetFPN(18, width=8, fpn_channels=16)(torch.randn(2, 3, *size))
    assert list(features) == ["p2", "p3", "p4", "p5", "p6"]
    height, width = (-(-side // 4) for side in size)
    for feature in features.values():
        assert feature.shape == (2, 16, height, width)
        height, width = -(-height // 2), -(-width // 2)
    assert torch.equal(features["p6"], features["p5"][:, :, ::2, ::2])


def test_squeeze_and_excite_has_the_papers_size_and_touches_p5s_input_only() -> None:
    with torch.device("meta"):
        excite = ResNetFPN(50).excite
    assert sum(parameter.numel() for parameter in excite.parameters()) == 526_464
    assert not list(ResNetFPN(18, width=8, se_reduction=0).excite.parameters())
    backbone = ResNetFPN(18, width=8, fpn_channels=16).eval()
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


def test_frozen_stem_and_res2_learn_nothing_and_statistics_stand_still(weights: Path) -> None:
    backbone = ResNetFPN(18, fpn_channels=16, frozen=True).train()
    load_pretrained(backbone, str(weights))
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
    backbone = ResNetFPN(50, width=8, fpn_channels=16, frozen=False).train()
    sum(feature.square().sum() for feature in backbone(torch.randn(2, 3, 64, 64)).values()).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    assert backbone.resnet.bn1.running_mean.abs().sum() > 0


@pytest.mark.parametrize("frozen", [True, False])
def test_a_file_fills_the_whole_resnet_and_nothing_else(weights: Path, frozen: bool) -> None:
    backbone = ResNetFPN(18, fpn_channels=16, frozen=frozen)
    fpn = {key: value.clone() for key, value in backbone.fpn.state_dict().items()}
    load_pretrained(backbone, str(weights))
    expected = state_of(18)
    for key, value in backbone.resnet.state_dict().items():
        if "running" in key:
            assert torch.equal(value, expected[key]), key
    saved = torch.load(weights, weights_only=True)
    assert torch.equal(backbone.resnet.layer4[1].conv2.weight, saved["layer4.1.conv2.weight"])
    assert all(torch.equal(value, fpn[key]) for key, value in backbone.fpn.state_dict().items())


def test_every_key_of_a_file_is_accounted_for(tmp_path: Path) -> None:
    state = state_of(18)
    del state["layer3.0.conv1.weight"]
    state["layer9.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(64, 4, 7, 7)
    torch.save(state, tmp_path / "odd.pth")
    backbone = ResNetFPN(18, fpn_channels=16)
    before = backbone.resnet.conv1.weight.clone()
    with pytest.raises(ValueError, match=r"layer3\.0\.conv1\.weight is missing; layer9\.weight is unexpected; conv1"):
        load_pretrained(backbone, str(tmp_path / "odd.pth"))
    assert torch.equal(backbone.resnet.conv1.weight, before)


def test_weights_of_another_depth_are_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match=r"not those of a ResNet-50 of width 64 \(.*; and \d+ more\)"):
        load_pretrained(ResNetFPN(50), str(weights))


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ValueError, match=f"{name}: cannot be read"):
        load_pretrained(ResNetFPN(18, width=8), str(tmp_path / name))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="something else than named tensors"):
        load_pretrained(ResNetFPN(18, width=8), str(tmp_path / "list.pth"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.pth"):
        load_pretrained(ResNetFPN(18, width=8), str(tmp_path / "nowhere.pth"))


def test_imagenet_weights_come_from_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get_state_dict(self: WeightsEnum, **_: object) -> dict[str, Tensor]:
        asked.append(str(self))
        return state_of(18)

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    load_pretrained(ResNetFPN(18, frozen=True), "imagenet")
    assert asked == ["ResNet18_Weights.IMAGENET1K_V1"]


def test_a_failing_download_says_which_file_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_state_dict(self: WeightsEnum, **_: object) -> dict[str, Tensor]:
        raise OSError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    with pytest.raises(FileNotFoundError, match=r"resnet50-0676ba61\.pth failed \(no route to host\).*--init FILE"):
        load_pretrained(ResNetFPN(50), "imagenet")


def test_narrow_backbones_have_no_imagenet_weights() -> None:
    with pytest.raises(ValueError, match="width 64 only, not 16"):
        load_pretrained(ResNetFPN(18, width=16), "imagenet")


def test_the_stride_in_the_1x1_is_a_bottleneck_by_hand() -> None:
    torch.manual_seed(0)
    resnet = ResNetFPN(50, width=8, fpn_channels=8, frozen=True, stride_in_1x1=True).resnet
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
