"""Which engine runs a network."""

import importlib.util
from pathlib import Path

import pytest

import unipan.runtimes
from unipan.exported.segmenter import ExportedSegmenter
from unipan.inference import Segmenter
from unipan.runtimes import open_network


def test_torch_is_the_reference_and_onnxruntime_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_network("scenes", "cpu"), Segmenter)
    assert isinstance(open_network("scenes", "cpu", "torch"), Segmenter)
    assert isinstance(open_network("scenes", "auto", "onnx"), ExportedSegmenter)
    monkeypatch.setattr(unipan.runtimes, "find_spec", lambda name: None)
    assert isinstance(open_network("scenes"), ExportedSegmenter)
    assert importlib.util.find_spec("torch") is not None


def test_a_checkpoint_without_graphs_says_how_to_make_them(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(unipan.files.checkpoint_path("scenes").read_bytes())  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError, match=r"unipan export .*own\.safetensors --beside"):
        open_network(path, runtime="onnx")
