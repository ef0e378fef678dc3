"""The losses: named terms, weights, and what happens where there is nothing to learn."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.tiny import S, T, eager, image_batch, square_target, tiny_config, tiny_network
from unipan.build import build_criterion
from unipan.config import Config, LossConfig
from unipan.models.criterion import DETECTION_TERMS, Criterion, mask_loss, panoptic_loss, semantic_loss
from unipan.panoptic.maps import VOID
from unipan.structures import PanopticOutput, Target

ONE = torch.tensor(1.0)


def terms_of(config: Config, wanted: list[Target]) -> tuple[dict[str, Tensor], PanopticOutput, Criterion]:
    network, criterion = tiny_network(config).train(), build_criterion(config)
    output = network(image_batch(len(wanted)), wanted)
    return criterion(output, wanted), output, criterion


def test_terms_are_named_and_weighted() -> None:
    config = replace(tiny_config(), loss=LossConfig(detection=0.25, semantic=2.0, panoptic=0.1))
    terms, _, criterion = terms_of(config, [square_target()])
    assert set(terms) == {*DETECTION_TERMS, "semantic", "panoptic"}
    expected = 0.25 * sum(terms[name] for name in DETECTION_TERMS) + 2 * terms["semantic"] + 0.1 * terms["panoptic"]
    torch.testing.assert_close(criterion.total(terms), expected)


def test_mask_and_panoptic_terms_leave_with_their_parts() -> None:
    terms, _, _ = terms_of(tiny_config(masks=False), [square_target()])
    assert "mask" not in terms
    base = tiny_config()
    ablation = replace(base, loss=replace(base.loss, panoptic=0.0), affinity=replace(base.affinity, enabled=False))
    terms, _, _ = terms_of(ablation, [square_target()])  # the paper's model C
    assert "panoptic" not in terms


def test_an_output_without_labels_is_refused() -> None:
    network = tiny_network().eval()
    with pytest.raises(ValueError, match="call the network with targets"):
        build_criterion(tiny_config())(network(image_batch()), [square_target()])


@pytest.mark.parametrize("kind", ["cross_entropy", "lovasz", "both"])
def test_all_void_is_zero_with_a_graph(kind: str) -> None:
    logits = torch.randn(1, 4, 6, 8, requires_grad=True)
    loss = semantic_loss(logits, torch.full((1, 24, 32), VOID), kind, 1)
    loss.backward()
    assert float(loss) == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("log", [True, False])
def test_all_void_panoptic_loss_is_zero_with_a_graph(log: bool) -> None:
    p = torch.rand(5, 6, 8, requires_grad=True)
    temperature = torch.tensor(10.0, requires_grad=True)
    loss = panoptic_loss([p], [torch.full((6, 8), VOID)], temperature, log)
    loss.backward()
    assert float(loss) == 0
    assert p.grad is not None
    assert temperature.grad is not None
    assert (p.grad == 0).all()


def test_mask_loss_of_no_boxes_is_zero_with_a_graph() -> None:
    logits = torch.zeros(0, 28, 28, requires_grad=True)
    loss = mask_loss(logits, torch.zeros(0, 28, 28), "both")
    loss.backward()
    assert float(loss) == 0
    assert logits.grad is not None


def test_mask_kinds() -> None:
    logits, wanted = torch.randn(3, 28, 28), (torch.rand(3, 28, 28) > 0.5).float()
    cross = mask_loss(logits, wanted, "cross_entropy")
    torch.testing.assert_close(cross, F.binary_cross_entropy_with_logits(logits, wanted))
    hinge = mask_loss(logits, wanted, "lovasz")
    torch.testing.assert_close(mask_loss(logits, wanted, "both"), cross + hinge)
    assert float(mask_loss(2 * (2 * wanted - 1), wanted, "lovasz")) == 0  # beyond the margin nothing is left to learn


def test_panoptic_loss_is_the_mean_over_the_pixels_of_the_batch() -> None:
    p = [torch.randn(5, 6, 8), torch.randn(3, 6, 8)]
    labels = [torch.randint(-1, 5, (6, 8)), torch.full((6, 8), VOID)]
    labels[1][2, 3] = 2
    total, count = 0.0, 0
    for scores, wanted in zip(p, labels, strict=True):
        for y in range(6):
            for x in range(8):
                if wanted[y, x] != VOID:
                    total -= float((3 * scores[:, y, x]).log_softmax(0)[wanted[y, x]])
                    count += 1
    assert float(panoptic_loss(p, labels, torch.tensor(3.0))) == pytest.approx(total / count, rel=1e-5)


def test_log_loss_is_the_likelihood_of_p_normalised() -> None:
    p, labels = torch.rand(5, 6, 8) + 0.01, torch.randint(0, 5, (6, 8))
    chance = p / p.sum(0)
    expected = -chance.gather(0, labels[None]).log().mean()
    torch.testing.assert_close(panoptic_loss([p], [labels], ONE, log=True), expected, rtol=1e-4, atol=1e-4)


def test_log_loss_is_finite_where_p_is_zero() -> None:
    p = torch.zeros(3, 4, 4, requires_grad=True)
    loss = panoptic_loss([p], [torch.zeros(4, 4, dtype=torch.long)], ONE, log=True)
    loss.backward()
    assert loss.isfinite()
    assert p.grad is not None
    assert p.grad.isfinite().all()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_labels_finer_than_p_are_met_by_upsampling_p(factor: int) -> None:
    p = torch.randn(4, 6, 8)
    labels = torch.randint(-1, 4, (6 * factor, 8 * factor))
    fine = F.interpolate(p[None], scale_factor=factor, mode="bilinear", align_corners=False)
    expected = F.cross_entropy(fine, labels[None], ignore_index=VOID)
    torch.testing.assert_close(panoptic_loss([p], [labels], ONE), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_network_hands_out_finer_labels(stride: int) -> None:
    base = tiny_config()
    config = replace(base, matching=replace(base.matching, stride=stride))
    terms, output, _ = terms_of(config, [square_target()])
    assert output.labels is not None
    assert output.labels[0].shape == (64 // stride, 96 // stride)
    assert terms["panoptic"].isfinite()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_semantic_cross_entropy_at_every_stride(stride: int) -> None:
    logits, labels = torch.randn(2, T + S, 6, 8), torch.randint(-1, T + S, (2, 24, 32))
    centre = labels[:, stride // 2 :: stride, stride // 2 :: stride]
    fine = F.interpolate(logits, centre.shape[-2:], mode="bilinear", align_corners=False)
    expected = F.cross_entropy(fine, centre, ignore_index=VOID)
    torch.testing.assert_close(semantic_loss(logits, labels, "cross_entropy", stride), expected)


def test_both_semantic_losses_add_up() -> None:
    logits, labels = torch.randn(2, 4, 6, 8), torch.randint(-1, 4, (2, 24, 32))
    parts = [semantic_loss(logits, labels, kind, 4) for kind in ("cross_entropy", "lovasz", "both")]
    torch.testing.assert_close(parts[0] + parts[1], parts[2])


def test_temperature_learns_and_one_without_it_is_fixed() -> None:
    _, output, _ = terms_of(tiny_config(), [square_target()])
    assert output.temperature.requires_grad
    terms, output, _ = terms_of(eager(tiny_config()), [square_target()])
    terms["panoptic"].backward()
    assert output.temperature.grad is not None
    assert output.temperature.grad != 0
    base = tiny_config()
    _, output, _ = terms_of(replace(base, affinity=replace(base.affinity, temperature=0.0)), [square_target()])
    assert not output.temperature.requires_grad
    assert output.temperature == 1


def test_psi_p_and_labels_end_with_their_image() -> None:
    config = tiny_config()
    network, criterion = tiny_network(config).train(), build_criterion(config)
    images = replace(image_batch(2), sizes=[(64, 96), (40, 50)])
    wanted = [square_target(), square_target(things=False, size=(40, 50))]
    output = network(images, wanted)
    assert output.labels is not None
    for maps in (output.potentials, output.panoptic):
        assert [tuple(each.shape[-2:]) for each in maps] == [(16, 24), (10, 13)]
    assert [tuple(each.shape) for each in output.labels] == [(16, 24), (10, 13)]
    assert (output.labels[1][:, :12] != VOID).all(), "the last column's cells have their centres outside"
    assert all(term.isfinite() for term in criterion(output, wanted).values())
