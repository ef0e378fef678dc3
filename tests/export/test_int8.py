"""8-bit integers: what is quantised, when they are refused, and that the folder works as any export."""

import json
import logging
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto

import unipan
import unipan.export.int8 as module
import unipan.export.write as writing
from tests.export.test_convert import DENSE, run, session
from tests.export.test_detection import network_of
from tests.export.test_wrappers import configured
from tests.tiny import image_batch
from unipan.cli import main
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.export.convert import dense_graph
from unipan.export.int8 import Int8, calibration_images, quantise, relative_time
from unipan.export.parity import Parity, differing_pixels
from unipan.exported.segmenter import ExportedSegmenter
from unipan.inference import Segmenter

pytestmark = pytest.mark.usefixtures("no_type_checks")
SIZE = (64, 96)


@cache
def dense_of_a_tiny_network() -> ModelProto:
    return dense_graph(network_of(configured(DENSE["plain, masks, rope"])))


def test_every_convolution_of_the_network_is_quantised(caplog: pytest.LogCaptureFixture) -> None:
    dense = dense_of_a_tiny_network()
    dense.metadata_props.add(key="kept", value="yes")
    images = [image_batch(1, seed=seed, size=SIZE).pixels for seed in range(4)]
    small = quantise(dense, ({"pixels": each.numpy(), "size": np.array(SIZE)} for each in images))
    assert not [each for each in caplog.records if each.name == "root"]
    assert logging.root.manager.disable == 0
    assert [(each.key, each.value) for each in small.metadata_props] == [("kept", "yes")]
    makers = {output: node.op_type for node in small.graph.node for output in node.output}
    convolutions = [node for node in small.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == sum(node.op_type == "Conv" for node in dense.graph.node)
    assert {makers[node.input[0]] for node in convolutions} == {"DequantizeLinear"}
    before, after = (run(session(graph), {"pixels": images[0], "size": torch.tensor(SIZE)}) for graph in (dense, small))
    for name in ("semantic", "phi0", "p2"):
        error = np.abs(before[name] - after[name]).mean() / before[name].std()
        assert 0 < error < 0.15, name


def test_calibration_takes_other_images_as_far_as_there_are_any() -> None:
    assert calibration_images(Scenes(range(100)), range(20)) == [*range(20, 36)]
    assert calibration_images(Scenes(range(22)), range(20)) == [20, 21, *range(14)]
    assert calibration_images(Scenes(range(3)), range(3)) == [0, 1, 2]


def scored(right: int) -> PanopticQuality:
    """The PQ of three scenes, of which so many are predicted as they are."""
    quality = PanopticQuality(SCENE_CATEGORIES)
    data = Scenes(range(3))
    for index in range(3):
        quality.update(data[index].truth, data[index if index < right else 0].truth, str(index))
    return quality


def test_what_is_slower_or_worse_is_refused() -> None:
    fast, perfect = Int8(16, 0.6, 0.3), scored(3)
    fast.require_faster()
    fast.require_alike(
        Parity(pixels=100, differing=90, quality=(perfect, perfect))
    )  # PQ alone counts where it is known
    with pytest.raises(ValueError, match=r"--int8: on this processor .* 1\.20 of the time"):
        Int8(16, 1.2, 0.3).require_faster()
    with pytest.raises(ValueError, match=r"--int8: PQ falls from 100\.00 to \d\d\.\d\d"):
        fast.require_alike(Parity(quality=(perfect, scored(2))))
    fast.require_alike(Parity(pixels=100, differing=2))
    with pytest.raises(ValueError, match=r"--int8: 3\.00% of the pixels"):
        fast.require_alike(Parity(pixels=100, differing=3))


def test_time_is_relative_to_the_other_session() -> None:
    opened = session(dense_of_a_tiny_network())
    feed = {"pixels": image_batch(1, size=SIZE).pixels.numpy(), "size": np.array(SIZE)}

    class Twice:
        def run(self, names: None, given: dict[str, np.ndarray]) -> None:
            opened.run(names, given)
            opened.run(names, given)

    assert 1.3 < relative_time(Twice(), opened, [feed, feed]) < 3  # type: ignore[arg-type]


def test_a_folder_with_8_bits_is_an_export_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALIBRATION", 4)
    monkeypatch.setattr(writing, "relative_time", lambda *_: 0.625)
    out = tmp_path / "small"
    assert main(["export", "scenes", "--out", str(out), "--int8", "--limit", "2"]) == 0
    said = capsys.readouterr().out
    assert "calibrated on 4 images: dense.onnx takes 0.62 of the time" in said
    told = json.loads((out / "model.json").read_text())
    assert told["parity"]["int8"] == {"calibrated_on": 4, "time_relative_to_32_bits": 0.625}
    assert 0 < told["parity"]["pixels_differing"] < 0.02
    assert abs(told["parity"]["pq"]["torch"] - told["parity"]["pq"]["onnxruntime"]) < 0.005
    assert b"QuantizeLinear" in (out / "dense.onnx").read_bytes()
    opened, reference, image = (
        unipan.Segmenter.load(out),
        Segmenter.load("scenes"),
        Scenes(range(4_000_000, 4_000_001))[0].image,
    )
    assert isinstance(opened, ExportedSegmenter)
    assert differing_pixels(opened(image), reference(image)) < 0.02 * image.size / 3
    assert main(["export", "scenes", "--beside", "--int8"]) == 1
    assert "--int8: --beside takes the weights of the checkpoint" in capsys.readouterr().err
