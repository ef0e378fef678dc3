#!/usr/bin/env bash
# onnx 1.23.2 and onnxruntime 1.32.0, numpy 2.2.6, Python 3.11.
# Guess: onnxruntime computes what depends on constants alone when it loads a model, in whatever operators it is written, and
# then merges batch norms into convolutions; it does so for a bias that Expand, ConstantOfShape or Cast makes of constants.
# Seen: not if CastLike is among them, whose second input gives nothing but its type. It becomes a Cast that is never folded,
# so the bias stays a computation, and no batch norm and no ReLU is merged, at any level. torch's exporter writes just this
# for every convolution without a bias (a zero, CastLike the input, expanded) if it is told not to optimise. What
# onnxruntime has optimised and written, given to it again, is merged.
# Output seen: "no bias: 6 FusedConv"
# Output seen: "Expand: 6 FusedConv"
# Output seen: "Cast, Expand: 6 FusedConv"
# Output seen: "CastLike, Expand: 6 BatchNormalization, 6 Cast, 6 Conv, 6 Expand, 6 Relu"
# Output seen: "the last one's optimised model, once more: 6 FusedConv"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.2.6
env/bin/python - > seen.txt <<'PY'
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

CHANNELS, LAYERS = 8, 6
picture = np.random.default_rng(0).standard_normal((1, CHANNELS, 12, 12)).astype(np.float32)


def constant(name, value):
    return make_node("Constant", [], [name], value=from_array(value, name))


def zeros(number, before, makers):
    """Nodes that make a bias of zeros for one convolution."""
    found = [constant(f"zero{number}", np.float32(0)), constant(f"many{number}", np.array([CHANNELS], np.int64))]
    name = f"zero{number}"
    for maker in makers:
        given = {"Cast": [name], "CastLike": [name, before], "Expand": [name, f"many{number}"]}[maker]
        name = f"{maker}{number}"
        found.append(make_node(maker, given, [name], **({"to": 1} if maker == "Cast" else {})))
    return found, [name]


def model(makers):
    rng, nodes, values, name = np.random.default_rng(1), [], [], "picture"
    for number in range(LAYERS):
        bias = []
        if makers:
            made, bias = zeros(number, name, makers)
            nodes += made
        weight = rng.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32) / 8
        values.append(from_array(weight, f"weight{number}"))
        norm = [f"{part}{number}" for part in ("scale", "shift", "mean", "variance")]
        values += [from_array(rng.uniform(0.5, 1.5, CHANNELS).astype(np.float32), each) for each in norm]
        nodes.append(make_node("Conv", [name, f"weight{number}", *bias], [f"conv{number}"], pads=[1, 1, 1, 1]))
        nodes.append(make_node("BatchNormalization", [f"conv{number}", *norm], [f"norm{number}"]))
        nodes.append(make_node("Relu", [f"norm{number}"], [f"relu{number}"]))
        name = f"relu{number}"
    size = [1, CHANNELS, "H", "W"]
    graph = make_graph(
        nodes, "layers", [make_tensor_value_info("picture", 1, size)], [make_tensor_value_info(name, 1, size)], values
    )
    found = make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(found, full_check=True)
    return found.SerializeToString()


def optimised(given, file, level="EXTENDED"):
    """What onnxruntime makes of a model, as a count of its operators, and the model's output."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = file
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    session = ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(file).graph.node)
    return ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)), session.run(None, {"picture": picture})[0]


outputs = {}
for makers in ((), ("Expand",), ("Cast", "Expand"), ("CastLike", "Expand")):
    words, outputs[makers] = optimised(model(makers), "optimised.onnx")
    print(f"{', '.join(makers) or 'no bias'}: {words}")
print("the last one's optimised model, once more:", optimised("optimised.onnx", "again.onnx")[0])
for level in ("BASIC", "ALL"):
    assert "6 BatchNormalization, 6 Cast" in optimised(model(("CastLike", "Expand")), "other.onnx", level)[0], level
assert np.allclose(outputs["CastLike", "Expand"], outputs[()], atol=1e-4)
PY
cat seen.txt
for line in "no bias: 6 FusedConv" "Expand: 6 FusedConv" "Cast, Expand: 6 FusedConv" \
  "CastLike, Expand: 6 BatchNormalization, 6 Cast, 6 Conv, 6 Expand, 6 Relu" \
  "the last one's optimised model, once more: 6 FusedConv"; do
  grep -qxF "$line" seen.txt || { echo "no longer so: $line"; exit 1; }
done
