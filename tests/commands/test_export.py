"""`unipan export` writes a folder that predict, affinity and Segmenter take, or nothing."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unipan
from tests.commands.json_page import check_with_page
from tests.exported.test_segmenter import WITHOUT_TORCH
from unipan.checkpoint_header import network_digest
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.export.parity import Parity, differing_pixels
from unipan.export.write import Graphs
from unipan.exported.graphs import EXPORT_FILES, MODEL_FILE, check_same_network
from unipan.exported.segmenter import ExportedSegmenter
from unipan.files import checkpoint_path
from unipan.inference import Segmenter
from unipan.outputs import MANIFEST, Outputs
from unipan.panoptic.png import decode_png

pytestmark = pytest.mark.usefixtures("no_type_checks")
SEEDS = range(4_000_010, 4_000_012)
MASK_FREE = "scenes_mask_free"
MAKE = Graphs.of
PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
ELSEWHERE = r"hf:|--ray|--int8|--private|--onnx"
"""What a command of the page has that goes to the Hub or to a cluster, or (8 bits) is refused by some processors."""
SMALLER = {"demo": ["--count", "1"]}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("street") / "data"
    write_coco_panoptic(folder, list(Scenes(SEEDS)), SCENE_CATEGORIES)
    return folder


def test_from_a_checkpoint_to_the_same_maps(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deployed"
    arguments = ["export", "scenes", "--out", str(out), "--data", str(street)]
    assert main([*arguments, "--json", str(tmp_path / "found.json")]) == 0
    said = capsys.readouterr().out
    check_with_page("export", json.loads((tmp_path / "found.json").read_text()))
    assert "2 images, 0 of 65536 pixels" in said
    assert {path.name for path in out.iterdir()} == {*EXPORT_FILES, MANIFEST}
    told = json.loads((out / "model.json").read_text())
    assert told["parity"]["pixels_differing"] == 0
    assert told["parity"]["pq"]["torch"] == told["parity"]["pq"]["onnxruntime"] > 0.7
    assert told["fill"] == [0.485, 0.456, 0.406]
    opened, reference = unipan.Segmenter.load(out), Segmenter.load("scenes")
    assert isinstance(opened, ExportedSegmenter)
    image = Scenes(SEEDS)[0].image
    assert differing_pixels(opened(image), reference(image)) == 0
    edited = [segmenter.scene(image).edit([[9, 9, 90, 80]], [0.9], [1]).result() for segmenter in (opened, reference)]
    assert differing_pixels(*edited) == 0
    pictures = sorted((street / "images").iterdir())
    assert main(["predict", str(out), *map(str, pictures), "--out", str(tmp_path / "pred")]) == 0
    assert main(["affinity", str(out), str(pictures[0]), "--pixel", "3", "4", "--out", str(tmp_path / "a.png")]) == 0
    ids = decode_png(tmp_path / "pred" / "panoptic" / f"{pictures[0].stem}.png")
    assert np.array_equal(ids, reference(image).ids)
    capsys.readouterr()
    assert main(["predict", str(out), *map(str, pictures), "--out", str(tmp_path / "p"), "--runtime", "torch"]) == 1
    assert "is an export, which onnxruntime runs; give the checkpoint itself" in capsys.readouterr().err
    assert main(["evaluate", str(out), str(street)]) == 1
    assert "this is an export" in capsys.readouterr().err


def test_a_network_that_comes_out_otherwise_is_not_written(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import unipan.export.write as module

    monkeypatch.setattr(module, "compare", lambda *_: Parity(pixels=1000, differing=2, worst=(0.002, "a.png")))
    assert main(["export", "scenes", "--out", str(tmp_path / "out"), "--data", str(street)]) == 1
    assert "0.20% of the pixels" in (said := capsys.readouterr().err)
    assert "nothing was written" in said
    assert not (tmp_path / "out").exists()


@cache
def graphs_of(path: Path) -> Graphs:
    """`Graphs.of`, which takes most of the time of an export, once for the tests below."""
    return MAKE(path)


def test_one_wrong_weight_meets_the_gate(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx.numpy_helper import from_array, to_array

    graphs = graphs_of(checkpoint_path(MASK_FREE))
    wrong = type(graphs.dense)()
    wrong.CopyFrom(graphs.dense)
    [bias] = [each for each in wrong.graph.initializer if each.name.endswith("semantic.project.bias")]
    values = to_array(bias).copy()
    values[-1] += 30
    bias.CopyFrom(from_array(values, bias.name))
    monkeypatch.setattr(Graphs, "of", lambda _: replace(graphs, dense=wrong))
    assert main(["export", MASK_FREE, "--out", str(tmp_path / "out"), "--data", str(street)]) == 1
    said = capsys.readouterr().err
    assert "of the pixels another segment than torch does" in said
    assert "most in scene_40000" in said
    assert "nothing was written" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_photographs_of_three_kinds_pass_the_gate(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Graphs, "of", graphs_of)
    (tmp_path / "photos").mkdir()
    for name in ("coco20", "facades", "nuclei"):
        found = min((shared_data / name).rglob("*.jpg"))
        shutil.copyfile(found, tmp_path / "photos" / f"{name}.jpg")
    line = ["export", MASK_FREE, "--out", str(tmp_path / "out"), "--data", str(tmp_path / "photos")]
    assert main([*line, "--json", str(tmp_path / "found.json")]) == 0
    parity = json.loads((tmp_path / "found.json").read_text())["compared"]
    assert parity["images"] == 3
    assert parity["pq"] is None
    assert parity["pixels_differing"] <= 0.001
    assert parity["pixels_differing_after_edits"] <= 0.001
    assert json.loads((tmp_path / "out" / "model.json").read_text())["parity"] == parity


@pytest.mark.parametrize(("runtime", "runs"), [("onnx", ExportedSegmenter), ("torch", Segmenter)])
def test_affinity_and_demo_run_on_the_engine_that_is_asked_for(
    runtime: str, runs: type, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import unipan.demo.run
    import unipan.runtimes

    opened, opens = [], unipan.runtimes.open_network

    def noted(*arguments: Any) -> Any:
        opened.append(opens(*arguments))
        return opened[-1]

    for module in (unipan.runtimes, unipan.demo.run):
        monkeypatch.setattr(module, "open_network", noted)
    picture = str(min((street / "images").iterdir()))
    asked = ["--runtime", runtime]
    assert main(["affinity", "scenes", picture, "--pixel", "9", "9", "--out", str(tmp_path / "a.png"), *asked]) == 0
    assert main(["demo", "--count", "1", "--out", str(tmp_path / "demo"), *asked]) == 0
    assert [type(each) for each in opened] == [runs, runs]
    assert (tmp_path / "a.png").is_file()
    assert (tmp_path / "demo" / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scenes"], "give --out DIR for a folder that needs nothing else, or --beside; one of them"),
        (["scenes", "--out", "o", "--beside"], "one of them"),
        (["missing.safetensors", "--out", "o"], "there is no such file"),
        (["scenes", "--out", "o", "--data", "missing"], "missing"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 1
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("described", ['{"network": "of another one"}', '{"network": 7}'])
def test_the_export_of_another_network_is_not_replaced(
    described: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Outputs("export").start_folder(tmp_path / "there", EXPORT_FILES)
    for name in EXPORT_FILES:
        (tmp_path / "there" / name).write_text(described)
    before = {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}
    assert main(["export", "scenes", "--out", "there"]) == 1
    said = capsys.readouterr().err
    assert "--out there: the export of another network is there" in said
    assert {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()} == before


def test_the_export_of_the_same_network_and_one_that_cannot_be_read_are_replaced(tmp_path: Path) -> None:
    path = checkpoint_path("scenes")
    (tmp_path / MODEL_FILE).write_text(f'{{"network": "{network_digest(path)}"}}')
    check_same_network(tmp_path, path, overwrite=False)
    for content in ("", "{", "[]", "null", "{}", "[" * 100_000):
        (tmp_path / MODEL_FILE).write_text(content)
        check_same_network(tmp_path, path, overwrite=False)
    check_same_network(tmp_path / "gone", path, overwrite=False)


def test_predict_affinity_and_demo_run_without_torch(street: Path, tmp_path: Path) -> None:
    picture = str(sorted((street / "images").iterdir())[0])
    lines = [
        ["predict", "scenes", picture, "--out", str(tmp_path / "p"), "--fusion", "heuristic"],
        ["affinity", "scenes", picture, "--pixel", "9", "9", "--out", str(tmp_path / "a.png")],
        ["demo", "--count", "2", "--out", str(tmp_path / "demo")],
    ]
    code = WITHOUT_TORCH + "from unipan.cli import main\nassert [main(line) for line in " + f"{lines!r}] == [0, 0, 0]"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "p" / "index.html").is_file()
    assert (tmp_path / "a.png").is_file()
    assert (tmp_path / "demo" / "index.html").is_file()


def test_an_export_into_a_folder_of_another_leaves_no_graph_of_that_one(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Graphs, "of", graphs_of)
    out = tmp_path / "deployed"
    out.mkdir()
    (out / "masks.onnx").write_bytes(b"a graph")
    (out / MANIFEST).write_text(json.dumps({"files": {"masks.onnx": "export"}}))
    assert main(["export", "scenes_mask_free", "--out", str(out), "--data", str(street), "--limit", "1"]) == 0
    assert {path.name for path in out.iterdir()} == {*EXPORT_FILES[:3], MANIFEST}
    scene = unipan.Segmenter.load(out).scene(Scenes(SEEDS)[0].image)
    assert len(scene.edit([[9, 9, 90, 80]], [0.9], [1]).detections) == 1


def test_what_needs_torch_says_so(tmp_path: Path) -> None:
    code = WITHOUT_TORCH + "from unipan.cli import main\nsys.exit(main(sys.argv[1:]))"
    for arguments in (
        ["predict", "scenes", "a.png", "--out", "o", "--runtime", "torch"],
        ["evaluate", "scenes"],
        ["export", "scenes", "--out", "o"],
    ):
        (tmp_path / "a.png").write_bytes(unipan_picture())
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert 'this needs torch: pip install "unipan[' in done.stderr


def test_the_commands_of_the_page_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of docs/deployment.md that need neither network nor cluster, on two scenes and a copied checkpoint."""
    monkeypatch.chdir(tmp_path)
    for name in ("data", "my_data"):
        write_coco_panoptic(Path(name), list(Scenes(range(4_000_000, 4_000_002))), SCENE_CATEGORIES)
    Path("runs/finetune").mkdir(parents=True)
    shutil.copyfile(checkpoint_path(MASK_FREE), "runs/finetune/best.safetensors")

    def copied(path: Path) -> Graphs:
        made = graphs_of(checkpoint_path(MASK_FREE))
        dense, head = type(made.dense)(), type(made.head)()
        dense.CopyFrom(made.dense)
        head.CopyFrom(made.head)
        return replace(made, dense=dense, head=head, path=path)

    monkeypatch.setattr(Graphs, "of", copied)
    lines = re.findall(r"^unipan (.*?)(?: +#.*)?$", PAGE.read_text(), flags=re.MULTILINE)
    here = [line.split() for line in lines if not re.search(ELSEWHERE, line)]
    for words in here:
        assert main([*words, *SMALLER.get(words[0], [])]) == 0, words
    assert [words[0] for words in here] == [
        "predict",
        "affinity",
        "demo",
        "predict",
        "export",
        "export",
        "predict",
        "push",
    ]
    assert {path.name for path in Path("deployed").iterdir()} == {*EXPORT_FILES[:3], MANIFEST}
    assert Path("runs/finetune/best.dense.onnx").is_file()
    assert len([*Path("out/panoptic").iterdir()]) == len([*Path("out2/panoptic").iterdir()]) == 2


def unipan_picture() -> bytes:
    import cv2

    return cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
