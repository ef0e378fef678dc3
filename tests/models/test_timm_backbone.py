"""Networks of timm below the feature pyramid; lite0's weights come from a package of the registry."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from unipan.build import build_backbone
from unipan.config import BackboneConfig
from unipan.models.backbone import ResNetFPN
from unipan.models.parts import Backbone
from unipan.models.timm_backbone import TimmFPN
from unipan.models.timm_weights import PACKAGED, packaged_file
from unipan.structures import IMAGENET_MEAN, IMAGENET_STD

LITE0 = "tf_efficientnet_lite0"


def lite0(**options: bool) -> TimmFPN:
    torch.manual_seed(0)
    return TimmFPN(network=LITE0, fpn_channels=16, **options)


@pytest.fixture(scope="module")
def whole() -> torch.nn.Module:
    """The classifier with the packaged weights, filled in order."""
    state = torch.load(packaged_file(PACKAGED[LITE0]), weights_only=True)
    network = timm.create_model(LITE0)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    return network.eval()


def test_features_are_those_of_the_whole_network_on_its_own_normalisation(whole: torch.nn.Module) -> None:
    backbone, rgb = lite0(fixed=True), torch.rand(2, 3, 64, 96)
    backbone.load_pretrained("imagenet")
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        ours = backbone.body((rgb - mean) / std * backbone.scale + backbone.shift)
        theirs = whole.forward_intermediates((rgb - 0.5) / 0.5, intermediates_only=True)  # type: ignore[operator]
    for level in ours:
        same = next(each for each in theirs if each.shape == level.shape)
        torch.testing.assert_close(level, same, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", [LITE0, "resnet10t", "mobilenetv3_small_050"])
def test_levels_have_the_strides_of_a_pyramid_and_every_parameter_learns(name: str) -> None:
    backbone = TimmFPN(network=name, fpn_channels=16).train()
    assert isinstance(backbone, Backbone)
    levels = backbone(torch.randn(2, 3, 64, 128))
    assert {key: tuple(level.shape) for key, level in levels.items()} == {
        f"p{level}": (2, 16, 64 // 2**level, 128 // 2**level) for level in range(2, 7)
    }
    sum(level.square().mean() for level in levels.values()).backward()
    assert [key for key, p in backbone.named_parameters() if p.grad is None] == []


def test_frozen_holds_batch_norm_and_the_layers_up_to_stride_4() -> None:
    backbone = lite0(frozen=True).train()
    held = {
        key.split(".")[1] + "." + key.split(".")[2] for key, p in backbone.named_parameters() if not p.requires_grad
    }
    assert {key for key in held if key.startswith("blocks")} == {"blocks.0", "blocks.1"}
    before = {key: value.clone() for key, value in backbone.body.state_dict().items() if "bn" in key}
    backbone(torch.randn(2, 3, 64, 64))["p2"].mean().backward()
    assert before
    assert all(torch.equal(value, backbone.body.state_dict()[key]) for key, value in before.items())


def test_fixed_trains_the_pyramid_alone_and_is_the_same_in_training() -> None:
    backbone, pixels = lite0(fixed=True), torch.randn(1, 3, 64, 64)
    backbone.load_pretrained("imagenet")
    assert {key.partition(".")[0] for key, p in backbone.named_parameters() if p.requires_grad} == {"excite", "fpn"}
    training, at_test = backbone.train()(pixels), backbone.eval()(pixels)
    assert all(torch.equal(training[key], at_test[key]) for key in training)
    training["p5"].mean().backward()
    assert all(p.grad is None for p in backbone.body.parameters())


def test_weights_of_a_file_are_taken_by_timms_names(tmp_path: Path, whole: torch.nn.Module) -> None:
    save_file({key: value.contiguous() for key, value in whole.state_dict().items()}, tmp_path / "lite0.safetensors")
    from_file, packaged = lite0(), lite0()
    from_file.load_pretrained(str(tmp_path / "lite0.safetensors"))
    packaged.load_pretrained("imagenet")
    ours, theirs = from_file.body.state_dict(), packaged.body.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs if "num_batches" not in key)
    save_file({"conv_stem.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors.*missing"):
        lite0().load_pretrained(str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("resnet_of_nobody", "timm has no network"), ("vit_tiny_patch16_224", "strides 16, 16, 16")],
)
def test_what_cannot_carry_a_pyramid_is_refused_by_name(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*{says}"):
        TimmFPN(network=name)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValueError, match=r"unipan\[photos\]"):
        TimmFPN(network=LITE0)


def test_the_config_chooses_the_network() -> None:
    assert isinstance(build_backbone(BackboneConfig()), ResNetFPN)
    built = build_backbone(BackboneConfig(network=LITE0, fpn_channels=16, frozen=False))
    assert isinstance(built, TimmFPN)
    assert built.must_match == {"network": LITE0}


@pytest.mark.parametrize(
    "options",
    [
        {"fixed": True, "weights": "none"},
        {"fixed": True, "network": LITE0, "weights": "none"},
        {"stride_in_1x1": True, "network": LITE0},
    ],
)
def test_settings_that_do_not_fit_the_network_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="backbone"):
        build_backbone(BackboneConfig(**options))  # type: ignore[arg-type]
