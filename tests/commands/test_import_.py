"""`unipan import`: from a file of another code base to a checkpoint that opens, or one sentence and no file."""

import json
import os
import signal
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from tests.commands.json_page import check_with_page
from tests.interop import reference
from unipan.checkpoint_header import read_header
from unipan.cli import main
from unipan.files import replaced


def test_a_pth_of_detectron2_becomes_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "model_final.pth", tmp_path / "net.safetensors"
    tensors = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in reference.shapes(50).items()}
    torch.save({"model": tensors, "iteration": 89999, "optimizer": {"param_groups": [{"lr": 0.02}]}}, file)
    assert main(["import", f"detectron2:{file}", "--out", str(out), "--half", "--json"]) == 0
    printed = capsys.readouterr()
    check_with_page("import", content := json.loads(printed.out))
    assert (content["things"], content["stuff"], content["tensors"]) == (80, 53, 330)
    said = printed.err
    assert f"{out}: detectron2_panoptic_fpn_R_50, 80 things + 53 stuff of COCO; 330 tensors of detectron2:" in said
    assert "none left over, none missing\nunverified numerically" in said
    config, categories, metrics = read_header(out)
    assert (config.backbone.stride_in_1x1, config.detection.roi_aligned, config.detection.exact_anchors) == (True,) * 3
    assert (len(categories), metrics["imported"]) == (133, "detectron2:model_final.pth")
    assert metrics["status"].startswith("unverified numerically")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_it_writes_leaves_nothing(
    number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(path: Path, *_: object) -> None:
        with replaced(path) as temporary:
            temporary.touch()
            os.kill(os.getpid(), number)
            time.sleep(10)

    (tmp_path / "a.pkl").touch()
    monkeypatch.setattr("unipan.interop.sources.require_source", lambda *_: None)
    monkeypatch.setattr("unipan.interop.detectron2.from_detectron2", Mock())
    monkeypatch.setattr("unipan.checkpoint.save_checkpoint", stop)
    out = tmp_path / "out" / "net.safetensors"
    assert main(["import", f"detectron2:{tmp_path / 'a.pkl'}", "--out", str(out)]) == code
    assert capsys.readouterr().err == f"unipan: stopped by {signal.Signals(number).name}\n"
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["detectron2", "--out", "net.safetensors"], "import: 'detectron2' is no source; give detectron2:FILE"),
        (["caffe:a.pkl", "--out", "net.safetensors"], "import: 'caffe:a.pkl' is no source"),
        (["detectron2:none.pkl", "--out", "net.pth"], "--out net.pth: a checkpoint ends in .safetensors"),
        (["detectron2:none.pkl", "--out", "net.safetensors"], "weights none.pkl: there is no such file"),
        (
            ["detectron2:a.pkl", "--file", "b.pkl", "--out", "net.safetensors"],
            "--file b.pkl: goes with torchvision:NAME",
        ),
        (
            ["torchvision:retinanet", "--out", "net.safetensors"],
            "torchvision:retinanet: only maskrcnn_resnet50_fpn and",
        ),
        (["torchvision:maskrcnn_resnet50_fpn", "--file", "none.pth", "--out", "net.safetensors"], "weights none.pth"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", *arguments]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"unipan: {sentence}")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
