"""The detection submodule: the same detections in training as at test, and a gradient for every parameter always."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import box_iou

from tests.tiny import HEIGHT, WIDTH, T, eager, image_batch, square_target, tiny_config
from unipan.build import build_detection
from unipan.models.detection import head as detection
from unipan.models.detection.head import DetectionHead
from unipan.structures import Detections, ImageBatch

LEVELS = {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64}


def head_of(use_gt_boxes: bool = False, **changes: object) -> DetectionHead:
    torch.manual_seed(0)
    base = eager(tiny_config())
    config = replace(
        base,
        backbone=replace(base.backbone, fpn_channels=16),
        detection=replace(base.detection, **changes),  # type: ignore[arg-type]
        matching=replace(base.matching, use_gt_boxes=use_gt_boxes),
    )
    return build_detection(config, T)


def features_of(count: int = 1, size: tuple[int, int] = (HEIGHT, WIDTH), seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(count, 16, -(-size[0] // stride), -(-size[1] // stride), generator=g)
        for level, stride in LEVELS.items()
    }


def same(first: Detections, second: Detections) -> bool:
    parts = [(first.boxes, second.boxes), (first.scores, second.scores), (first.classes, second.classes)]
    if first.masks is not None and second.masks is not None:
        parts.append((first.masks, second.masks))
    return len(first) == len(second) and all(torch.allclose(a, b, atol=1e-5) for a, b in parts)


def test_training_predicts_what_the_test_predicts() -> None:
    head, features, images = head_of(), features_of(2), image_batch(2)
    found, losses = head.train()(features, images, [square_target(), square_target(things=False)])
    tested, nothing = head.eval()(features, images)
    assert set(losses) == {"rpn_objectness", "rpn_box", "box_class", "box_regression", "mask"}
    assert nothing == {}
    for trained, at_test in zip(found, tested, strict=True):
        assert len(trained) > 0
        assert same(trained, at_test)
    # With targets but in evaluation mode (validation losses) nothing is sampled either.
    checked, nothing = head(features, images, [square_target(), square_target()])
    assert nothing == {}
    assert same(checked[0], tested[0])


def test_detections_are_sorted_clipped_suppressed_and_of_thing_classes() -> None:
    head = head_of(max_detections=100, rpn_post_nms=(60, 60), rpn_pre_nms=(80, 80)).eval()
    found = head(features_of(), image_batch())[0][0]
    assert (found.scores[1:] <= found.scores[:-1]).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 0::2] <= WIDTH).all()
    assert (found.boxes[:, 1::2] <= HEIGHT).all()
    assert set(found.classes.unique().tolist()) <= set(range(T))
    for label in range(T):
        iou = box_iou(found.boxes[found.classes == label], found.boxes[found.classes == label])
        assert (iou.fill_diagonal_(0) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("most", [0, 1, 100, 400])
def test_any_limit_of_detections(most: int, masks: bool) -> None:
    head = head_of(masks=masks, max_detections=most, rpn_pre_nms=(300, 300), rpn_post_nms=(300, 300), nms_threshold=1.0)
    found, losses = head.train()(features_of(), image_batch(), [square_target()])
    assert len(found[0]) == min(most, 400)
    assert (found[0].masks is None) == (not masks)
    total = sum(losses.values()) + found[0].scores.sum()
    assert isinstance(total, Tensor)
    total.backward()
    assert all(p.grad is not None for p in head.parameters())


def test_scores_teach_the_box_predictor_and_masks_the_mask_head() -> None:
    head = head_of().train()
    features = {level: f.requires_grad_() for level, f in features_of().items()}
    found = head(features, image_batch(), [square_target()])[0][0]
    assert not found.boxes.requires_grad
    found.scores.sum().backward(retain_graph=True)
    weight = head.roi.box_predictor.cls_score.weight
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
    assert (
        head.roi.box_predictor.bbox_pred.weight.grad is None or not head.roi.box_predictor.bbox_pred.weight.grad.any()
    )
    assert all(p.grad is None for p in head.rpn.parameters())
    assert found.masks is not None
    found.masks.pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in head.mask_head.parameters() if p.ndim > 1)
    assert features["p2"].grad is not None


def test_ground_truth_can_be_fed_instead() -> None:
    """Table H, upper row."""
    head, wanted = head_of(use_gt_boxes=True).train(), square_target()
    found = head(features_of(), image_batch(), [wanted])[0][0]
    assert torch.equal(found.boxes, wanted.boxes)
    assert torch.equal(found.classes, wanted.classes)
    assert (found.scores == 1).all()
    assert found.masks is not None
    assert found.masks.requires_grad
    assert len(head(features_of(), image_batch(), [square_target(things=False)])[0][0]) == 0
    assert not torch.equal(head.eval()(features_of(), image_batch())[0][0].scores, found.scores)  # in training alone


@pytest.mark.parametrize("kind", ["normal", "no thing", "void"])
@pytest.mark.parametrize("masks", [True, False])
def test_every_parameter_gets_a_gradient(kind: str, masks: bool) -> None:
    wanted = square_target(void=kind == "void", things=kind == "normal")
    head = head_of(masks=masks).train()
    _, losses = head(features_of(), image_batch(), [wanted])
    total = sum(losses.values())
    assert isinstance(total, Tensor)
    total.backward()
    assert total.isfinite()
    assert [name for name, p in head.named_parameters() if p.grad is None] == []


class Known(nn.Module):
    """A box predictor that says the same of every proposal: background, then T classes; boxes stay or shift."""

    def __init__(self, logits: list[float], deltas: Tensor) -> None:
        super().__init__()
        self.logits, self.deltas = torch.tensor(logits), deltas

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits.expand(len(x), -1), self.deltas.flatten().expand(len(x), -1)


def test_background_is_torchvisions_class_0_and_stays_inside() -> None:
    head = head_of(nms_threshold=0.5).eval()
    deltas = torch.zeros(T + 1, 4)
    deltas[2, 0] = 5.0  # class-specific boxes: thing 1 (torchvision's 2) moves right by 5 / 10 of its width
    head.roi.box_predictor = Known([0.0, 3.0, 1.0], deltas)
    proposal = torch.tensor([[10, 10, 30, 40]]).float()
    with torch.no_grad():
        found = head.detect(features_of(), [proposal], [(HEIGHT, WIDTH)])[0]
    chance = torch.tensor([0.0, 3.0, 1.0]).softmax(0)
    assert found.classes.tolist() == [0, 1]
    torch.testing.assert_close(found.scores, chance[1:])
    torch.testing.assert_close(found.boxes, torch.tensor([[10, 10, 30, 40], [20, 10, 40, 40]]).float())


def test_masks_are_of_the_predicted_class() -> None:
    head = head_of().eval()
    boxes = [torch.tensor([[10, 10, 30, 40], [10, 10, 30, 40]]).float()]
    with torch.no_grad():
        (masks,) = head.masks(features_of(), boxes, [torch.tensor([0, 1])])
        head.mask_predictor.mask_fcn_logits.weight[1] = 0
        head.mask_predictor.mask_fcn_logits.bias[1] = 7
        (changed,) = head.masks(features_of(), boxes, [torch.tensor([0, 1])])
    assert masks is not None
    assert changed is not None
    assert torch.equal(masks[0], changed[0])
    assert (changed[1] == 7).all()


@pytest.mark.parametrize("size", [2, 8])
def test_masks_have_as_many_cells_as_asked_in_training_and_at_test(size: int) -> None:
    head = head_of(mask_size=size).train()
    found, losses = head(features_of(), image_batch(1), [square_target()])
    assert found[0].masks is not None
    assert found[0].masks.shape == (len(found[0]), size, size)
    losses["mask"].backward()
    assert head.mask_predictor.conv5_mask.weight.grad.abs().sum() > 0


def test_no_proposal_gives_no_detection() -> None:
    head = head_of().eval()
    found = head.detect(features_of(2), [torch.zeros(0, 4)] * 2, [(HEIGHT, WIDTH)] * 2)
    assert [len(each) for each in found] == [0, 0]
    assert found[0].masks is not None
    assert found[0].masks.shape == (0, 28, 28)
    some = head.detect(features_of(2), [torch.zeros(0, 4), torch.tensor([[0, 0, 9, 9]]).float()], [(HEIGHT, WIDTH)] * 2)
    assert len(some[0]) == 0
    assert len(some[1]) > 0


def test_low_scores_are_dropped_in_training_too() -> None:
    head = head_of(score_threshold=0.999).train()
    assert len(head(features_of(), image_batch(), [square_target()])[0][0]) == 0


def test_a_small_image_in_much_padding_does_not_change_the_pooling() -> None:
    """torchvision's RoIAlign infers its strides at the first image that it sees, unless it is told."""
    used, fresh = head_of().eval(), head_of().eval()
    small = ImageBatch(torch.rand(1, 3, 32, 32), [(5, 3)], ["small"])
    with torch.no_grad():
        used(features_of(size=(32, 32)), small)
        used(features_of(size=(33, 33)), ImageBatch(torch.rand(1, 3, 33, 33), [(33, 33)], ["odd"]))
        assert used.roi.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
        assert same(used(features_of(), image_batch())[0][0], fresh(features_of(), image_batch())[0][0])


