"""`evaluate` and `pq` print before they write, and look first whether they can write."""

import json
import shutil
from pathlib import Path

import pytest

from tests.test_inference import segmenter_of, tiny
from tests.tiny import CATEGORIES, Drawn
from unipan.analysis.evaluation_lines import _confusion
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.presets import scenes


@pytest.fixture(params=["evaluate", "pq"])
def command(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter_of(tiny(scenes())))
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    if request.param == "evaluate":
        return ["evaluate", "net", "scenes:1000000-1000000"]
    truth = str(write_coco_panoptic(tmp_path / "gt", [Drawn([2])[0]], CATEGORIES))
    return ["pq", truth, truth]


def test_things_and_stuff_confused_by_v_are_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter_of(tiny(scenes())))
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    assert main(["evaluate", "net", "scenes:1000000-1000000", "--json", str(tmp_path / "a.json")]) == 0
    shares = json.loads((tmp_path / "a.json").read_text())["thing_stuff"]
    assert sum(shares["stuff"].values()) == pytest.approx(1)
    [said] = [line for line in capsys.readouterr().out.splitlines() if "(Table G)" in line]
    things, stuff = (100 * shares["stuff"][side] for side in ("things", "stuff"))
    assert said.startswith("things and stuff confused by V (Table G): of things ")
    assert said.endswith(f"; of stuff {things:.1f} as things, {stuff:.1f} as stuff")


def test_a_side_without_truth_has_a_dash() -> None:
    nothing = {"things": None, "stuff": None, "void": None}
    shares = {"things": nothing, "stuff": {"things": 0.25, "stuff": 0.75, "void": 0.0}}
    said = _confusion({"thing_stuff": shares})
    assert said.endswith("of things - as things, - as stuff; of stuff 25.0 as things, 75.0 as stuff")


def test_a_folder_for_json_is_said_before_the_work(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--json", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "--json" in shown.err
    assert "this is a folder; give --json a file" in shown.err
    assert shown.out == ""


def test_scores_are_printed_even_if_they_cannot_be_written(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("unipan.files.write_json", full)
    assert main([*command, "--json", str(tmp_path / "a.json")]) == 1
    shown = capsys.readouterr()
    assert shown.err.strip() == "unipan: the disk is full"
    assert "Things" in shown.out


def test_names_in_brackets_are_printed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some libraries for terminals take [b] and [x] for markup, and print nothing of them."""
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter_of(tiny(scenes())))
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    monkeypatch.chdir(tmp_path)
    truth, data = Path("[x]/[b]gt.json"), Path("[x]/[b]data[/b]")
    write_coco_panoptic(data, list(Scenes(range(4_000_000, 4_000_001))), SCENE_CATEGORIES)
    shutil.copytree(data / "panoptic", truth.with_suffix(""))
    shutil.copy(data / "panoptic.json", truth)
    assert main(["pq", str(truth), str(truth)]) == 0
    assert capsys.readouterr().out.startswith("[x]/[b]gt.json against [x]/[b]gt.json, 1 image; percent\n")
    assert main(["evaluate", "[b]net[/x]", str(data)]) == 0
    title = capsys.readouterr().out.splitlines()[0]
    assert title.startswith("[b]net[/x], fusion ")
    assert " of [x]/[b]data[/b]" in title
    for command in (["pq", "[x]/[b]no.json", str(truth)], ["evaluate", "[b]net[/x]", "[x]/[b]no"]):
        assert main(command) == 1
        assert "[x]/[b]no" in capsys.readouterr().err
