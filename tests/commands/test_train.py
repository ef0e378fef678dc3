"""`unipan train` of the baselines: their names, and what follows from the preset that a name begins with."""

from dataclasses import replace
from pathlib import Path

import pytest
from lightning_fabric.accelerators import CUDAAccelerator, MPSAccelerator

from unipan.cli import main
from unipan.commands.train import parse
from unipan.datasets.statistics import ThingStatistics
from unipan.presets import preset
from unipan.training.session import fit_to_data, with_init


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


def test_finetune_starts_from_the_bundled_checkpoint_as_a_baseline_too() -> None:
    for name in ("finetune_upsnet", "finetune_panoptic_fpn"):
        assert with_init(preset(name), None)[1] == "scenes"
    assert with_init(preset("scenes_upsnet"), None)[1] is None


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
