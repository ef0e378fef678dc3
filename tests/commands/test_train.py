"""`unipan train` of the baselines: their names, and what follows from the preset that a name begins with."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from lightning_fabric.accelerators import CUDAAccelerator, MPSAccelerator
from safetensors.torch import save_file

from tests.tiny import tiny_config
from unipan.checkpoint import save_checkpoint
from unipan.cli import main
from unipan.commands.train import parse
from unipan.config import Config
from unipan.datasets.sources import open_training
from unipan.datasets.statistics import ThingStatistics
from unipan.presets import preset
from unipan.training.initial_weights import with_init
from unipan.training.session import describe_cover, fit_to_data


def test_a_baseline_is_a_preset_with_its_name_behind() -> None:
    options = parse("scenes_upsnet", ["--upsnet.score-threshold", "0.4"])
    assert (options.data, options.out) == ("scenes", Path("runs/scenes_upsnet"))
    expected = preset("scenes_upsnet")
    assert options.config == replace(expected, upsnet=replace(expected.upsnet, score_threshold=0.4))
    assert parse("coco_panoptic_fpn", ["--data", "x"]).config == preset("coco_panoptic_fpn")


def test_baselines_are_listed_and_others_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "PRESET_panoptic_fpn, PRESET_upsnet" in capsys.readouterr().out
    assert main(["train", "scenes_deeplab"]) == 2
    assert "there is no preset 'scenes_deeplab'" in capsys.readouterr().err
    assert main(["train", "finetune_upsnet"]) == 2
    assert "--data DIR is needed" in capsys.readouterr().err


def test_a_knob_that_breaks_a_baseline_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "scenes_upsnet", "--detection.no-masks"]) != 0
    said = capsys.readouterr().err
    assert "fusion upsnet: scenes_upsnet has no masks" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["finetune", "finetune_upsnet", "finetune_panoptic_fpn"])
def test_finetune_starts_from_a_bundled_checkpoint_as_a_baseline_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for installed, start, network in ((True, "photos", "tf_efficientnet_lite0"), (False, "scenes", "resnet")):
        monkeypatch.setattr("unipan.training.initial_weights.has_package", lambda _, here=installed: here)
        config, found = with_init(preset(name), None)
        assert (found, config.backbone.network, config.backbone.fixed) == (start, network, False)
    assert with_init(preset("scenes_upsnet"), None)[1] is None


def test_few_things_are_said_with_the_options_that_are_not_given() -> None:
    seen = ThingStatistics(10, (2.0, 3.0, 4), (4.0,) * 7, (0.5, 1.0, 2.0), (2.0, 20.0), (256, 256), 2, cover=0.031)
    config = preset("finetune")
    said = describe_cover(seen, config)
    assert "things cover 3.1 % of the pixels" in said
    assert "--loss.semantic-kind both and --data.crop-around-things 0.5" in said
    config = replace(config, loss=replace(config.loss, semantic_kind="both"))
    assert "semantic-kind" not in describe_cover(seen, config)
    assert describe_cover(replace(seen, cover=0.05), config) == ""
    assert describe_cover(replace(seen, cover=0.0), config) == ""  # the statistics say that there are none


def test_baselines_are_fitted_to_the_data_where_their_preset_is() -> None:
    sides = (4.0, 8.0, 12.0, 16.0, 24.0, 40.0, 90.0)
    seen = ThingStatistics(10, (70.0, 359.0, 400), sides, (0.5, 1.0, 2.0), (2.0, 20.0), (256, 256), 2)
    for baseline in ("panoptic_fpn", "upsnet"):
        plain = fit_to_data(preset("finetune"), seen).detection
        assert plain.max_detections == 449
        assert fit_to_data(preset(f"finetune_{baseline}"), seen).detection == plain
        assert fit_to_data(preset(f"coco_{baseline}"), seen) == preset(f"coco_{baseline}")


def test_a_wrong_init_is_told_before_data_is_looked_at_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "panoptic.json").write_text("broken")
    for init, said in (("imagenet", "width 64 only, not 32"), ("nowhere.pth", "nowhere.pth")):
        places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
        arguments = ["train", "finetune", *places, "--init", init]
        assert main(arguments) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_is_one_sentence_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", lambda: False)
    assert main(["train", "scenes", "--out", str(tmp_path / "run"), "--accelerator", "gpu"]) == 1
    said = capsys.readouterr().err
    assert "--accelerator gpu: this machine cannot do that" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--train.ema-decay 2", "train.ema_decay: 2.0 is not in [0, 1)"),
        ("--train.iterations -5", "train.iterations: -5 is not a whole number from 1 to"),
        ("--data.max-side 0", "data.max_side: 0 is not a whole number from 1 to"),
        ("--minutes nan", "--minutes: nan is not in (0, "),
        ("--minutes inf", "--minutes: inf is not in (0, "),
        ("--train.lr nan", "train.lr: nan is not a finite number above 0"),
        (f"--seed {10**30}", f"--seed: {10**30} is not a whole number from 0 to"),
        ("--decoder.groups 0", "decoder.groups: 0 is not a whole number from 1 to"),
        ("--decoder.groups 7", "decoder.groups: decoder.channels=64 is not divisible by 7 groups"),
        ("--decoder.stride 3", "'3' for argument '--decoder.stride'. Expected one of ('1', '2', '4')"),
        ("--potential.variant Z", "'Z' for argument '--potential.variant'. Expected one of ('A', 'B', 'C')"),
        ("--affinity.normalise x", "'x' for argument '--affinity.normalise'. Expected one of"),
        ("--inference.score-threshold nan", "inference.score_threshold: nan is not a number from 0 to 1"),
        ("--affinity.channels -1", "affinity.channels: -1 is not a whole number from 1 to"),
        ("--detection.anchor-sizes 8 16", "Missing value for argument '--detection.anchor-sizes'. Expected 5 values"),
        ("--devices 0", "--devices: 0 is not a whole number from 1 to"),
    ],
)
def test_a_wrong_value_is_told_before_anything_is_prepared(
    arguments: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["train", "scenes", "--out", str(tmp_path / "run"), *arguments.split()]))
    assert ended.value.code in (1, 2)
    error = capsys.readouterr().err
    assert said in " ".join(error.replace("│", " ").split())  # tyro puts a frame around it
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def spoiled(path: Path, kind: str, config: Config) -> None:
    """A file instead of the state to resume from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            torch.save({"network": torch.zeros(1000)}, path)
            path.write_bytes(path.read_bytes()[:2000])
        case "text":
            path.write_text("hello")
        case "code":
            torch.save({"network": Path}, path)
        case "list":
            torch.save([1, 2], path)
        case "foreign":
            torch.save({"model": {}, "epoch": 3}, path)
        case "network" | "value":
            values = asdict(config)
            if kind == "value":
                values["decoder"]["stride"] = 3
            origin = {"data": "scenes", "val": None, "processes": 1}
            state = {"network": {"a": torch.zeros(1)}, "average": None, "optimizer": {}, "progress": {}}
            torch.save(state | {"config": values, "origin": origin}, path)


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize("kind", ["empty", "cut", "text", "code", "list", "foreign", "network", "value"])
def test_a_state_that_cannot_be_resumed_from_is_one_sentence(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config()
    spoiled(tmp_path / "resume" / "state.pt", kind, config)
    categories = open_training("scenes", None)[0].categories
    save_checkpoint(tmp_path / "last.safetensors", {}, config, categories, {})
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", "scenes", "--out", str(tmp_path), "--resume", "--accelerator", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "state.pt" in said
    assert len(said.splitlines()) == 1
    assert len(said) < 600
    if kind == "value":
        assert "decoder.stride: 3 is not 1, 2 or 4" in said
    assert "start the run afresh in another --out" in said
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "notes.txt") == before


@pytest.mark.usefixtures("no_type_checks")
def test_a_checkpoint_with_a_wrong_value_is_no_file_of_other_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.safetensors"
    broken = asdict(tiny_config()) | {"decoder": {"stride": 3}}
    header = {"format": "unipan-1", "config": json.dumps(broken), "categories": "[]", "metrics": "{}"}
    save_file({"a": torch.zeros(1)}, path, metadata=header)
    assert main(["train", "scenes", "--out", str(tmp_path / "run"), "--init", str(path)]) == 1
    assert "decoder.stride: 3 is not 1, 2 or 4" in capsys.readouterr().err
