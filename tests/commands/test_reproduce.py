"""`unipan reproduce`: the plan, the cache of finished trainings, the tables, and its errors."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny import Drawn, tiny_config
from unipan.ablations import MODELS
from unipan.cli import main
from unipan.commands import reproducing
from unipan.commands.reproducing import Plan
from unipan.config import Config
from unipan.engine.experiment import ExperimentData


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """`scenes` stands for a tiny network on drawn rectangles."""
    data = ExperimentData("scenes", Drawn([3, 0, 2]), Drawn([2, 1], 50), Drawn([3, 2], 80))

    def recipe(_: str, panoptic: float) -> Config:
        base = tiny_config()
        loss = replace(base.loss, panoptic=panoptic, potential=1.0)
        return replace(base, loss=loss, inference=replace(base.inference, cutoff=0.0))

    monkeypatch.setattr(reproducing, "open_experiment", lambda _: data)
    monkeypatch.setattr(reproducing, "recipe", recipe)
    monkeypatch.chdir(tmp_path)
    return ["--seeds", "1", "--iterations", "4", "--jobs", "1", "--records", "records", "--accelerator", "cpu"]


def test_train_once_then_only_tables(tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "tableH", *tiny, "--out", "made/tables.md"]) == 0
    first = capsys.readouterr().out
    assert "2 of 2 trainings to run" in first
    assert "smoke: too short to compare" in first
    assert "[2/2]" in first
    table = (tmp_path / "made" / "tables.md").read_text()
    assert table.strip() in first
    assert "predictions over ground truths" in table
    names = sorted(path.name for path in (tmp_path / "records").iterdir())
    assert [name.split("-s0-")[0] for name in names] == ["scenes-B", "scenes-B-truth"]
    # The same again: nothing is trained, the table is the same to the letter.
    for path in (tmp_path / "runs").rglob("*.safetensors"):
        path.unlink()
    assert main(["reproduce", "tableH", *tiny]) == 0
    again = capsys.readouterr().out
    assert "all 2 trainings are finished" in again
    assert table.strip() in again
    # B serves Table 1 too, which can be made of what there is.
    assert main(["reproduce", "table1,tableH", "--records", "records", "--from-records"]) == 0
    both = capsys.readouterr().out
    assert table.strip() in both
    assert "not run" in both


def test_a_training_that_fails_does_not_stop_the_others(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reproducing.train_once

    def failing(config: Config, *rest: object) -> object:
        if config.matching.detections == "truth":
            raise ValueError("the loss is nan")
        return real(config, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(reproducing, "train_once", failing)
    assert main(["reproduce", "tableH", *tiny]) == 1
    assert "1 of 2 trainings failed: B truth, seed 0: failed: the loss is nan" in capsys.readouterr().err
    assert len(list((tmp_path / "records").iterdir())) == 1


def test_a_model_of_equal_time_trains_longer_by_the_measured_ratio() -> None:
    plan = Plan(100, {"A": 0.2, "B": 0.5, "D": 0.8}, smoke=False)
    seconds = plan.seconds | {"A as B": 0.2}
    assert Plan(100, seconds, smoke=False).length("A as B") == 250
    assert plan.length("C") == 100
    assert plan.minutes("B") == pytest.approx(100 * 0.5 / 60)


def test_the_plan_is_kept(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproducing, "step_seconds", lambda _, model: {"D": 0.5, "A as B": 0.1}.get(model, 0.2))
    request = reproducing.Request(
        ["table1"], "scenes", range(1), 2.0, None, 1, tmp_path / "runs", tmp_path / "records", "cpu"
    )
    plan = reproducing.make_plan(request)
    assert plan.iterations == 240
    assert plan.smoke
    assert plan.length("A as B") == 480
    monkeypatch.setattr(reproducing, "step_seconds", lambda *_: pytest.fail("measured again"))
    assert reproducing.make_plan(request) == plan
    assert json.loads((tmp_path / "runs" / "plan-2min.json").read_text())["iterations"] == 240


def test_the_total_counts_each_model_by_its_own_time(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproducing, "step_seconds", lambda _, model: {"D": 9.0, "B": 0.5, "B truth": 1.0}[model])
    monkeypatch.setattr(reproducing, "finish", lambda _: iter(()))
    request = reproducing.Request(
        ["tableH"], "scenes", range(1), 2.0, 600, 1, tmp_path / "runs", tmp_path / "records", "cpu"
    )
    reproducing.train_missing(request, reproducing.make_plan(request))
    assert "2 of 2 trainings to run, 1 side by side: about 17 min" in capsys.readouterr().out  # 5 + 10, 1 each to score
    kept = json.loads((tmp_path / "runs" / "plan-600.json").read_text())["seconds"]
    assert kept == {"D": 9.0, "B": 0.5, "B truth": 1.0}


def test_one_training_serves_models_that_the_recipe_makes_the_same(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproducing, "recipe", lambda *_: tiny_config())  # neither code of place nor loss on Psi
    assert main(["reproduce", "table1", *tiny]) == 0
    told = capsys.readouterr().out
    assert "10 of 10 trainings to run" in told
    assert "| *B printed* | B with the loss on P alone, no code of place | " in told
    assert "B over B printed: loss on Psi and code of place, without masks | +0.0 (0.0, 0.0)" in told
    assert not list((tmp_path / "records").glob("*printed*"))
    assert json.loads(next((tmp_path / "records").glob("scenes-D-s0-*")).read_text())["extra"]["also"] == ["D printed"]


def test_another_weight_of_the_loss_is_another_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    request = reproducing.Request(["tableH"], "scenes", range(1), 2.0, 4, 1, folder, tmp_path / "records", "cpu")
    lighter = replace(request, panoptic=0.25)
    assert reproducing.recipe_hash(request) != reproducing.recipe_hash(lighter)
    assert reproducing.config_of(lighter, "B", 0, 4).loss.panoptic == 0.25
    assert reproducing.config_of(lighter, "B", 0, 4).loss.potential == 0.25
    assert reproducing.config_of(lighter, "A", 0, 4) == reproducing.config_of(request, "A", 0, 4)
    assert reproducing.run_folder(lighter, "B", 0, 4) == folder / "B-w0.25-s0-i4"
    assert reproducing.run_folder(request, "B", 0, 4) == folder / "B-s0-i4"


def test_every_model_has_its_own_record_and_folder(tiny: list[str], tmp_path: Path) -> None:
    request = reproducing.Request(
        ["table1"], "scenes", range(2), 2.0, 4, 1, tmp_path / "runs", tmp_path / "records", "cpu"
    )
    plan = Plan(4, dict.fromkeys(MODELS, 0.1), smoke=True)
    jobs = [reproducing.Job(model, seed, request, plan, 1) for model in request.models for seed in request.seeds]
    names = {reproducing.record_of(request, plan, job.model, job.seed) for job in jobs}
    assert len(names) == len(jobs) == len({job.folder for job in jobs}) == 24


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table9"], "there is no table 'table9'; choose of table1,"),
        (["table1", "--seeds", "0"], "--seeds, --jobs, --budget, --iterations and --panoptic must be above 0"),
        (["table1", "--panoptic", "0"], "--iterations and --panoptic must be above 0"),
        (["table1", "--data", "nowhere"], "--data nowhere: give `scenes`, or a folder with train/ and val/"),
        (["table1", "--from-records", "--records", "none"], "none holds no record of scenes; run without"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 1
    assert sentence in capsys.readouterr().err