def test_each_image_of_a_batch_by_itself() -> None:
    head = head_of().eval()
    features = features_of(3)
    with torch.no_grad():
        together = head(features, image_batch(3))[0]
        for row in range(3):
            alone = head({level: f[row : row + 1] for level, f in features.items()}, image_batch(1))[0][0]
            assert same(together[row], alone)


def test_boxes_and_their_targets_stay_in_32_bits_under_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    head, seen = head_of().train(), {}

    def watched(logits: Tensor, deltas: Tensor, labels: list[Tensor], targets: list[Tensor]) -> tuple[Tensor, Tensor]:
        seen["targets"] = targets[0]
        return fastrcnn_loss(logits, deltas, labels, targets)

    monkeypatch.setattr(detection, "fastrcnn_loss", watched)
    head.rpn.register_forward_hook(lambda *call: seen.update(proposals=call[-1][0][0]))
    features = {level: f.bfloat16() for level, f in features_of().items()}
    with torch.autocast("cpu", torch.bfloat16):
        found, losses = head(features, image_batch(), [square_target()])
    seen["boxes"] = found[0].boxes
    assert {name: each.dtype for name, each in seen.items()} == dict.fromkeys(seen, torch.float32)
    assert len(seen) == 3
    assert all(term.dtype == torch.float32 for term in losses.values())


def test_bf16_moves_proposals_by_a_fraction_of_a_pixel() -> None:
    """Anchors or boxes in bf16 would lie on every second pixel from 256 on, on every fourth from 512 on."""
    size, everything = (32, 768), (4000, 4000)
    sides = (10, 18, 26, 34, 66)  # so that no anchor lies on fourth pixels by itself
    head = head_of(anchor_sizes=sides, rpn_pre_nms=everything, rpn_post_nms=everything).eval()
    head.rpn.nms_thresh = 1.0  # else the order of nearly equal scores decides which ones stay
    proposals: list[Tensor] = []
    head.rpn.register_forward_hook(lambda *call: proposals.append(call[-1][0][0]))
    features = {level: f.bfloat16() for level, f in features_of(size=size).items()}
    with torch.no_grad():
        head.rpn.head.bbox_pred.weight *= 10
        head({level: f.float() for level, f in features.items()}, image_batch(size=size))
        with torch.autocast("cpu", torch.bfloat16):
            head(features, image_batch(size=size))
    exact, found = proposals
    assert len(found) == len(exact) > 1500
    distance = torch.cdist(found, exact, p=torch.inf)
    assert max(distance.amin(0).max(), distance.amin(1).max()) < 0.25
