"""The plainer forms are equal, and what they are for happens: batch norm merges, and no sequence is left."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper, load

from tests.export.test_convert import DENSE, HEADS
from tests.export.test_detection import network_of
from tests.export.test_wrappers import configured
from unipan.export.convert import dense_graph, head_graph
from unipan.export.plain import drop_zero_biases, replace_sequences

pytestmark = pytest.mark.usefixtures("no_type_checks")

F32, I64 = TensorProto.FLOAT, TensorProto.INT64


def kinds(graph: GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def test_a_converted_network_has_no_sequences_and_its_batch_norms_merge(tmp_path: Path) -> None:
    dense = dense_graph(network_of(configured(DENSE["plain, masks, rope"])))
    assert "SplitToSequence" not in kinds(dense.graph)
    assert "SequenceAt" not in kinds(dense.graph)
    norms, file = kinds(dense.graph).count("BatchNormalization"), tmp_path / "merged.onnx"
    assert norms > 10
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    ort.InferenceSession(dense.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert kinds(load(file).graph).count("BatchNormalization") == 0


def test_the_head_has_no_sequences() -> None:
    assert not {"SplitToSequence", "SequenceAt"} & {
        *kinds(head_graph(network_of(configured(HEADS["B with masks"]))).graph)
    }


def model(nodes: list, inputs: list, outputs: list[str], weights: dict[str, np.ndarray] | None = None) -> ModelProto:  # type: ignore[type-arg]
    from onnx.numpy_helper import from_array

    known = [from_array(value, name) for name, value in (weights or {}).items()]
    made = [helper.make_tensor_value_info(name, F32, None) for name in outputs]
    graph = helper.make_graph(nodes, "test", inputs, made, known)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def constant(name: str, value: object, kind: int = I64) -> object:
    shape = np.shape(value)  # type: ignore[arg-type]
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, shape, np.ravel(value)))  # type: ignore[arg-type]


def run(made: ModelProto, **given: np.ndarray) -> list[np.ndarray]:
    opened = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(opened.run(None, given))


def at(index: int, output: str) -> list:  # type: ignore[type-arg]
    return [constant(f"i{index}", index), helper.make_node("SequenceAt", ["parts", f"i{index}"], [output])]


def test_parts_of_given_sizes_in_any_order_and_one_left_out() -> None:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    cut = helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=0, keepdims=1)
    made = model(
        [constant("sizes", [1, 5, 4]), cut, *at(2, "last"), *at(0, "first")],
        [helper.make_tensor_value_info("x", F32, ["n", 2])],
        ["last", "first"],
    )
    before = run(made, x=rows)
    replace_sequences(made.graph)
    assert kinds(made.graph).count("Split") == 1
    assert "SequenceAt" not in kinds(made.graph)
    after = run(made, x=rows)
    assert [each.shape for each in after] == [(4, 2), (1, 2)]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_parts_of_one_size_and_a_smaller_last_one() -> None:
    weight = np.arange(22, dtype=np.float32).reshape(2, 11)
    cut = helper.make_node("SplitToSequence", ["w", "size"], ["parts"], axis=1, keepdims=1)
    made = model([constant("size", 4), cut, *at(0, "a"), *at(2, "c")], [], ["a", "c"], {"w": weight})
    replace_sequences(made.graph)
    assert "SplitToSequence" not in kinds(made.graph)
    one, other = run(made)
    assert np.array_equal(one, weight[:, :4])
    assert np.array_equal(other, weight[:, 8:])


@pytest.mark.parametrize("computed", [False, True])
def test_sizes_in_another_attribute_and_sizes_that_are_computed(computed: bool) -> None:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    sizes = [helper.make_node("Constant", [], ["listed"], value_ints=[3, 7])]
    sizes.append(helper.make_node("Abs" if computed else "Identity", ["listed"], ["sizes"]))
    cut = helper.make_node("SplitToSequence", ["x", "sizes" if computed else "listed"], ["parts"], axis=0, keepdims=1)
    made = model([*sizes, cut, *at(1, "last")], [helper.make_tensor_value_info("x", F32, ["n", 2])], ["last"])
    replace_sequences(made.graph)
    assert ("SequenceAt" in kinds(made.graph)) == computed  # nobody knows how many parts there are
    assert np.array_equal(run(made, x=rows)[0], rows[3:])


def test_another_use_of_a_sequence_stays() -> None:
    cut = helper.make_node("SplitToSequence", ["x", "size"], ["parts"], axis=0, keepdims=1)
    joined = helper.make_node("ConcatFromSequence", ["parts"], ["y"], axis=0)
    made = model(
        [constant("size", 2), cut, *at(0, "first"), joined],
        [helper.make_tensor_value_info("x", F32, ["n", 2])],
        ["first", "y"],
    )
    replace_sequences(made.graph)
    assert "SequenceAt" in kinds(made.graph)
    rows = np.ones((5, 2), np.float32)
    assert np.array_equal(run(made, x=rows)[1], rows)


@pytest.mark.parametrize(("value", "kept"), [(0.0, False), (0.5, True)])
def test_only_a_bias_of_zeros_goes(value: float, kept: bool) -> None:
    made = model(
        [
            constant("value", value, F32),
            constant("shape", [3]),
            helper.make_node("Expand", ["value", "shape"], ["bias"]),
            helper.make_node("Conv", ["x", "w", "bias"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", F32, [1, 2, 4, 4])],
        ["y"],
        {"w": np.ones((3, 2, 1, 1), np.float32)},
    )
    picture = np.random.default_rng(0).random((1, 2, 4, 4), np.float32)
    before = run(made, x=picture)[0]
    drop_zero_biases(made.graph)
    [conv] = [node for node in made.graph.node if node.op_type == "Conv"]
    assert (len(conv.input) == 3) == kept
    assert np.array_equal(run(made, x=picture)[0], before)
