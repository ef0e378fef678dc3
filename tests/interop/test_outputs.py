"""Readers of other libraries' outputs: torchvision runs here, the others are arrays in the form that they document."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection import FCOS, FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

import unipan
from unipan.any_detector.checks import numbered_categories
from unipan.interop.outputs import (
    DetectionArrays,
    boxes_of_masks,
    mask_logits,
    read_mask_queries,
    read_rfdetr,
    read_torchvision,
    read_torchvision_one_stage,
    read_transformers_boxes,
    read_transformers_panoptic,
    read_ultralytics,
)

H, W = 40, 56
CATEGORIES = numbered_categories(3, 2)


class Strided(torch.nn.Module):
    """The least backbone: one map at stride 8."""

    out_channels = 32

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 32, 8, stride=8)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.conv(images)
        return output


def torchvision_output(name: str) -> dict[str, Tensor]:
    """What an untrained detector of torchvision finds in noise."""
    torch.manual_seed(0)
    sizes = {"min_size": H, "max_size": W, "num_classes": 4}
    anchors = AnchorGenerator(((8, 16),), ((1.0,),))
    pools = {key: MultiScaleRoIAlign(["0"], side, 2) for key, side in (("box_roi_pool", 7), ("mask_roi_pool", 14))}
    two = {"rpn_anchor_generator": anchors, "box_score_thresh": 0.0, "box_detections_per_img": 6}
    one = {"anchor_generator": anchors, "score_thresh": 0.0, "detections_per_img": 6}
    match name:
        case "faster":
            model: torch.nn.Module = FasterRCNN(Strided(), **sizes, **two, box_roi_pool=pools["box_roi_pool"])
        case "mask":
            model = MaskRCNN(Strided(), **sizes, **two, **pools)
        case "retina":
            model = RetinaNet(Strided(), **sizes, **one)
        case _:
            one["anchor_generator"] = AnchorGenerator(((8,),), ((1.0,),))
            model = FCOS(Strided(), **sizes, **one)
    with torch.no_grad():
        [output] = model.eval()([torch.rand(3, H, W)])
    found: dict[str, Tensor] = output
    return found


def semantic(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(5, H, W)).astype(np.float32)


def fused(found: DetectionArrays, **options: Any) -> unipan.PanopticResult:
    result = unipan.fuse(semantic(), **found, categories=CATEGORIES, score_threshold=0.0, **options)
    assert result.ids.shape == (H, W)
    assert result.ids.any()
    return result


@pytest.mark.parametrize("name", ["faster", "mask"])
def test_the_two_stage_detectors_of_torchvision(name: str) -> None:
    output = torchvision_output(name)
    found = read_torchvision(output)
    assert len(found["boxes"]) == len(output["boxes"]) > 0
    np.testing.assert_array_equal(found["classes"], output["labels"].numpy() - 1)
    assert (found["masks"] is not None) == found["whole_masks"] == (name == "mask")
    if found["masks"] is not None:
        sure = output["masks"][:, 0].numpy() > 0.5
        np.testing.assert_array_equal(found["masks"] > 0, sure)
        fused(found, fusion="heuristic")
    fused(found)


@pytest.mark.parametrize("name", ["retina", "fcos"])
def test_the_one_stage_detectors_of_torchvision(name: str) -> None:
    output = torchvision_output(name)
    boxes = output["boxes"]
    # They have no background class: 4 labels, of which our data has 3. FCOS clips boxes until nothing is left.
    kept = (output["labels"] < 3) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    found = read_torchvision_one_stage(output, {0: 0, 1: 1, 2: 2})
    np.testing.assert_array_equal(found["boxes"], output["boxes"][kept].numpy())
    np.testing.assert_array_equal(found["classes"], output["labels"][kept].numpy())
    fused(found)


def test_labels_without_a_class_are_dropped() -> None:
    output = {"boxes": [[0, 0, 8, 8], [4, 4, 20, 20]], "scores": [0.9, 0.8], "labels": [17, 3]}
    found = read_torchvision(output, {17: 2})
    assert found["classes"].tolist() == [2]
    assert found["boxes"].tolist() == [[0, 0, 8, 8]]
    nothing = read_torchvision({"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0)})
    assert {segment.isthing for segment in fused(nothing)} == {False}


def test_transformers_boxes_and_rfdetr_are_the_same_detections() -> None:
    boxes, scores, labels = torch.tensor([[3.0, 2, 20, 30], [10, 8, 50, 39]]), torch.tensor([0.9, 0.6]), [1, 2]
    mask = np.zeros((2, H, W), bool)
    mask[0, 2:30, 3:20], mask[1, 8:39, 10:50] = True, True
    detr = read_transformers_boxes({"boxes": boxes, "scores": scores, "labels": torch.tensor(labels)})
    told = SimpleNamespace(xyxy=boxes.numpy(), confidence=scores.numpy(), class_id=np.array(labels), mask=mask)
    rfdetr = read_rfdetr(told)
    for key in ("boxes", "scores", "classes"):
        np.testing.assert_array_equal(detr[key], rfdetr[key])  # type: ignore[literal-required]
    without = read_rfdetr(
        SimpleNamespace(xyxy=told.xyxy, confidence=told.confidence, class_id=told.class_id, mask=None)
    )
    assert without["masks"] is None
    fused(detr)
    result = fused(rfdetr, fusion="heuristic")
    assert result.ids[20, 15] == 1


def test_relative_boxes_of_transformers_are_refused() -> None:
    output = {"scores": [0.9], "labels": [0], "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    with pytest.raises(ValueError, match=r"transformers: all boxes lie within 0\.\.1, so they are relative"):
        read_transformers_boxes(output)


def test_ultralytics_arrays() -> None:
    """As recorded: float32, columns x0 y0 x1 y1 score class, masks of 0 and 1 at the image's size."""
    boxes = np.array([[3, 2, 20, 30, 0.9, 1], [10, 8, 50, 39, 0.6, 0]], np.float32)
    masks = np.zeros((2, H, W), np.float32)
    masks[0, 2:30, 3:20], masks[1, 8:39, 10:50] = 1, 1
    found = read_ultralytics(boxes, masks)
    assert found["classes"].tolist() == [1, 0]
    assert found["scores"].tolist() == pytest.approx([0.9, 0.6])
    assert fused(found, fusion="heuristic").ids[35, 45] == 2
    tracked = np.insert(boxes, 4, [7, 9], axis=1)
    assert read_ultralytics(tracked)["scores"].tolist() == pytest.approx([0.9, 0.6])
    with pytest.raises(ValueError, match="ultralytics"):
        read_ultralytics(boxes[:, :5])


