"""The graphs of an exported network at work on one image: cues, Psi and P, and the masks of any boxes.

Legend: D detections, L classes, C affinity channels, K channels of Psi and P, h w their grid, a b that of Q, m cells
of a mask.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unipan.arrays import Float, Float32, Int64
from unipan.exported.graphs import FEATURES, ExportedGraphs
from unipan.numpy_fusion.psi import Found

Q_STRIDE = 4
"""Pixels of the network's input per cell of Q."""


@dataclass(frozen=True)
class Cues:
    """What `dense.onnx` says of one image, without the cells of the padding.

    Attributes:
        semantic: V before its softmax.
        found: all detections, boxes in pixels of the network's input.
        phi0, phi1: of Q; None without the affinity head.
    """

    semantic: Float[np.ndarray, "L h w"]
    found: Found
    phi0: Float[np.ndarray, "C a b"] | None
    phi1: Float[np.ndarray, "C a b"] | None


def find_cues(graphs: ExportedGraphs, pixels: Float[np.ndarray, "1 3 H W"], size: Int64[np.ndarray, " 2"]) -> Cues:
    """What the network says of one image.

    Args:
        graphs: of the network.
        pixels: RGB in 0..1, padded to multiples of 32; see `network_input`.
        size: height and width of what is no padding.

    Raises:
        ValueError: the graph has another stride than its description.
    """
    names = [each.name for each in graphs.dense.get_outputs() if each.name not in FEATURES]
    made = dict(zip(names, graphs.dense.run(names, {"pixels": pixels, "size": size}), strict=True))
    stride = graphs.config.decoder.stride
    if made["semantic"].shape[1:] != tuple(side // stride for side in pixels.shape[2:]):
        raise ValueError(_misdescribed(f"decoder.stride {stride}"))
    height, width = (-(-int(side) // stride) for side in size)
    a, b = (covered_cells(side, Q_STRIDE // stride) for side in (height, width))
    phi0, phi1 = (made[name][:, :a, :b] if name in made else None for name in ("phi0", "phi1"))
    found = Found(made["boxes"], made["scores"], made["classes"].astype(np.int64), made.get("masks"), whole=False)
    return Cues(made["semantic"][:, :height, :width], found, phi0, phi1)


def find_panoptic(
    graphs: ExportedGraphs, cues: Cues, found: Found
) -> tuple[Float[np.ndarray, "K h w"], Float[np.ndarray, "K h w"]]:
    """Psi and P for these detections; P is Psi in a network without the affinity head.

    Raises:
        ValueError: the graph has other kinds of classes than its description.
    """
    given: dict[str, Any] = {
        "semantic": cues.semantic,
        "boxes": found.boxes,
        "scores": found.scores,
        "classes": found.classes,
        "masks": found.masks,
        "phi0": cues.phi0,
        "phi1": cues.phi1,
    }
    wanted = {each.name: np.ascontiguousarray(given[each.name]) for each in graphs.head.get_inputs()}
    names = [each.name for each in graphs.head.get_outputs()]
    made: dict[str, np.ndarray] = dict(zip(names, graphs.head.run(None, wanted), strict=True))
    potential = made["potential"]
    stuff = len(graphs.categories.stuff) + graphs.config.potential.void_channel
    if len(potential) != len(found) + stuff:
        raise ValueError(_misdescribed(f"{stuff} stuff classes"))
    return potential, made.get("panoptic", potential)


def find_features(
    graphs: ExportedGraphs, pixels: Float[np.ndarray, "1 3 H W"], size: Int64[np.ndarray, " 2"]
) -> dict[str, np.ndarray]:
    """The backbone's levels, from which masks are made; of `dense.onnx` nothing else runs."""
    from onnxruntime import RunOptions

    options = RunOptions()
    options.only_execute_path_to_fetches = True
    levels = graphs.dense.run(list(FEATURES), {"pixels": pixels, "size": size}, options)
    return dict(zip(FEATURES, levels, strict=True))


def find_masks(
    graphs: ExportedGraphs,
    features: dict[str, np.ndarray],
    boxes: Float[np.ndarray, "D 4"],
    classes: Int64[np.ndarray, " D"],
) -> Float32[np.ndarray, "D m m"]:
    """Mask logits of any boxes, in pixels of the network's input."""
    assert graphs.masks is not None
    [masks] = graphs.masks.run(None, {**features, "boxes": boxes, "classes": classes})
    return np.asarray(masks)


def covered_cells(side: int, upsampling: int) -> int:
    """The cells of Q that so many cells of Psi are interpolated from (`InstanceAffinity`); the others are padding."""
    return (2 * side + upsampling - 2) // (2 * upsampling) + 1


def _misdescribed(fact: str) -> str:
    return f"export: its description says {fact}, and the graphs have others; export the checkpoint again"
