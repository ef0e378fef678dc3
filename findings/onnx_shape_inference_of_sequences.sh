#!/usr/bin/env bash
# onnx 1.23.2 and onnxruntime 1.32.0, numpy 2.2.6, Python 3.11.
# Guess: `onnx.shape_inference.infer_shapes` only adds what is true, so a valid model runs afterwards as before.
# Seen: a tensor is cut by SplitToSequence (which torch's exporter writes for `split`) into parts whose sizes are computed.
# A sequence has one type for all its parts, so each part gets the same new symbolic size, unk__3. onnxruntime takes equal
# symbols for equal sizes, plans one buffer for both parts, and fails at the second, with any level of optimisation. Its
# static quantiser runs this inference first, and so cannot calibrate such a model. Split, whose outputs have types of their
# own, works.
# Output seen: "as built: [(56,), (8,)]"
# Output seen: "inferred: a unk__3, c unk__3"
# Output seen: "after shape inference: Fail, Shape mismatch attempting to re-use buffer"
# Output seen: "quantiser: Fail"
# Output seen: "with Split, after shape inference: [(56,), (8,)]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
env/bin/python - > seen.txt 2> errors.txt <<'PY'
import re

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnxruntime.quantization import CalibrationDataReader, quantize_static


def number(name, value):
    return make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.int64), name))


def model(cut):
    nodes = [
        make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]),
        number("all", [-1]),
        make_node("Reshape", ["y", "all"], ["flat"]),
        number("eight", [8]),
        make_node("Shape", ["flat"], ["length"]),
        make_node("Sub", ["length", "eight"], ["rest"]),
        make_node("Concat", ["eight", "rest"], ["sizes"], axis=0),
        *cut,
        make_node("Relu", ["large"], ["large_1"]),
        make_node("Relu", ["large_1"], ["a"]),
        make_node("Relu", ["small"], ["small_1"]),
        make_node("Relu", ["small_1"], ["c"]),
    ]
    made = make_graph(
        nodes,
        "parts",
        [make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "H", "W"])],
        [make_tensor_value_info("a", TensorProto.FLOAT, ["A"]), make_tensor_value_info("c", TensorProto.FLOAT, ["C"])],
        [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")],
    )
    found = make_model(made, opset_imports=[make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(found, full_check=True)
    return found


picture = np.ones((1, 1, 8, 8), np.float32)


def shapes(each):
    return [out.shape for out in ort.InferenceSession(each.SerializeToString()).run(None, {"x": picture})]


class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": picture}]

    def get_next(self):
        return self.left.pop() if self.left else None


sequence = model([
    make_node("SplitToSequence", ["flat", "sizes"], ["parts"], axis=0),
    number("first", 0),
    number("second", 1),
    make_node("SequenceAt", ["parts", "second"], ["large"]),
    make_node("SequenceAt", ["parts", "first"], ["small"]),
])
print("as built:", shapes(sequence))
inferred = onnx.shape_inference.infer_shapes(sequence)
sizes = {each.name: each.type.tensor_type.shape.dim for each in inferred.graph.value_info}
print(f"inferred: a {sizes['large_1'][0].dim_param}, c {sizes['small_1'][0].dim_param}")
try:
    print("after shape inference:", shapes(inferred))
except Exception as error:
    said = re.search(r"Shape mismatch attempting to re-use buffer", str(error))
    print(f"after shape inference: {type(error).__name__}, {said[0] if said else error}")
onnx.save(sequence, "sequence.onnx")
try:
    quantize_static("sequence.onnx", "int8.onnx", Reader(), op_types_to_quantize=["Conv"])
    print("quantiser: worked")
except Exception as error:
    print(f"quantiser: {type(error).__name__}")
plain = model([make_node("Split", ["flat", "sizes"], ["small", "large"], axis=0)])
print("with Split, after shape inference:", shapes(onnx.shape_inference.infer_shapes(plain)))
PY
cat seen.txt
for line in "as built: [(56,), (8,)]" "after shape inference: Fail, Shape mismatch attempting to re-use buffer" \
  "quantiser: Fail" "with Split, after shape inference: [(56,), (8,)]"; do
  grep -qxF "$line" seen.txt || { echo "no longer so: $line"; exit 1; }
done
grep -qE "^inferred: a (unk__[0-9]+), c \1$" seen.txt || { echo "no longer so: one size for both parts"; exit 1; }
