"""A checkpoint may leave a backbone out that a package of the registry carries; it is put together again exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import CATEGORIES, eager, image_batch, tiny_config
from unipan.build import build_network
from unipan.checkpoint import PACKAGED_PART, load_checkpoint, save_checkpoint, transfer
from unipan.cli import main
from unipan.config import BackboneConfig, Config
from unipan.models.network import PanopticNetwork
from unipan.presets import finetune
from unipan.training.initial_weights import with_backbone_of

LITE0 = BackboneConfig(network="tf_efficientnet_lite0", fpn_channels=16, weights="imagenet", fixed=True)


@pytest.fixture(scope="module")
def config() -> Config:
    return eager(replace(tiny_config(), backbone=LITE0))


@pytest.fixture(scope="module")
def network(config: Config) -> PanopticNetwork:
    torch.manual_seed(0)
    return build_network(config, CATEGORIES, pretrained=True).eval()


@pytest.fixture(scope="module")
def saved(config: Config, network: PanopticNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packaged") / "heads.safetensors"
    save_checkpoint(path, network.state_dict(), config, CATEGORIES, {}, packaged=True)
    return path


def test_the_file_has_no_tensor_of_the_package_and_loads_to_the_same_network(
    saved: Path, network: PanopticNetwork
) -> None:
    assert not [key for key in load_file(saved) if key.startswith(PACKAGED_PART)]
    loaded = load_checkpoint(saved).network
    with torch.no_grad():
        assert torch.equal(loaded(image_batch()).panoptic[0], network(image_batch()).panoptic[0])


def test_another_run_starts_from_it_with_the_packages_backbone(saved: Path, config: Config) -> None:
    learns = replace(config, backbone=replace(LITE0, fixed=False, frozen=True, weights="checkpoint"))
    fresh = build_network(learns, CATEGORIES)
    assert transfer(fresh, saved, CATEGORIES).left == []
    expected = load_checkpoint(saved).network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in fresh.state_dict().items())


def test_finetune_takes_its_backbone_and_refuses_another(saved: Path) -> None:
    preset = finetune()
    found = with_backbone_of(preset, str(saved)).backbone
    assert (found.network, found.weights, found.frozen, found.fixed) == (LITE0.network, "checkpoint", True, False)
    asked = replace(preset, backbone=replace(preset.backbone, width=16))
    with pytest.raises(ValueError, match=r"--backbone\.width 16: .*heads\.safetensors.* --init none"):
        with_backbone_of(asked, str(saved))
    assert with_backbone_of(preset, "scenes") == preset


def test_other_weights_than_those_it_was_trained_with_are_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.models.timm_backbone.load_timm", lambda *_, **__: None)  # the body stays random
    with pytest.raises(ValueError, match=r"heads\.safetensors.*backbone weights"):
        load_checkpoint(saved)


def test_without_timm_the_extra_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ValueError, match=r"unipan\[photos\]"):
        load_checkpoint(saved)


def test_it_is_pushed_as_it_is_and_graphs_beside_it_are_refused(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["push", str(saved), "owner/name", "--dry-run", str(tmp_path / "dry")]
    assert main([*line, "--onnx"]) == 1
    assert "push --onnx: the backbone of" in capsys.readouterr().err
    assert main(line) == 0
    assert (tmp_path / "dry" / "model.safetensors").read_bytes() == saved.read_bytes()
    assert "unipan[photos,hub]" in (tmp_path / "dry" / "README.md").read_text()
