"""`PanopticHead`: it learns alone on outputs that are frozen, and its parts are those of the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, S, T, random_detections, square_target
from unipan.any_detector.head import PanopticHead
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.fusion.argmax import decode
from unipan.models.criterion import panoptic_loss
from unipan.models.matching import channel_labels, match
from unipan.panoptic.maps import panoptic_map
from unipan.structures import Detections, Geometry

SIZE = (HEIGHT, WIDTH)


def head_of(**changes: object) -> PanopticHead:
    torch.manual_seed(0)
    sizes = {"in_channels": 6, "num_things": T, "num_stuff": S, "stride": 4, "channels": 8, "width": 8}
    return PanopticHead(**(sizes | changes))  # type: ignore[arg-type]


def outputs(count: int = 2, stride: int = 4, things: int = 5) -> tuple[Tensor, Tensor, list[Detections]]:
    """Features of some stride, V at stride 4 and detections of a frozen detector."""
    g = torch.Generator().manual_seed(1)
    features = torch.randn(count, 6, HEIGHT // stride, WIDTH // stride, generator=g)
    semantic = torch.randn(count, T + S, HEIGHT // 4, WIDTH // 4, generator=g)
    return features, semantic, [random_detections(things, seed=seed) for seed in range(count)]


@pytest.mark.parametrize("stride", [4, 8, 3])
@pytest.mark.parametrize("learn_semantic", [False, True])
def test_every_parameter_learns_and_nothing_else(stride: int, learn_semantic: bool) -> None:
    head = head_of(learn_semantic=learn_semantic)
    features, semantic, detections = outputs(stride=stride)
    losses = head(
        features, None if learn_semantic else semantic, detections, [square_target(), square_target(things=False)]
    )
    assert set(losses) == ({"panoptic", "semantic"} if learn_semantic else {"panoptic"})
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert head.affinity.phi0.weight.grad.any()  # type: ignore[union-attr]
    assert features.grad is None


def test_a_gradient_reaches_a_detector_that_is_not_frozen() -> None:
    features, semantic, detections = outputs(things=0)
    scores = torch.tensor([0.9, 0.6], requires_grad=True)
    boxes = torch.tensor([[8.0, 8, 36, 32], [56, 24, 84, 48]])
    detections[0] = Detections(boxes, scores, torch.tensor([0, 1]))
    head_of()(features, semantic, detections, [square_target()] * 2)["panoptic"].backward()
    assert scores.grad.any()  # type: ignore[union-attr]


def test_the_loss_is_that_of_the_network() -> None:
    head, target = head_of(), square_target()
    features, semantic, detections = outputs(1)
    kept, rows = match(detections[0], target, 0.5)
    psi = head.potential(semantic[0], kept)
    p = head.affinity(psi, head.affinity.extractor(features)[0])
    labels = channel_labels(target, rows, T, SIZE, 4)
    expected = panoptic_loss([p], [labels], head.temperature)
    torch.testing.assert_close(head(features, semantic, detections, [target])["panoptic"], expected)


@torch.no_grad()
def test_the_output_and_its_maps() -> None:
    head = head_of(score_threshold=0.4)
    features, semantic, detections = outputs()
    output = head(features, semantic, detections)
    entering = [int((found.scores >= 0.4).sum()) for found in detections]
    assert [p.shape[0] for p in output.panoptic] == [count + S for count in entering]
    for fusion, channels in (("affinity", output.panoptic), ("potential", output.potentials)):
        maps = head.results(output, CATEGORIES, [SIZE] * 2, fusion)
        expected = decode(channels[1], output.detections[1], CATEGORIES, Geometry(SIZE, SIZE, 4), temperature=10.0)
        np.testing.assert_array_equal(maps[1].ids, expected.ids)
    [larger, _] = head.results(output, CATEGORIES, [SIZE] * 2, image_sizes=[(99, 120), SIZE])
    assert larger.ids.shape == (99, 120)
    assert len(head.results(output, CATEGORIES, [SIZE] * 2, "heuristic")) == 2
    with pytest.raises(ValueError, match="'best'"):
        head.results(output, CATEGORIES, [SIZE] * 2, "best")


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    """An image alone, and the same one beside a larger one; with 1x1 features nothing else reaches across."""
    head, (features, semantic, detections) = head_of(), outputs()
    inside = [replace(found, boxes=found.boxes.clamp(max=40)) for found in detections]
    head.affinity.extractor = nn.Conv2d(6, 8, 1)
    sizes = [(48, 64), SIZE]
    padded = head(features, semantic, inside, sizes=sizes)
    alone = head(features[:1, :, :12, :16], semantic[:1, :, :12, :16], inside[:1])
    torch.testing.assert_close(padded.panoptic[0], alone.panoptic[0])
    [first, _] = head.results(padded, CATEGORIES, sizes)
    assert first.ids.shape == (48, 64)
    targets = [square_target(size=(48, 88)), square_target()]
    assert head(features, semantic, inside, targets, [(48, 88), SIZE])["panoptic"].isfinite()


@pytest.mark.parametrize("things", [True, False])
def test_no_detections_and_nothing_but_void(things: bool) -> None:
    head = head_of(learn_semantic=True)
    features, _, detections = outputs(things=0)
    losses = head(features, None, detections, [square_target(things=things), square_target(void=True)])
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert head(features, None, detections).panoptic[0].shape[0] == S


def test_it_learns_on_a_frozen_detector() -> None:
    """V and boxes leave two touching squares of one class undecided; features that tell them apart decide."""
    target = square_target()
    target.instances[:], target.semantic[:] = -1, 2
    target.instances[16:48, 16:48], target.instances[16:48, 48:80] = 0, 1
    target.semantic[16:48, 16:80] = 0
    target = replace(target, boxes=torch.tensor([[16.0, 16, 48, 48], [48, 16, 80, 48]]), classes=torch.tensor([0, 0]))
    semantic = torch.zeros(1, T + S, 16, 24)
    semantic[:, 2] = 2
    semantic[:, 0, 4:12, 4:20] = 4
    loose = Detections(
        torch.tensor([[14.0, 14, 60, 50], [36, 14, 82, 50]]), torch.tensor([0.9, 0.8]), torch.tensor([0, 0])
    )
    features = torch.zeros(1, 6, 16, 24)
    features[:, 0, 4:12, 4:12], features[:, 1, 4:12, 12:20] = 1, 1
    head = head_of(channels=4)
    truth = panoptic_map(
        target.instances.numpy().astype(np.int32) + 2, {1: CATEGORIES[2], 2: CATEGORIES[0], 3: CATEGORIES[0]}
    )

    def things() -> float:
        quality = PanopticQuality(CATEGORIES)
        with torch.no_grad():
            quality.update(truth, head.results(head(features, semantic, [loose]), CATEGORIES, [SIZE])[0], "a")
        return quality.compute()["Things"].pq  # type: ignore[union-attr]

    before = things()
    optimizer = torch.optim.AdamW(head.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        head(features, semantic, [loose], [target])["panoptic"].backward()
        optimizer.step()
    assert before < 0.8
    assert things() > 0.95


def test_mistakes() -> None:
    features, semantic, detections = outputs()
    head = head_of()
    with pytest.raises(ValueError, match="learn_semantic=True"):
        head(features, None, detections)
    with pytest.raises(ValueError, match="give None"):
        head_of(learn_semantic=True)(features, semantic, detections)
    with pytest.raises(ValueError, match="3 classes"):
        head(features, semantic[:, :3], detections)
    with pytest.raises(ValueError, match=r"features have shape \(2, 5, .*; give \(images, 6, height, width\)"):
        head(features[:, :5], semantic, detections)
    with pytest.raises(ValueError, match="1 detections for 2 images"):
        head(features, semantic, detections[:1])
    with pytest.raises(ValueError, match="1 targets for 2 images"):
        head(features, semantic, detections, [square_target()])
    with pytest.raises(ValueError, match="image 1 has detections of class"):
        head(features, semantic, [detections[0], replace(detections[1], classes=detections[1].classes + 1)])
    for change in ({"num_things": 0}, {"channels": 0}, {"width": 9}, {"label_stride": 3}, {"layers": 10**9}):
        with pytest.raises(ValueError, match=next(iter(change))):
            head_of(**change)


@pytest.mark.usefixtures("no_type_checks")
def test_shapes_of_other_batches_are_named() -> None:
    features, semantic, detections = outputs()
    with pytest.raises(ValueError, match=r"semantic has shape \(1, .* for 2 images"):
        head_of()(features, semantic[:1], detections)
    with pytest.raises(ValueError, match="features have shape"):
        head_of()(features[0], semantic, detections)


@pytest.mark.usefixtures("no_type_checks")
def test_a_whole_number_is_a_temperature_too() -> None:
    assert head_of(temperature=10).temperature.is_floating_point()
    with pytest.raises(ValueError, match="PanopticHead: num_things: 'x' is not a whole number"):
        head_of(num_things="x")
    for change in ({"variant": "Z"}, {"activation": "x"}, {"normalise": None}):
        with pytest.raises(ValueError, match=next(iter(change))):
            head_of(**change)
