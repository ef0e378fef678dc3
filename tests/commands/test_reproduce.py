"""`unipan reproduce`: the plan, the cache of finished trainings, the tables, and its errors."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric.accelerators import CUDAAccelerator, MPSAccelerator

from tests.commands.json_page import check_with_page
from tests.tiny import CATEGORIES, Drawn, draw, tiny_config
from unipan.analysis.heuristic_search import GRID
from unipan.cli import main
from unipan.config import Config
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.files import is_alive
from unipan.panoptic.categories import Categories
from unipan.reproduction import plan as planning
from unipan.reproduction import request as requests
from unipan.reproduction import run as reproducing
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.paper_tables import TABLES, Comparison, PaperTable, TableRow
from unipan.reproduction.plan import TrainingPlan
from unipan.reproduction.request import ExperimentData, Request
from unipan.training.trainer import Trainer


def shrink(patch: pytest.MonkeyPatch) -> None:
    """`scenes` stands for a tiny network on drawn rectangles."""
    data = ExperimentData("scenes", Drawn([3, 0, 2]), Drawn([2, 1], 50), Drawn([3, 2], 80))

    def recipe(_: str, panoptic: float) -> Config:
        base = tiny_config()
        loss = replace(base.loss, panoptic=panoptic, potential=1.0)
        return replace(base, loss=loss, inference=replace(base.inference, score_threshold=0.0))

    for module in (requests, planning, reproducing):
        patch.setattr(module, "open_experiment", lambda _: data)
    patch.setattr(requests, "recipe", recipe)
    patch.setattr(planning, "available_cores", lambda: 1)  # threads of a training; the other cores have other tests
    for name, values in GRID.items():
        patch.setitem(GRID, name, values[:1])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Options of a command on tiny networks, in a folder of its own."""
    shrink(monkeypatch)
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
    only = ["reproduce", "table1,tableH", "--records", "records", "--from-records"]
    assert main([*only, "--json", "tables.json"]) == 0
    both = capsys.readouterr().out
    check_with_page("reproduce", content := json.loads(Path("tables.json").read_text()))
    assert content["tables"].keys() == {"table1", "tableH"}
    assert {each["model"] for each in content["trainings"]} == {"B", "B truth"}
    assert table.strip() in both
    assert "not run" in both


REAL_JOB = reproducing.run_job


def run_tiny_job(job: reproducing.TrainingJob) -> str:
    """In a process of the pool, where nothing is tiny yet: a training that begins when two processes have come."""
    shrink(pytest.MonkeyPatch())
    here = Path("processes")
    here.mkdir(exist_ok=True)
    (here / str(os.getpid())).touch()
    end = time.monotonic() + 600
    while len(list(here.iterdir())) < 2:
        if time.monotonic() > end:
            raise ValueError("alone")
        time.sleep(0.05)
    return REAL_JOB(job)


def test_two_trainings_side_by_side(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproducing, "run_job", run_tiny_job)
    monkeypatch.setattr(planning, "step_seconds", lambda *_: 0.1)
    assert main(["reproduce", "tableH", *tiny, "--jobs", "2"]) == 0
    told = capsys.readouterr().out
    assert "2 of 2 trainings to run, 2 side by side" in told
    assert "[2/2]" in told
    assert "not run" not in told
    processes = {int(path.name) for path in (tmp_path / "processes").iterdir()}
    assert len(processes - {os.getpid()}) == 2
    names = sorted(path.name for path in (tmp_path / "records").iterdir())
    assert [name.split("-s0-")[0] for name in names] == ["scenes-B", "scenes-B-truth"]


def test_a_signal_ends_all_trainings_and_the_same_command_goes_on(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproducing, "run_job", run_tiny_job)
    monkeypatch.setattr(planning, "step_seconds", lambda *_: 0.1)
    command = ["reproduce", "tableH", *tiny, "--jobs", "2", "--iterations", "100"]
    states = [tmp_path / "runs" / "reproduce" / "scenes" / f"{model}-s0-i100" for model in ("B", "B-truth")]
    states = [folder / "resume" / "state.pt" for folder in states]

    def stop() -> None:
        end = time.monotonic() + 600
        while not all(path.exists() for path in states) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    assert main(command) == 143
    said = capsys.readouterr().err
    assert "stopped by SIGTERM: 0 of 2 trainings are finished, and the same command continues" in said
    assert not (tmp_path / "records").exists()
    done = [torch.load(path, weights_only=True)["progress"]["iteration"] for path in states]
    assert all(0 < iteration < 100 for iteration in done)
    for process in (int(path.name) for path in (tmp_path / "processes").iterdir()):
        assert process == os.getpid() or not is_alive(process)
    monkeypatch.setattr(reproducing, "run_job", REAL_JOB)
    assert main([*command, "--jobs", "1"]) == 0
    assert "[2/2]" in capsys.readouterr().out


