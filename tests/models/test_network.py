"""Fig. 2 as a whole: from images to P, in training and at test."""

from dataclasses import replace

import pytest
import torch

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, S, T, eager, image_batch, square_target, tiny_config, tiny_network
from unipan.build import build_criterion, build_network
from unipan.config import Config, MatchingConfig
from unipan.models.criterion import panoptic_loss
from unipan.structures import PanopticOutput


def trained(config: Config, kinds: list[str]) -> tuple[torch.nn.Module, PanopticOutput, torch.Tensor]:
    """One backward pass on images of these kinds."""
    network, criterion = tiny_network(config).train(), build_criterion(config)
    wanted = [square_target(void=kind == "void", things=kind == "normal") for kind in kinds]
    output = network(image_batch(len(kinds)), wanted)
    total = criterion.total(criterion(output, wanted))
    total.backward()
    assert total.isfinite()
    return network, output, total


@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("kinds", [["normal", "normal"], ["no thing"], ["void"], ["normal", "no thing", "void"]])
def test_every_parameter_gets_a_gradient(kinds: list[str], masks: bool, threshold: float) -> None:
    """With many detections and with none at all: distributed training waits for every gradient."""
    base = tiny_config(masks)
    config = replace(base, detection=replace(base.detection, score_threshold=threshold))
    network, _, _ = trained(config, kinds)
    missing = [name for name, p in network.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    if kinds == ["normal", "normal"] and threshold == 0:
        dead = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
        assert all("layer" in name or "bn" in name for name in dead), dead


@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_every_variant_trains(variant: str) -> None:
    base = eager(tiny_config())
    trained(replace(base, potential=replace(base.potential, variant=variant)), ["normal", "no thing"])


def test_without_the_affinity_head_p_is_psi() -> None:
    base = tiny_config()
    config = replace(base, affinity=replace(base.affinity, enabled=False), loss=replace(base.loss, panoptic=0.0))
    network, output, _ = trained(config, ["normal"])
    assert output.queries is None
    assert output.panoptic is output.potentials
    # Model C of Table 1 has no panoptic loss: nothing may be left without a gradient there either.
    assert [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None] == []


def test_the_deformable_network_trains() -> None:
    base = tiny_config()
    config = replace(base, decoder=replace(base.decoder, deformable=True, layers=3))
    network, _, _ = trained(config, ["normal", "no thing"])
    offsets = [p for name, p in network.named_parameters() if "offset" in name]
    assert len(offsets) == 2 * 2 * 3
    assert all(p.grad is not None for p in network.parameters())


def test_frozen_parts_have_no_gradient_and_all_others_do() -> None:
    base = tiny_config()
    pretrained = replace(base.backbone, frozen=True, weights="imagenet")
    network, _, _ = trained(replace(base, backbone=pretrained), ["normal"])
    for name, p in network.named_parameters():
        frozen = name.startswith(("backbone.resnet.conv1", "backbone.resnet.layer1"))
        assert p.requires_grad is not frozen
        assert (p.grad is None) is frozen, name
    assert not any("num_batches_tracked" in name for name in network.state_dict())


def test_shapes_of_the_output() -> None:
    network = tiny_network(eager(tiny_config())).eval()
    with torch.no_grad():
        output = network(image_batch(2))
    assert output.semantic.shape == (2, T + S, 16, 24)
    assert output.queries is not None
    assert output.queries.shape == (2, 8, 16, 24)
    assert output.labels is None
    assert output.detection_losses == {}
    for found, psi, p in zip(output.detections, output.potentials, output.panoptic, strict=True):
        assert psi.shape == p.shape == (len(found) + S, 16, 24)
        assert p.isfinite().all()


def test_the_cut_off_holds_at_inference_alone() -> None:
    network = tiny_network(eager(tiny_config())).eval()
    with torch.no_grad():
        candidates = network(image_batch()).candidates[0]
        network.score_threshold = float(candidates.scores.median())
        output = network(image_batch())
    assert 0 < len(output.detections[0]) < len(candidates)
    assert (output.detections[0].scores >= network.score_threshold).all()
    assert len(output.candidates[0]) == len(candidates)
    network.score_threshold = 1.1
    with torch.no_grad():
        assert network(image_batch()).panoptic[0].shape[0] == S
        with_truth = network(image_batch(), [square_target(things=False)])
    assert len(with_truth.detections[0]) == len(candidates)


def test_labels_have_a_channel_of_p_each() -> None:
    _, output, _ = trained(eager(tiny_config()), ["normal", "no thing", "void"])
    assert output.labels is not None
    for labels, p in zip(output.labels, output.panoptic, strict=True):
        assert labels.shape == p.shape[1:]
        assert labels.max() < p.shape[0]


def test_training_and_test_agree_on_psi_and_p() -> None:
    """The point of the paper: what is trained is what is used. Batch norm aside, only the cut-off differs."""
    network = tiny_network(eager(tiny_config()))
    network.train()
    network.backbone.eval()
    output = network(image_batch(), [square_target(things=False)])  # nothing to match: no duplicate leaves
    network.eval()
    network.score_threshold = 0.0
    tested = network(image_batch())
    torch.testing.assert_close(output.panoptic[0], tested.panoptic[0])
    torch.testing.assert_close(output.potentials[0], tested.potentials[0])


def test_the_panoptic_loss_reaches_every_submodule() -> None:
    """Sec. 3: end to end. Of the detector, the scores and the masks; the RPN's boxes have no gradient."""
    config = eager(tiny_config())
    network, criterion = tiny_network(config).train(), build_criterion(config)
    wanted = [square_target()]
    output = network(image_batch(), wanted)
    criterion(output, wanted)["panoptic"].backward()
    alive = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert alive == {"backbone", "semantic", "detection", "affinity", "temperature"}
    assert network.detection.roi.box_predictor.cls_score.weight.grad.any()
    assert all(p.grad is None for p in network.detection.rpn.parameters())


def test_a_part_is_missing_in_the_classes() -> None:
    with pytest.raises(ValueError, match="no stuff class"):
        build_network(tiny_config(), type(CATEGORIES)(CATEGORIES.things))
    with pytest.raises(ValueError, match="no thing class"):
        build_network(tiny_config(), type(CATEGORIES)(CATEGORIES.stuff))


@pytest.mark.parametrize("stride", [2, 1])
def test_a_finer_grid_carries_through_to_the_losses(stride: int) -> None:
    """d of Sec. 3.2 below 4, and the loss on Psi in addition to that on P."""
    config = tiny_config()
    config = replace(
        config,
        decoder=replace(config.decoder, stride=stride),
        matching=MatchingConfig(stride=stride),
        loss=replace(config.loss, potential=0.5),
    )
    network, criterion = tiny_network(config).train(), build_criterion(config)
    targets = [square_target(), square_target(things=False)]
    output = network(image_batch(2), targets)
    assert output.labels is not None
    for psi, p, labels in zip(output.potentials, output.panoptic, output.labels, strict=True):
        assert psi.shape == p.shape
        assert psi.shape[1:] == labels.shape == (HEIGHT // stride, WIDTH // stride)
    terms = criterion(output, targets)
    assert criterion.weights["potential"] == 0.5
    torch.testing.assert_close(terms["potential"], panoptic_loss(output.potentials, output.labels, output.temperature))
    criterion.total(terms).backward()


def test_frozen_from_scratch_is_trained_after_all() -> None:
    base = tiny_config()
    network, _, _ = trained(replace(base, backbone=replace(base.backbone, frozen=True, weights="none")), ["normal"])
    assert all(p.requires_grad for p in network.parameters())
