"""Graphs that do not belong to their network, or are no graphs, are refused in one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from unipan.checkpoint_header import network_digest, packaged_digest
from unipan.exported.graphs import files_beside, has_masks, open_graphs
from unipan.files import CHECKPOINTS, bundled_checkpoints, checkpoint_path


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A copy of the bundled checkpoint and its graphs."""
    path = checkpoint_path("scenes")
    for file in (path, *files_beside(path, masks=True)):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path / path.name


def test_every_bundled_checkpoint_has_its_own_graphs() -> None:
    """They were made from these very weights: `unipan export NAME --beside` makes them again."""
    assert bundled_checkpoints()
    for name in bundled_checkpoints():
        model, *graphs = files_beside(checkpoint_path(name), has_masks(checkpoint_path(name)))
        if packaged_digest(checkpoint_path(name)) is not None:
            assert not any(path.exists() for path in (model, *graphs)), "without its backbone there is nothing to run"
            continue
        told = json.loads(model.read_text())
        assert told["network"] == network_digest(checkpoint_path(name)), name
        assert told["masks"] == (len(graphs) == 3)
        assert all(told["network"].encode() in graph.read_bytes() for graph in graphs)
        assert sum(graph.stat().st_size for graph in graphs) < 400_000, "there are no weights in them"
    assert sum(path.stat().st_size for path in CHECKPOINTS.iterdir()) < 21_000_000


def test_graphs_of_other_weights_are_refused(beside: Path) -> None:
    open_graphs(beside, threads=1)
    with safe_open(beside, "np") as file:
        header = file.metadata()
    weights = load_file(beside)
    weights["temperature"] = np.asarray(weights["temperature"] + 1)
    save_file(weights, beside, metadata=header)
    with pytest.raises(ValueError, match=r"other weights than scenes\.safetensors"):
        open_graphs(beside)


def test_metrics_may_change(beside: Path) -> None:
    with safe_open(beside, "np") as file:
        header = file.metadata() | {"metrics": '{"pq": 1}'}
    save_file(load_file(beside), beside, metadata=header)
    assert open_graphs(beside, threads=1).metrics == {"pq": 1}


def test_a_missing_graph_is_named(beside: Path) -> None:
    files_beside(beside, masks=True)[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"scenes\.dense\.onnx.*unipan export .* --beside"):
        open_graphs(beside)


def test_a_checkpoint_without_its_backbone_wants_an_export_of_its_own() -> None:
    with pytest.raises(FileNotFoundError, match=r"checkpoint photos: .*`unipan export photos --out DIR`"):
        open_graphs("photos")


def test_a_graph_of_another_network_or_none_is_named(beside: Path) -> None:
    model, dense, head, _ = files_beside(beside, masks=True)
    dense.write_bytes(head.read_bytes())
    with pytest.raises(ValueError, match=r"scenes\.dense\.onnx"):
        open_graphs(beside)
    dense.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"scenes\.dense\.onnx: onnxruntime cannot open it"):
        open_graphs(beside)
    for content, said in (("{}", "its format is unknown"), ("[", "Expecting"), ('{"format": "unipan-onnx-1"}', "")):
        model.write_text(content)
        with pytest.raises(ValueError, match=rf"scenes\.onnx\.json: cannot be read \(.*{said}"):
            open_graphs(beside)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("fill", value) for value in (None, "abc", ["a", "b", "c"], [None, 1, 2], [1e30, 0, 0], [0, 0])),
        *(("temperature", value) for value in (None, "x", 0, -1, 1e30, True)),
        *(("mask_weights", value) for value in ("abc", ["network.gone"])),
        *(("weights", value) for value in (None, "abc", [1], ["network.gone"], {"a": 1})),
        ("network", 7),
    ],
)
def test_a_description_of_other_kinds_is_named(beside: Path, field: str, value: object) -> None:
    model = files_beside(beside, masks=True)[0]
    model.write_text(json.dumps(json.loads(model.read_text()) | {field: value}))
    with pytest.raises(ValueError, match=r"scenes\.onnx\.json: .*make its graphs again"):
        open_graphs(beside)


def test_classes_that_the_graphs_do_not_have_are_named(beside: Path) -> None:
    with safe_open(beside, "np") as file:
        header = file.metadata()
    header["categories"] = json.dumps(json.loads(header["categories"])[:-1])
    save_file(load_file(beside), beside, metadata=header)
    with pytest.raises(ValueError, match=r"which know \d+ classes and not \d+"):
        open_graphs(beside, threads=1)


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a folder without model\.json"):
        open_graphs(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        open_graphs(tmp_path / "missing.safetensors")
