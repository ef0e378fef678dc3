"""Pretrained weights from a generated file: all of it is taken, or none with a sentence."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import WeightsEnum

from tests.tiny import resnet_state
from unipan.models.backbone import ResNetFPN


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet_state(18), path)
    return path


@pytest.mark.parametrize("frozen", [True, False])
def test_a_file_fills_the_whole_resnet_and_nothing_else(weights: Path, frozen: bool) -> None:
    backbone = ResNetFPN(depth=18, fpn_channels=16, frozen=frozen)
    fpn = {key: value.clone() for key, value in backbone.fpn.state_dict().items()}
    backbone.load_pretrained(str(weights))
    expected = resnet_state(18)
    for key, value in backbone.resnet.state_dict().items():
        if "running" in key:
            assert torch.equal(value, expected[key]), key
    saved = torch.load(weights, weights_only=True)
    assert torch.equal(backbone.resnet.layer4[1].conv2.weight, saved["layer4.1.conv2.weight"])
    assert all(torch.equal(value, fpn[key]) for key, value in backbone.fpn.state_dict().items())


def test_every_key_of_a_file_is_accounted_for(tmp_path: Path) -> None:
    state = resnet_state(18)
    del state["layer3.0.conv1.weight"]
    state["layer9.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(64, 4, 7, 7)
    torch.save(state, tmp_path / "odd.pth")
    backbone = ResNetFPN(depth=18, fpn_channels=16)
    before = backbone.resnet.conv1.weight.clone()
    with pytest.raises(ValueError, match=r"layer3\.0\.conv1\.weight is missing; layer9\.weight is left over; conv1"):
        backbone.load_pretrained(str(tmp_path / "odd.pth"))
    assert torch.equal(backbone.resnet.conv1.weight, before)


def test_weights_of_another_depth_are_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match=r"not those of a ResNet-50 of width 64 \(.*; and \d+ more\)"):
        ResNetFPN(depth=50).load_pretrained(str(weights))


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ValueError, match=f"{name}: cannot be read"):
        ResNetFPN(depth=18, width=8).load_pretrained(str(tmp_path / name))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="something else than named tensors"):
        ResNetFPN(depth=18, width=8).load_pretrained(str(tmp_path / "list.pth"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        ResNetFPN(depth=18, width=8).load_pretrained(str(tmp_path / "nowhere.pth"))


def test_imagenet_weights_come_from_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get_state_dict(self: WeightsEnum, **_: object) -> dict[str, Tensor]:
        asked.append(str(self))
        return resnet_state(18)

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    ResNetFPN(depth=18, frozen=True).load_pretrained("imagenet")
    assert asked == ["ResNet18_Weights.IMAGENET1K_V1"]


def test_a_failing_download_says_which_file_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_state_dict(self: WeightsEnum, **_: object) -> dict[str, Tensor]:
        raise OSError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    with pytest.raises(FileNotFoundError, match=r"resnet50-0676ba61\.pth.*no route to host.*--init"):
        ResNetFPN(depth=50).load_pretrained("imagenet")


def test_narrow_backbones_have_no_imagenet_weights() -> None:
    with pytest.raises(ValueError, match="width 64 only, not 16"):
        ResNetFPN(depth=18, width=16).load_pretrained("imagenet")
