"""Converted graphs in onnxruntime give what the modules give: every variant, 0, 1 and 100 detections, four sizes."""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from tests.export.test_detection import network_of
from tests.export.test_wrappers import configured
from tests.tiny import T, image_batch, random_detections
from unipan.export.convert import dense_graph, head_graph, mask_graph
from unipan.export.wrappers import DenseGraph, HeadGraph, MaskGraph
from unipan.models.network import PanopticNetwork
from unipan.models.parts import LEVELS

pytestmark = pytest.mark.usefixtures("no_type_checks")
"""The shapes of what torch.export traces are symbols, which jaxtyping would compare, and so fix."""

HEADS: dict[str, dict[str, object]] = {
    "B with masks": {},
    "A with masks and void, gelu": {
        "potential.variant": "A",
        "potential.void_channel": True,
        "affinity.activation": "gelu",
        "affinity.normalise": "none",
    },
    "A without masks": {"potential.variant": "A", "detection.masks": False},
    "B without masks": {"detection.masks": False},
    "C without masks, rope on a finer grid": {
        "potential.variant": "C",
        "detection.masks": False,
        "decoder.stride": 2,
        "affinity.rope": 1,
    },
    "C with masks, softmax, d = 1": {
        "potential.variant": "C",
        "decoder.stride": 1,
        "affinity.normalise": "softmax",
        "affinity.activation": "elu",
    },
}
DENSE: dict[str, dict[str, object]] = {
    "plain, masks, rope": {"decoder.stride": 2, "affinity.rope": 1},
    "deformable, no masks": {
        "decoder.deformable": True,
        "detection.masks": False,
        "detection.roi_aligned": True,
        "detection.exact_anchors": True,
        "affinity.positional_encoding": 2,
    },
    "deformable, masks": {"decoder.deformable": True},
    "a backbone of timm, masks": {"backbone.network": "test_efficientnet"},
}
MANY: dict[str, object] = {
    "detection.max_detections": 100,
    "detection.rpn_pre_nms": (200, 200),
    "detection.rpn_post_nms": (200, 200),
    "detection.nms_threshold": 0.9,
    "detection.score_threshold": 0.42,
}
"""With these an image of 2 x 2 pixels has one detection, and a larger one as many as there may be."""
MASKS: dict[str, dict[str, object]] = {
    "RoIAlign of torchvision": {},
    "aligned, boxes of every level": {"detection.roi_aligned": True, "detection.roi_canonical": 24},
}
SIZES = [(64, 96), (96, 64), (32, 32), (128, 224)]


def session(graph: object) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])  # type: ignore[attr-defined]


def run(opened: ort.InferenceSession, given: dict[str, Tensor]) -> dict[str, np.ndarray]:
    wanted = {each.name: given[each.name].numpy() for each in opened.get_inputs()}
    return dict(zip([each.name for each in opened.get_outputs()], opened.run(None, wanted), strict=True))


