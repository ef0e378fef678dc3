"""From the wrapper modules to ONNX, by torch's exporter, with sizes and numbers of detections left open."""

import contextlib
import io
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from unipan.datasets.sizes import MULTIPLE
from unipan.export.plain import drop_zero_biases, replace_sequences
from unipan.export.same_padding import padded_by_whole_strides
from unipan.export.wrappers import DenseGraph, HeadGraph, MaskGraph
from unipan.models.detection.head import DetectionHead
from unipan.models.network import PanopticNetwork
from unipan.models.parts import LEVELS, P2_STRIDE

if TYPE_CHECKING:
    from onnx import ModelProto
else:
    ModelProto = Any

OPSET = 20
"""onnxruntime has no RoiAlign of opset 22; the deformable convolution begins at 19."""
EXAMPLE = (96, 160)
"""Height and width of the image that the exporter traces; any multiples of 32 that differ."""


def dense_graph(network: PanopticNetwork) -> ModelProto:
    """`dense.onnx`: from an image to the cues."""
    pixels = torch.rand(1, 3, *EXAMPLE, generator=torch.Generator().manual_seed(0))
    rows, columns = (Dim(name, min=1, max=2**16) for name in ("rows", "columns"))
    arguments = {"pixels": pixels, "size": torch.tensor(EXAMPLE)}
    dynamic = {"pixels": {2: MULTIPLE * rows, 3: MULTIPLE * columns}, "size": {}}
    return _converted(DenseGraph(network), arguments, dynamic)


def head_graph(network: PanopticNetwork) -> ModelProto:
    """`head.onnx`: from the cues to Psi and P."""
    head, stride = network.potential, network.potential.stride
    # Where Q is coarser it covers more than V here: if they fitted, torch.export would take them to do so always.
    more = 0 if stride == P2_STRIDE else 3
    height, width = (side // stride for side in EXAMPLE)
    classes = network.semantic.out_channels
    # Two detections or more: torch.export takes a length of 0 or 1 for one that never changes.
    count = 3
    arguments = {
        "semantic": torch.randn(classes, height, width),
        "boxes": torch.tensor([[4.0, 4.0, 40.0, 60.0]]).repeat(count, 1),
        "scores": torch.linspace(0.5, 0.9, count),
        "classes": torch.arange(count) % head.num_things,
    }
    dynamic: dict[str, Any] = {"semantic": {1: Dim.AUTO, 2: Dim.AUTO}}
    mask_predictor = getattr(network.detection, "mask_predictor", None)
    if mask_predictor is not None:
        arguments["masks"] = torch.randn(count, 28, 28)
    many = Dim("detections", min=0, max=2**16)
    dynamic |= {name: {0: many} for name in arguments if name != "semantic"}
    if "masks" in arguments:
        side = Dim("mask_size", min=2, max=1024)
        dynamic["masks"] |= {1: side, 2: side}
    if network.affinity is not None:
        channels = network.affinity.phi0.out_channels
        for name in ("phi0", "phi1"):
            arguments[name] = torch.randn(channels, *(side // P2_STRIDE + more for side in EXAMPLE))
            dynamic[name] = {1: Dim.AUTO, 2: Dim.AUTO}
    return _converted(HeadGraph(network), arguments, dynamic)


def mask_graph(network: PanopticNetwork) -> ModelProto | None:
    """`masks.onnx`: from the backbone's levels and boxes to masks; None without a mask head."""
    detector = network.detection
    if not isinstance(detector, DetectionHead) or detector.mask_pool is None:
        return None
    with torch.no_grad():
        levels = network.backbone(torch.rand(1, 3, *EXAMPLE, generator=torch.Generator().manual_seed(0)))
    arguments = {name: levels[name] for name in LEVELS}
    dynamic: dict[str, Any] = {name: {2: Dim.AUTO, 3: Dim.AUTO} for name in LEVELS}
    arguments["boxes"] = torch.tensor([[4.0, 4.0, 40.0, 60.0]]).repeat(3, 1)  # two or more, as in `head_graph`
    arguments["classes"] = torch.arange(3) % network.potential.num_things
    many = Dim("boxes", min=0, max=2**16)
    dynamic |= {"boxes": {0: many}, "classes": {0: many}}
    return _converted(MaskGraph(network), arguments, dynamic)


def _converted(module: nn.Module, arguments: dict[str, Tensor], dynamic: dict[str, Any]) -> ModelProto:
    module = module.eval()
    with torch.no_grad(), _silence(), padded_by_whole_strides():
        names = list(module(**arguments))
        program = torch.export.export(module, (), arguments, dynamic_shapes=dynamic, strict=False)
        made = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, output_names=names, optimize=False, verbose=False
        )
    assert made is not None
    model = made.model_proto
    replace_sequences(model.graph)
    drop_zero_biases(model.graph)
    _forget_the_source(model)
    return model


def _forget_the_source(model: ModelProto) -> None:
    """Drop what the exporter notes of the Python code: its paths, and a stack trace for each node."""
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output, graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]


@contextlib.contextmanager
def _silence() -> Generator[None]:
    """The exporter reports its steps and its deprecations, which are none of the user's business."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
