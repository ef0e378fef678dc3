"""What a process of a cluster does with a batch, and how the journal takes over what several wrote. Without Ray."""

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from unipan.datasets.scenes.generator import Scenes
from unipan.exported.segmenter import ExportedSegmenter
from unipan.outputs import Outputs
from unipan.prediction.images import ImageJob
from unipan.prediction.journal import JOURNAL, SHARDS, Journal
from unipan.prediction.options import NOTHING_MORE, WHOLE
from unipan.prediction.plan import PredictionPlan, plan_prediction
from unipan.prediction.run import open_journal
from unipan.prediction.worker import JOB, REPORT, ImageWorker, Order, rows_of_jobs
from unipan.result import PanopticResult
from unipan.runtimes import open_network

pyarrow = pytest.importorskip("pyarrow", reason="no pyarrow: pip install 'unipan[ray]'")
COUNT = 4


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PredictionPlan:
    """Four scenes, of which the second is cut short, and an output folder with a journal."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, sample in enumerate(Scenes(range(7, 7 + COUNT), (64, 96))):
        Image.fromarray(sample.image).save(f"photos/{number}.png")
    Path("photos/1.png").write_bytes(Path("photos/1.png").read_bytes()[:300])
    planned = plan_prediction(
        "scenes", [Path("photos")], out=Path("out"), like=None, server=None, algorithm="unipan", options=NOTHING_MORE,
        pictures=WHOLE, overwrite=False, warn=lambda _: None,
    )  # fmt: skip
    planned.outputs.start_folder(planned.out, planned.names)
    return planned


@pytest.fixture
def journal(plan: PredictionPlan) -> Journal:
    return open_journal(plan, open_network("scenes", runtime="onnx"), "affinity", 0)


def worker_of(plan: PredictionPlan, journal: Journal, shard: str = "w", **more: Any) -> ImageWorker:
    slim = replace(plan, jobs=(), names=(), outputs=Outputs("predict"))
    order = Order(slim, journal.run, "cpu", "onnx", "32", None, 0, str(Path.cwd()), **more)
    return ImageWorker(pickle.loads(pickle.dumps(order)), shard)


def reports(worker: ImageWorker, jobs: Sequence[ImageJob]) -> list[dict[str, Any]]:
    batch = pyarrow.Table.from_pylist(rows_of_jobs(jobs))
    assert batch.column_names == [JOB]
    return [json.loads(each) for each in worker(batch)[REPORT]]


def test_one_bad_image_is_a_report_and_the_others_are_made(plan: PredictionPlan, journal: Journal) -> None:
    found = reports(worker_of(plan, journal), plan.jobs)
    assert [report["name"] for report in found] == ["0.png", "1.png", "2.png", "3.png"]
    assert ["done" in report for report in found] == [True, False, True, True]
    assert found[1]["left_out"].startswith("photos/1.png: not a readable image")
    assert {path.name for path in Path("out/panoptic").iterdir()} == {"0.png", "2.png", "3.png"}
    journal.adopt(found[0]["done"])
    assert [journal.find(job) is not None for job in plan.jobs] == [True, False, False, False]


def test_the_journal_takes_over_what_several_wrote(plan: PredictionPlan, journal: Journal) -> None:
    """Also what a command that was killed has left behind, and without a cluster."""
    for shard, jobs in (("a", plan.jobs[:2]), ("b", plan.jobs[2:3])):
        reports(worker_of(plan, journal, shard), jobs)
    assert len(list(Path("out").glob(SHARDS))) == 2
    later = open_journal(plan, open_network("scenes", runtime="onnx"), "affinity", 0)
    assert [later.find(job) is not None for job in plan.jobs] == [True, False, True, False]
    assert not list(Path("out").glob(SHARDS))
    assert not later.replaced
    reports(worker_of(plan, journal, "c"), plan.jobs[3:])
    other = open_journal(plan, open_network("scenes", runtime="onnx"), "potential", 0)
    assert other.replaced
    assert not any(other.find(job) for job in plan.jobs)
    assert not list(Path("out").glob(SHARDS))


class Killed(BaseException):
    """Instead of kill -9, after which nothing runs."""


def test_a_killed_worker_goes_on_and_an_image_that_kills_twice_is_left_out(
    plan: PredictionPlan, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray begins a killed worker anew, under its name, and gives it the batch again, without end."""
    call, segmented = ExportedSegmenter.__call__, list[str]()

    def segment(self: ExportedSegmenter, image: Path, *more: Any) -> PanopticResult:
        segmented.append(image.name)
        if image.name == "2.png":
            raise Killed
        return call(self, image, *more)

    monkeypatch.setattr(ExportedSegmenter, "__call__", segment)
    for _ in range(2):
        with pytest.raises(Killed):
            reports(worker_of(plan, journal), plan.jobs)
    found = reports(worker_of(plan, journal), plan.jobs)
    assert ["done" in report for report in found] == [True, False, False, True]
    assert "two runs in a row were killed at it" in found[2]["left_out"]
    assert segmented == ["0.png", "1.png", "2.png", "1.png", "2.png", "1.png", "3.png"]


def test_a_stopped_run_blames_no_image(plan: PredictionPlan, journal: Journal) -> None:
    """What was begun when the user stopped the workers is begun again, however often."""
    for _ in range(3):
        shard = Journal(plan.out, journal.run, open_network("scenes", runtime="onnx").categories, "w")
        shard.begin(plan.jobs[0])
        journal.gather()
        assert journal.ended_runs(plan.jobs[0]) == 0
    assert "done" in reports(worker_of(plan, journal), plan.jobs[:1])[0]


def gone(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "more", "words"),
    [
        (lambda: None, {"version": "0.0.1"}, "the command is of 0.0.1"),
        (lambda: Path("out", JOURNAL).unlink(), {}, "--out out: this folder is not here"),
        (lambda: gone(Path("out")), {}, "--out out: this folder is not here"),
        (lambda: (gone(Path("out/panoptic")), Path("out/panoptic").touch()), {}, "out/panoptic"),
    ],
)
def test_a_worker_that_can_do_nothing_says_why(
    spoil: Callable[[], object], more: dict[str, Any], words: str, plan: PredictionPlan, journal: Journal
) -> None:
    Path("out/panoptic").mkdir(exist_ok=True)
    spoil()
    for report in reports(worker_of(plan, journal, **more), plan.jobs[:2]):
        assert set(report) == {"stop", "worker"}
        assert words in report["stop"]


def test_a_network_that_is_not_there_is_said(plan: PredictionPlan, journal: Journal) -> None:
    elsewhere = replace(plan, checkpoint="/nowhere/net.safetensors")
    (report,) = reports(worker_of(elsewhere, journal), plan.jobs[:1])
    assert "/nowhere/net.safetensors" in report["stop"]
