"""`--json`: each verb writes what it found, for programs, to standard output or to a file, and nothing else there."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.commands.json_page import PAGE, check_with_page, documented, rows_of
from tests.evaluation.cases import CLASSES, random_pair
from tests.test_inference import segmenter_of, tiny
from unipan.cli import VERBS, main
from unipan.commands.json_output import with_json_target
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.presets import scenes as scenes_preset

Content = dict[str, Any]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "data"
    assert main(["scenes", "--count", "2", "--seed", "4000000", "--out", str(folder)]) == 0
    return folder


def ran(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Content:
    """What a command writes to standard output with `--json`, and that it tells people the rest all the same."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    said = capsys.readouterr()
    assert said.err.strip()
    content: Content = json.loads(said.out)
    return content


def test_the_data_verbs_and_predict(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = {
        "scenes": ["scenes", "--count", "1", "--out", str(tmp_path / "drawn")],
        "data check": ["data", "check", str(scenes)],
        "data convert": ["data", "convert", str(scenes), f"png16:{tmp_path / 'png16'}"],
        "data show": ["data", "show", str(scenes), "--out", str(tmp_path / "show")],
        "predict": ["predict", "scenes", str(scenes / "images"), "--out", str(tmp_path / "out")],
        "evaluate": ["evaluate", "scenes", str(scenes), "--oracles"],
        "affinity": [
            *("affinity", "scenes", str(scenes / "images" / "scene_4000000.png"), "--pixel", "9", "9"),
            *("--out", str(tmp_path / "affinity.png")),
        ],
    }
    found = {verb: ran(arguments, capsys) for verb, arguments in commands.items()}
    for verb, content in found.items():
        check_with_page(verb, content)
    assert found["evaluate"].keys() == documented("evaluate") | {"oracles"}
    assert found["data convert"]["images"] == 2
    assert [Path(image["png"]).name for image in found["predict"]["images"]] == [
        "scene_4000000.png", "scene_4000001.png",
    ]  # fmt: skip
    assert found["affinity"]["low"] < 0 < found["affinity"]["high"]
    assert found["evaluate"]["strict"]["All"]["pq"] > 0.5


def test_pq_and_the_page_of_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, position in (("truth", 0), ("prediction", 1)):
        with PanopticWriter(tmp_path / side, CLASSES) as writer:
            for number in range(3):
                writer.add(f"{number}.jpg", number, random_pair(number)[position])
    files = ["pq", str(tmp_path / "truth"), str(tmp_path / "prediction")]
    content = ran(files, capsys)
    assert main([*files, "--json", str(tmp_path / "scores.json")]) == 0
    assert json.loads((tmp_path / "scores.json").read_text()) == content
    check_with_page("pq", content)
    more = ran([*files, "--versus", str(tmp_path / "truth"), "--trim-stuff", "9", "--explain"], capsys)
    check_with_page("pq", more)
    assert more.keys() == documented("pq") | {"difference", "trim_stuff", "extra_metrics"}
    listed = {"data check", "data convert", "data show", *VERBS} - {"data"}
    assert listed == set(re.findall(r"^\| `([a-z ]+)` \|", PAGE.read_text(), flags=re.MULTILINE))
    inside = set(re.findall(r"^\| `([a-z ]+)`:", PAGE.read_text(), flags=re.MULTILINE))
    assert inside <= listed


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.demo.run.open_network", lambda *_, **__: segmenter_of(tiny(scenes_preset())))
    content = ran(["demo", "--count", "2", "--out", str(tmp_path / "demo")], capsys)
    check_with_page("demo", content)
    assert Path(content["page"]).is_file()
    assert content["scores"].keys() == {"heuristic", "potential", "affinity"}


def test_what_the_page_does_not_say_is_noticed() -> None:
    content = {"generator": "a", "page": "b", "shown": 1, "images": 2}
    check_with_page("data show", content)
    for other in ({**content, "more": 1}, {**content, "shown": "1"}, {**content, "shown": True}, {"page": "b"}):
        with pytest.raises(AssertionError, match="data show"):
            check_with_page("data show", other)
    assert [path for path, _, _ in rows_of("export")][2] == ["`compared`", "`worst_image`"]


@pytest.mark.parametrize("verb", [*sorted(set(VERBS) - {"data"}), "data check", "data convert", "data show"])
def test_every_verb_has_the_option(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*verb.split(), *(["scenes"] if verb == "train" else []), "--help"]
    with pytest.raises(SystemExit):
        import_module("unipan.cli").main(words)
    assert "--json" in capsys.readouterr().out


def test_an_error_writes_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", str(tmp_path / "none"), "--out", str(tmp_path), "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("unipan: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "photos"], "photos: this is a folder"),
        (["--json=photos"], "photos: this is a folder"),
        (["--json", "a.png"], "a.png: this is no name of a JSON file; give --json a file that ends in .json"),
        (["--json", "/dev/stdout"], "`--json -` for standard output"),
        (["--json", "n" * 300], "this is no name"),
        (["--json", "a.json", "--json", "b.json"], "given 2 times"),
        (["--json=a.json", "--json", "-"], "given 2 times"),
    ],
)
@pytest.mark.parametrize("verb", [["predict", "scenes"], ["pq", "a", "b"], ["data", "check"], ["evaluate"]])
def test_an_input_is_not_taken_for_the_file(
    verb: list[str],
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert main([*verb, *words]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("unipan: --json")
    assert said in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_options_of_pq_are_written_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pq", str(tmp_path), str(tmp_path), "--js", str(tmp_path / "a.json")])
    assert "--js" in capsys.readouterr().err


def test_a_file_of_others_is_not_replaced(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "notes.json"
    other.write_text("{}")
    show = ["data", "show", str(scenes), "--out", str(tmp_path / "page.html"), "--json", str(other)]
    assert main(show) == 1
    assert str(other) in capsys.readouterr().err
    assert other.read_text() == "{}"
    mine = tmp_path / "mine.json"
    for _ in range(2):  # its own file may be written again
        assert main([*show[:-1], str(mine)]) == 0
    assert json.loads(mine.read_text())["shown"] == 2


def test_json_alone_stands_for_standard_output() -> None:
    assert with_json_target(["a", "--json"]) == ["a", "--json", "-"]
    assert with_json_target(["--json", "--out", "b"]) == ["--json", "-", "--out", "b"]
    assert with_json_target(["--json", "c.json", "--out", "b"]) == ["--json", "c.json", "--out", "b"]
    assert with_json_target(["--json=c.json"]) == ["--json=c.json"]