@cache
def head_of(name: str) -> tuple[PanopticNetwork, ort.InferenceSession]:
    network = network_of(configured(HEADS[name]))
    return network, session(head_graph(network))


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("size", [(64, 96), (61, 83), (4, 8), (130, 258)])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_the_head(name: str, size: tuple[int, int], count: int) -> None:
    network, opened = head_of(name)
    stride = network.potential.stride
    generator = torch.Generator().manual_seed(count)
    height, width = (-(-side // stride) for side in size)
    a, b = (-(-side // 4) for side in size)
    found = random_detections(count, masks=network.detection.mask_pool is not None)  # type: ignore[union-attr]
    cues = {
        "semantic": torch.randn(T + 2, height, width, generator=generator),
        "boxes": found.boxes,
        "scores": found.scores,
        "classes": found.classes,
        **({} if found.masks is None else {"masks": found.masks}),
        **{name: torch.rand(8, a, b, generator=generator) for name in ("phi0", "phi1")},
    }
    with torch.no_grad():
        expected = HeadGraph(network)(**cues)
    made = run(opened, cues)
    assert made.keys() == expected.keys()
    for each, value in expected.items():
        assert made[each].shape == tuple(value.shape)
        scale = max(float(value.abs().max()), 1.0) if value.numel() else 1.0
        np.testing.assert_allclose(made[each], value.numpy(), atol=2e-5 * scale, err_msg=each)


def test_the_head_of_a_network_with_another_detector() -> None:
    network, known = head_of("B without masks")
    found = random_detections(2, masks=False)
    given = {"semantic": torch.randn(T + 2, 16, 24), "boxes": found.boxes, "scores": found.scores}
    given |= {"classes": found.classes, "phi0": torch.rand(8, 16, 24), "phi1": torch.rand(8, 16, 24)}
    other = copy.copy(network)
    other._modules = {**network._modules, "detection": nn.Identity()}
    made, expected = run(session(head_graph(other)), given), run(known, given)
    assert np.array_equal(made["panoptic"], expected["panoptic"])


@cache
def dense_of(name: str) -> tuple[PanopticNetwork, ort.InferenceSession]:
    network = network_of(configured(DENSE[name]))
    return network, session(dense_graph(network))


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", [(0, 0), (9, 20)])
def test_the_dense_part(name: str, size: tuple[int, int], padding: tuple[int, int]) -> None:
    network, opened = dense_of(name)
    pixels = image_batch(1, seed=sum(size), size=size).pixels
    real = torch.tensor([size[0] - padding[0], size[1] - padding[1]])
    with torch.no_grad():
        expected = DenseGraph(network)(pixels, real)
    made = run(opened, {"pixels": pixels, "size": real})
    assert made.keys() == expected.keys()
    assert len(expected["boxes"]) > 0
    for each in ("semantic", "phi0", "phi1"):
        scale = max(float(expected[each].abs().max()), 1.0)
        np.testing.assert_allclose(made[each], expected[each].numpy(), atol=1e-4 * scale, err_msg=each)
    # Scores of an untrained network tie within rounding: the boxes are the same, perhaps in another order.
    order = np.lexsort(made["boxes"].round(2).T), np.lexsort(expected["boxes"].numpy().round(2).T)
    for each in ("boxes", "scores", "classes", *(["masks"] if "masks" in expected else [])):
        np.testing.assert_allclose(made[each][order[0]], expected[each].numpy()[order[1]], atol=2e-3, err_msg=each)


def test_one_detection_and_a_hundred() -> None:
    network = network_of(configured(MANY))
    opened, pixels = session(dense_graph(network)), image_batch(1, seed=1, size=(128, 224)).pixels
    for size, count in (((2, 2), 1), ((128, 224), 100)):
        with torch.no_grad():
            expected = DenseGraph(network)(pixels, torch.tensor(size))
        made = run(opened, {"pixels": pixels, "size": torch.tensor(size)})
        assert len(made["boxes"]) == len(expected["boxes"]) == count
        for each in ("boxes", "scores", "classes", "masks"):
            np.testing.assert_allclose(made[each], expected[each].numpy(), atol=2e-3, err_msg=each)


@cache
def masks_of(name: str) -> tuple[PanopticNetwork, ort.InferenceSession]:
    network = network_of(configured(MASKS[name]))
    return network, session(mask_graph(network))


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_the_masks_of_any_boxes(name: str, size: tuple[int, int], count: int) -> None:
    network, opened = masks_of(name)
    with torch.no_grad():
        levels = network.backbone(image_batch(1, seed=count, size=size).pixels)
        found = random_detections(count, seed=count)
        given = {each: levels[each] for each in LEVELS} | {"boxes": found.boxes, "classes": found.classes}
        expected = MaskGraph(network)(**given)["masks"]
        [reference] = network.detection.masks(levels, [found.boxes], [found.classes])
    made = run(opened, given)["masks"]
    assert made.shape == tuple(expected.shape) == (count, 28, 28)
    np.testing.assert_allclose(made, expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(made, reference.numpy(), atol=1e-4)


def test_a_network_without_masks_has_no_graph_for_them() -> None:
    assert mask_graph(network_of(configured(DENSE["deformable, no masks"]))) is None


def test_nothing_is_found_where_nothing_is_certain() -> None:
    config = configured(DENSE["plain, masks, rope"])
    network = network_of(replace(config, detection=replace(config.detection, score_threshold=0.99)))
    opened = session(dense_graph(network))
    made = run(opened, {"pixels": image_batch(1).pixels, "size": torch.tensor([64, 96])})
    assert made["boxes"].shape == (0, 4)
    assert made["masks"].shape == (0, 28, 28)
    assert np.isfinite(made["semantic"]).all()


def test_a_graph_names_no_file_of_the_machine_that_made_it() -> None:
    graph = head_graph(network_of(configured({})))
    assert b".py" not in graph.SerializeToString()
    assert {each.version for each in graph.opset_import} == {20}
