"""Plainer forms of what torch's exporter writes, so that runtimes recognise what they know how to speed up."""

from typing import TYPE_CHECKING, Any

import numpy as np

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
    A sequence with another use, or of which the graph does not say how many parts it has, stays as it is.
    """
    makers = _makers(graph)
    for split in [node for node in graph.node if node.op_type == "SplitToSequence"]:
        users = [node for node in graph.node if split.output[0] in node.input]
        if any(node.op_type != "SequenceAt" for node in users):
            continue
        places = [_constant(makers.get(node.input[1])) for node in users]
        if any(place is None for place in places):
            continue
        parts = {int(place): node.output[0] for place, node in zip(places, users, strict=True) if place is not None}
        made = _plain_split(split, makers.get(split.input[1]), parts)
        for node in made:
            graph.node.insert(list(graph.node).index(split), node)
        for node in (split, *users) if made else ():
            graph.node.remove(node)


def _plain_split(split: NodeProto, sizes: NodeProto | None, parts: dict[int, str]) -> list[NodeProto]:
    """The nodes that cut a tensor into the same parts; none where it is not known how many there are.

    Args:
        split: a `SplitToSequence`.
        sizes: the node that makes its second input: one size for all parts, or a list.
        parts: index of a part -> its name; those that nobody uses may be missing.
    """
    from onnx.helper import get_node_attr_value, make_node, make_tensor

    axis, known = get_node_attr_value(split, "axis"), _constant(sizes)
    if known is None or known.ndim:
        if known is None and (sizes is None or sizes.op_type != "Concat"):
            return []
        count = len(known) if known is not None else len(sizes.input)  # type: ignore[union-attr]
        names = [parts.get(index, f"{split.output[0]}_{index}") for index in range(count)]
        return [make_node("Split", split.input, names, split.name, axis=axis)]
    made, size = [], int(known)
    for index, name in parts.items():
        places = {"starts": index * size, "ends": (index + 1) * size, "axes": axis}
        for key, value in places.items():
            made.append(make_node("Constant", [], [f"{name}_{key}"], value=make_tensor(key, 7, [1], [value])))  # INT64
        made.append(make_node("Slice", [split.input[0], *(f"{name}_{key}" for key in places)], [name], f"{name}_slice"))
    return made


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    """For each value of a graph the node that makes it."""
    return {output: node for node in graph.node for output in node.output}


def _is_zeros(makers: dict[str, NodeProto], name: str) -> bool:
    """Whether a value is the constant 0, repeated."""
    node = makers.get(name)
    while node is not None and node.op_type in ("Expand", "CastLike"):
        node = makers.get(node.input[0])
    value = _constant(node)
    return value is not None and not value.any()


def _constant(node: NodeProto | None) -> np.ndarray | None:
    """The value of a `Constant`, in whichever of its attributes it is; None for other nodes."""
    from onnx import TensorProto
    from onnx.helper import get_attribute_value
    from onnx.numpy_helper import to_array

    if node is None or node.op_type != "Constant":
        return None
    value = get_attribute_value(node.attribute[0])
    return np.asarray(to_array(value) if isinstance(value, TensorProto) else value)