@pytest.mark.parametrize(("first", "void"), [(0, -1), (1, 0)])
def test_transformers_panoptic_results(first: int, void: int) -> None:
    """EoMT counts from 0 with void -1; DETR, MaskFormer and Mask2Former from 1 with void 0."""
    segmentation = torch.full((4, 6), float(void))
    segmentation[:2], segmentation[2:, :3] = first, first + 1
    segmentation[3, 5] = first + 3
    rows = [
        {"id": first, "label_id": 3, "was_fused": False, "score": 0.7},
        {"id": first + 1, "label_id": 0, "was_fused": False, "score": 0.9},
        {"id": first + 2, "label_id": 1, "was_fused": False, "score": 0.8},  # wholly covered
        {"id": first + 3, "label_id": 3, "was_fused": False, "score": 0.75},
    ]
    found = read_transformers_panoptic({"segmentation": segmentation, "segments_info": rows}, CATEGORIES)
    assert [(s.category.name, s.area) for s in found] == [("stuff 0", 13), ("thing 0", 6)]
    assert [s.score for s in found] == pytest.approx([0.75, 0.9])
    assert (found.ids == 0).sum() == 5
    empty = {"segmentation": torch.full((4, 6), -1), "segments_info": []}
    assert len(read_transformers_panoptic(empty, CATEGORIES)) == 0