def test_a_training_that_fails_does_not_stop_the_others(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reproducing.train_once

    def failing(config: Config, *rest: object) -> object:
        if config.matching.use_gt_boxes:
            raise ValueError("the loss is nan")
        return real(config, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(reproducing, "train_once", failing)
    assert main(["reproduce", "tableH", *tiny]) == 1
    assert "1 of 2 trainings failed: B truth, seed 0: failed: the loss is nan" in capsys.readouterr().err
    assert len(list((tmp_path / "records").iterdir())) == 1


def test_a_model_of_equal_time_trains_longer_by_the_measured_ratio() -> None:
    plan = TrainingPlan(100, {"A": 0.2, "B": 0.5, "D": 0.8}, smoke=False)
    seconds = plan.seconds | {"A as B": 0.2}
    assert TrainingPlan(100, seconds, smoke=False).length("A as B") == 250
    assert plan.length("C") == 100
    assert replace(plan, scoring=2.0).minutes("B") == pytest.approx(100 * 0.5 / 60 + 2)


def test_trainings_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "available_cores", lambda: 8)
    assert [planning.threads_per_job(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_the_plan_is_kept(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "step_seconds", lambda _, model: {"D": 0.5, "A as B": 0.1}.get(model, 0.2))
    request = Request(["table1"], "scenes", range(1), 2.0, None, 1, tmp_path / "runs", tmp_path / "records", "cpu")
    plan = planning.make_plan(request)
    assert plan.iterations == 240
    assert plan.smoke
    assert plan.length("A as B") == 480
    monkeypatch.setattr(planning, "step_seconds", lambda *_: pytest.fail("measured again"))
    assert planning.make_plan(request) == plan
    assert json.loads((tmp_path / "runs" / "plan-2min.json").read_text())["iterations"] == 240


def test_the_total_counts_each_model_by_its_own_time(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "step_seconds", lambda _, model: {"D": 9.0, "B": 0.5, "B truth": 1.0}[model])
    monkeypatch.setattr(reproducing, "finish", lambda _: iter(()))
    request = Request(["tableH"], "scenes", range(1), 2.0, 600, 1, tmp_path / "runs", tmp_path / "records", "cpu")
    reproducing.train_missing(request, planning.make_plan(request))
    assert "2 of 2 trainings to run, 1 side by side: about 17 min" in capsys.readouterr().out  # 5 + 10, 1 each to score
    kept = json.loads((tmp_path / "runs" / "plan-600.json").read_text())["seconds"]
    assert kept == {"D": 9.0, "B": 0.5, "B truth": 1.0}


def test_one_training_serves_models_that_the_recipe_makes_the_same(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "recipe", lambda *_: tiny_config())  # neither positional encoding nor loss on Psi
    monkeypatch.setattr(planning, "step_seconds", lambda *_: 0.1)
    assert main(["reproduce", "table1", *tiny]) == 0
    told = capsys.readouterr().out
    assert "10 of 10 trainings to run" in told
    assert "| *B plain* | B without positional encoding and added losses | " in told
    assert "B over B plain: positional encoding and added losses, without masks | +0.0 (0.0, 0.0)" in told
    assert not list((tmp_path / "records").glob("*plain*"))


def test_another_weight_of_the_loss_is_another_model_where_there_is_that_loss(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    request = Request(["tableH"], "scenes", range(1), 2.0, 4, 1, folder, tmp_path / "records", "cpu")
    lighter = replace(request, panoptic=0.25)
    assert request.config_hashes()["B"] != lighter.config_hashes()["B"]
    assert lighter.config("B", 0, 4).loss.panoptic == 0.25
    assert lighter.config("B", 0, 4).loss.potential == 0.25
    assert lighter.config("A", 0, 4) == request.config("A", 0, 4)
    assert lighter.run_folder("B", 0, 4) == folder / "B-w0.25-s0-i4"
    assert request.run_folder("B", 0, 4) == folder / "B-s0-i4"


def test_a_model_without_the_loss_is_trained_once_for_all_weights(
    tiny: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (TableRow("A", "A", "potential", ""), TableRow("B", "B", "affinity", ""))
    monkeypatch.setitem(TABLES, "tableH", PaperTable("A and B", rows, (Comparison("B", "A", "affinity helps"),)))
    assert main(["reproduce", "tableH", *tiny]) == 0
    assert "2 of 2 trainings to run" in capsys.readouterr().out
    assert main(["reproduce", "tableH", *tiny, "--panoptic", "0.25"]) == 0
    told = capsys.readouterr().out
    assert "1 of 2 trainings to run (the others have their record in records; " in told
    assert "B over A" in told
    assert "not run" not in told


def test_lengths_of_equal_time_are_those_of_finished_trainings(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (TableRow("A as long as B", "A as B", "potential", ""), TableRow("B", "B", "affinity", ""))
    monkeypatch.setitem(TABLES, "tableH", PaperTable("equal time", rows, ()))
    monkeypatch.setattr(planning, "step_seconds", lambda _, model: 0.1 if model == "A as B" else 0.2)
    assert main(["reproduce", "tableH", *tiny]) == 0
    assert "2 of 2 trainings to run" in capsys.readouterr().out
    assert len(list((tmp_path / "records").glob("scenes-A-as-B-s0-i8-*"))) == 1
    # On a machine of another pace, or after the plan is lost, the lengths stay.
    for path in (tmp_path / "runs").rglob("plan-*.json"):
        path.unlink()
    monkeypatch.setattr(planning, "step_seconds", lambda _, model: 0.1)
    assert main(["reproduce", "tableH", *tiny]) == 0
    assert "all 2 trainings are finished" in capsys.readouterr().out


@pytest.fixture
def one_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed table has one row."""
    monkeypatch.setattr(reproducing, "TABLE_SPEED", PaperTable("speed", (TableRow("Ours", "B", "affinity", "boxes"),)))
    monkeypatch.setitem(TABLES, "speed", reproducing.TABLE_SPEED)
    monkeypatch.setattr("unipan.reproduction.tables.TABLE_SPEED", TABLES["speed"])


@pytest.mark.usefixtures("one_is_timed")
def test_the_speed_of_one_length_is_not_that_of_another(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "records" / "scenes-speed-i600.json"
    other.parent.mkdir()
    other.write_text("of longer trainings")
    assert main(["reproduce", "speed", *tiny]) == 0
    told = capsys.readouterr().out
    table = told[told.index("## speed") :]
    assert "**smoke: too short to compare**" in table
    assert "trained for 4 iterations" in table
    assert other.read_text() == "of longer trainings"
    assert json.loads((other.parent / "scenes-speed-i4.json").read_text())["facts"]["smoke"] is True
    # Read again, it says the same; for a length that was not measured there is nothing to print.
    assert main(["reproduce", "speed", *tiny, "--from-records"]) == 0
    assert capsys.readouterr().out.strip() == table.strip()
    assert main(["reproduce", "speed", *tiny, "--iterations", "5", "--from-records"]) == 1
    assert "scenes-speed-i5.json does not exist; run without --from-records" in capsys.readouterr().err
    request = Request(["speed"], "scenes", range(1), 2.0, 4, 1, tmp_path / "runs", tmp_path / "records", "cpu", 0.25)
    assert reproducing.speed_file(request, 4).name == "scenes-speed-w0.25-i4.json"


@pytest.mark.usefixtures("one_is_timed")
def test_speed_that_cannot_be_measured_is_said_before_training(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["reproduce", "speed,tableH", *tiny]) == 0
    first = capsys.readouterr().out
    assert "| Ours | boxes |" in first
    checkpoint = tmp_path / "runs" / "reproduce" / "scenes" / "B-s0-i4" / "last.safetensors"
    checkpoint.unlink()
    # What was measured is kept ...
    assert main(["reproduce", "speed,tableH", *tiny]) == 0
    assert first[first.index("| Ours | boxes |") :].splitlines()[0] in capsys.readouterr().out
    # ... and where nothing was, no training is begun.
    (tmp_path / "records" / "scenes-speed-i4.json").unlink()
    monkeypatch.setattr(reproducing, "train_missing", lambda *_: pytest.fail("trained first"))
    assert main(["reproduce", "speed,tableH", *tiny]) == 1
    assert "is gone; remove the records of B in records" in capsys.readouterr().err


def test_val_of_other_classes_is_refused_before_training(tmp_path: Path) -> None:
    other = replace(CATEGORIES[0], name="ring")
    for part, categories in (("train", CATEGORIES), ("val", Categories((other, *CATEGORIES.all[1:])))):
        write_coco_panoptic(tmp_path / part, [draw(0, things=0)], categories)
    with pytest.raises(ValueError, match="classes: "):
        requests.open_experiment(str(tmp_path))


def test_every_model_has_its_own_record_and_folder(tiny: list[str], tmp_path: Path) -> None:
    request = Request(["table1"], "scenes", range(2), 2.0, 4, 1, tmp_path / "runs", tmp_path / "records", "cpu")
    plan = TrainingPlan(4, dict.fromkeys(MODELS, 0.1), smoke=True)
    pairs = [(model, seed) for model in request.models for seed in request.seeds]
    jobs = [reproducing.TrainingJob(model, seed, request, plan, 1) for model, seed in pairs]
    names = {job.record.name for job in jobs}
    assert len(names) == len(jobs) == len({job.folder for job in jobs}) == 24


def test_a_gpu_that_is_not_there_is_one_sentence_and_leaves_no_folder(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", lambda: False)
    assert main(["reproduce", "tableH", *tiny, "--accelerator", "gpu"]) == 1
    assert "--accelerator gpu: this machine cannot do that" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "tableH", *tiny, "--accelerator", "tpu"])
    assert end.value.code == 2


def test_a_gpu_with_too_little_memory_for_a_step_is_one_sentence(
    tiny: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Trainer) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\na total capacity")

    monkeypatch.setattr(Trainer, "seconds_per_step", full)
    assert main(["reproduce", "tableH", *tiny]) == 1
    said = capsys.readouterr().err
    assert "too little memory for a step of D (CUDA out of memory. Tried to allocate 2.00 GiB); free some" in said


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        (["--out", "folder"], "--out folder: a folder of this name is there; give the name of a file"),
        (["--out", "file/tables.md"], "--out file: "),
        (["--out", "page.md"], "--out has 0 places <!-- tableH --> ... <!-- /tableH -->; it must have one"),
        (["--out", "picture.png"], "--out picture.png: this file is not text; give the name of a Markdown page"),
        (["--records", "file"], "--records file: file is a file; give another folder"),
        (["--runs", "file/runs"], "--runs file/runs: "),
    ],
)
def test_what_cannot_be_written_is_said_before_training(
    places: list[str],
    sentence: str,
    tiny: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "page.md").write_text("<!-- table1 -->\n<!-- /table1 -->")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(reproducing, "run", lambda *_, **__: pytest.fail("trained first"))
    assert main(["reproduce", "table1,tableH", *tiny, *places]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_records_that_are_only_read_need_not_be_writable(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "records").mkdir()
    monkeypatch.setattr(reproducing, "run", lambda *_, train: {"tableH": "a table" if not train else ""})
    monkeypatch.setattr("unipan.files.require_folder", lambda *_: pytest.fail("looked at"))
    assert main(["reproduce", "tableH", *tiny, "--from-records"]) == 0
    assert "a table" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table9"], "there is no table 'table9'"),
        (["table1", "--seeds", "0"], "--seeds: 0 is not a whole number from 1 to 1000000"),
        (["table1", "--jobs", "-1"], "--jobs: -1 is not a whole number from 1 to 1000000"),
        (["table1", "--iterations", "0"], "--iterations: 0 is not a whole number from 1 to 1000000000"),
        (["table1", "--budget", "0"], "--budget: 0.0 is not in (0, 1e+06]"),
        (["table1", "--panoptic", "0"], "--panoptic: 0.0 is not a finite number above 0"),
        (
            ["table1", "--data", "scenes:0-99"],
            "--data scenes:0-99: the scenes of the tables are fixed; give --data scenes",
        ),
        (["table1", "--data", "nowhere"], "--data nowhere: give `scenes`, or a folder with train/ and val/"),
        (["table1", "--from-records", "--records", "none"], "--records none"),
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


def test_it_says_something_before_pytorch_is_there_and_before_each_timing(
    tiny: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def timed(_: Request, model: str) -> float:
        said.append(capsys.readouterr().err)
        raise ValueError(f"{model} is as far as this test goes")

    monkeypatch.setattr(planning, "step_seconds", timed)
    assert main(["reproduce", "tableH", *tiny]) == 1
    assert said[0].startswith("tableH on scenes, 1 seed: loading PyTorch ...\n")
    assert "timing a few steps of D (1 of 1)" in said[0]
