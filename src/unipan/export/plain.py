"""Plainer forms of what torch's exporter writes, so that runtimes recognise what they know how to speed up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto
else:
    GraphProto = NodeProto = Any


def drop_zero_biases(graph: GraphProto) -> None:
    """Leave out the bias of convolutions that have none, which the exporter computes as zeros in the graph.

    onnxruntime merges a batch norm into the convolution before it, and stores channels in blocks, only where it knows
    the bias beforehand.
    """
    makers = _makers(graph)
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and _is_zeros(makers, node.input[2]):
            del node.input[2]


def replace_sequences(graph: GraphProto) -> None:
    """Write `Split` or `Slice` where the exporter writes `SplitToSequence` and a `SequenceAt` for each part.

    They are equal. But onnxruntime's quantiser takes all parts of a sequence for one size, and fails as it calibrates.
    A sequence with another use stays as it is.
    """
    makers = _makers(graph)
    for split in [node for node in graph.node if node.op_type == "SplitToSequence"]:
        users = [node for node in graph.node if split.output[0] in node.input]
        if split.input[1] not in makers or any(node.op_type != "SequenceAt" for node in users):
            continue
        parts = {int(_constant(makers[node.input[1]])): node.output[0] for node in users}
        for node in _plain_split(split, makers[split.input[1]], parts):
            graph.node.insert(list(graph.node).index(split), node)
        for node in (split, *users):
            graph.node.remove(node)


def _plain_split(split: NodeProto, sizes: NodeProto, parts: dict[int, str]) -> Iterator[NodeProto]:
    """The nodes that cut a tensor into the same parts.

    Args:
        split: a `SplitToSequence`.
        sizes: the node that makes its second input: one size for all parts, or a list.
        parts: index of a part -> its name; those that nobody uses may be missing.
    """
    from onnx.helper import get_node_attr_value, make_node, make_tensor

    axis = get_node_attr_value(split, "axis")
    count = _length(sizes)
    if count is not None:
        names = [parts.get(index, f"{split.output[0]}_{index}") for index in range(count)]
        yield make_node("Split", split.input, names, split.name, axis=axis)
        return
    size = int(_constant(sizes))
    for index, name in parts.items():
        places = {"starts": index * size, "ends": (index + 1) * size, "axes": axis}
        for key, value in places.items():
            yield make_node("Constant", [], [f"{name}_{key}"], value=make_tensor(key, 7, [1], [value]))  # 7: INT64
        yield make_node("Slice", [split.input[0], *(f"{name}_{key}" for key in places)], [name], f"{name}_slice")


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    """For each value of a graph the node that makes it."""
    return {output: node for node in graph.node for output in node.output}


def _is_zeros(makers: dict[str, NodeProto], name: str) -> bool:
    """Whether a value is the constant 0, repeated."""
    node = makers.get(name)
    while node is not None and node.op_type in ("Expand", "CastLike"):
        node = makers.get(node.input[0])
    return node is not None and node.op_type == "Constant" and _length(node) is None and _constant(node) == 0


def _length(node: NodeProto) -> int | None:
    """How many numbers a node lists; None for a single one."""
    if node.op_type == "Concat":  # of sizes that depend on the image
        return len(node.input)
    dims = node.attribute[0].t.dims
    return int(dims[0]) if dims else None


def _constant(node: NodeProto) -> float:
    """The value of a constant that is one number."""
    from onnx.numpy_helper import to_array

    value: float = to_array(node.attribute[0].t).item()
    return value