def test_transformers_ids_that_stand_for_two_segments_are_refused() -> None:
    """After stuff is merged, Mask2Former's post-processing counts on from that stuff's id."""
    rows = [
        {"id": 1, "label_id": 3, "score": 0.9},
        {"id": 2, "label_id": 0, "score": 0.9},
        {"id": 1, "label_id": 3, "score": 0.8},
        {"id": 2, "label_id": 0, "score": 0.7},
    ]
    output = {"segmentation": np.array([[1, 2]]), "segments_info": rows}
    with pytest.raises(ValueError, match="label_ids_to_fuse"):
        read_transformers_panoptic(output, CATEGORIES)
    merged = read_transformers_panoptic({**output, "segments_info": rows[:3]}, CATEGORIES)
    assert [segment.category.name for segment in merged] == ["stuff 0", "thing 0"]


def test_mask_queries_are_semantic_logits_and_detections() -> None:
    """The semantic map is that of the library's own inference: class probability x mask probability, summed."""
    g = torch.Generator().manual_seed(0)
    classes, masks = torch.randn(7, 6, generator=g) * 3, torch.randn(7, 10, 14, generator=g) * 4
    v, found = read_mask_queries(classes, masks, [1, 2, 4], [0, 3], (H, W))
    expected = torch.einsum("qc,qhw->chw", classes.softmax(1)[:, [1, 2, 4, 0, 3]], masks.sigmoid())
    np.testing.assert_allclose(np.exp(v), expected.numpy(), rtol=1e-4)
    best = classes.argmax(1)
    things = [index for index, label in enumerate(best.tolist()) if label in (1, 2, 4)]
    assert found["classes"].tolist() == [[1, 2, 4].index(int(best[index])) for index in things]
    assert len(things) > 1
    result = unipan.fuse(v, **found, categories=CATEGORIES, size=(H, W), score_threshold=0.3)
    assert any(segment.isthing for segment in result)


def test_empty_boxes_are_dropped() -> None:
    output = {"boxes": [[4, 4, 4, 9], [4, 4, 20, 20]], "scores": [0.9, 0.8], "labels": [1, 2]}
    assert read_torchvision(output)["classes"].tolist() == [1]


def test_boxes_of_masks() -> None:
    masks = np.full((2, 10, 14), -1.0)
    masks[0, 2:4, 3:7] = 1
    assert boxes_of_masks(masks, H, W).tolist() == [[12, 8, 28, 16], [0, 0, W, H]]


def test_logits_of_probabilities_are_finite() -> None:
    logits = mask_logits([0.0, 0.25, 1.0])
    assert np.isfinite(logits).all()
    assert logits[1] == pytest.approx(np.log(1 / 3))
    assert logits[0] == pytest.approx(-logits[2], rel=1e-3)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"boxes": [[0, 0, 1, 1]], "scores": [1.0]}, "labels"),
        ({"boxes": [[0, 0, 1, 1]], "scores": [1.0, 0.5], "labels": [1]}, "2 scores for 1 boxes"),
        ({"boxes": [[0, 0, 1, 1]], "scores": [1.0], "labels": [1], "masks": np.zeros((2, 1, 4, 4))}, "2 masks"),
        ({}, "nothing"),
    ],
)
def test_incomplete_outputs(output: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_torchvision(output)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"segmentation": np.zeros((2, 2))}, "segments_info"),
        ({"segmentation": np.zeros((1, 2, 2)), "segments_info": []}, "one image"),
        ({"segmentation": np.zeros((2, 2)), "segments_info": [{"id": 0, "label_id": 77}]}, "label 77"),
    ],
)
def test_incomplete_panoptic_results(output: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_transformers_panoptic(output, CATEGORIES)
