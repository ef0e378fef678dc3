"""App. B: warm-up and steps as the paper's Cityscapes recipe has them, and the half cosine."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import tiny_network
from unipan.config import TrainConfig
from unipan.presets import cityscapes, coco
from unipan.training.schedule import (
    describe_length,
    learning_rate_factor,
    linear_rule,
    make_optimizer,
    set_learning_rate,
)

PAPER = cityscapes().train


def test_the_papers_cityscapes_schedule() -> None:
    rates = {i: PAPER.lr * learning_rate_factor(i, PAPER) for i in (0, 250, 499, 500, 39_999, 40_000, 54_999, 55_000)}
    assert rates[0] == pytest.approx(0.01 / 3)
    assert rates[250] == pytest.approx(0.01 * 2 / 3)
    assert rates[499] < rates[500] == 0.01
    assert rates[39_999] == 0.01
    assert rates[40_000] == rates[54_999] == pytest.approx(1e-3)
    assert rates[55_000] == pytest.approx(1e-4)


def test_the_papers_coco_schedule() -> None:
    train = coco().train
    factors = [learning_rate_factor(i, train) for i in (149_999, 150_000, 189_999, 190_000, 199_999)]
    assert factors == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 600), st.sampled_from(["step", "cosine"]))
def test_warm_up_rises_and_everything_after_falls(iterations: int, warmup: int, schedule: str) -> None:
    config = TrainConfig(iterations=iterations, warmup=warmup, schedule=schedule)  # type: ignore[arg-type]
    factors = [learning_rate_factor(i, config) for i in range(iterations)]
    top = min(warmup, iterations // 10)
    assert all(0 <= f <= 1 for f in factors)
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert factors[top] == 1
    if schedule == "cosine":
        assert learning_rate_factor(iterations, config) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_norms_and_biases_do_not_decay(kind: str) -> None:
    network = tiny_network()
    network.backbone.resnet.conv1.requires_grad_(False)
    config = replace(PAPER, optimizer=kind, bias_lr_factor=1.0)  # type: ignore[arg-type]
    optimizer = make_optimizer(network, config)
    decayed, plain = optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (1e-4, 0)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in plain["params"])
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in network.parameters() if p.requires_grad}
    if kind == "sgd":
        assert isinstance(optimizer, torch.optim.SGD)
        assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    assert set_learning_rate(optimizer, 0, config) == pytest.approx(0.01 / 3)
    assert all(group["lr"] == pytest.approx(0.01 / 3) for group in optimizer.param_groups)


def test_biases_learn_at_twice_the_rate_in_the_published_recipes() -> None:
    network = tiny_network()
    optimizer = make_optimizer(network, PAPER)
    weights, norms, biases = optimizer.param_groups
    names = {id(p): name for name, p in network.named_parameters()}
    assert all(names[id(p)].endswith("bias") for p in biases["params"])
    assert not any(names[id(p)].endswith("bias") for p in [*weights["params"], *norms["params"]])
    assert any("box_predictor.cls_score.bias" in names[id(p)] for p in biases["params"])
    assert set_learning_rate(optimizer, 500, PAPER) == 0.01
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.01, 0.02]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 0, 0]
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    # A resume loads the optimiser's state: the factor must come back with it.
    again = make_optimizer(tiny_network(), PAPER)
    again.load_state_dict(optimizer.state_dict())
    set_learning_rate(again, 45_000, PAPER)
    assert [group["lr"] for group in again.param_groups] == pytest.approx([1e-3, 1e-3, 2e-3])


def test_the_linear_rule_keeps_the_epochs() -> None:
    small, said = linear_rule(replace(PAPER, batch_size=8))
    assert (small.lr, small.iterations, small.warmup) == (0.0025, 260_000, 2000)
    assert small.batch_size * small.iterations == PAPER.batch_size * PAPER.iterations
    assert [share * small.iterations for share in small.milestones] == pytest.approx([160_000, 220_000])
    assert said == (
        "batch 8 instead of the recipe's 32, so by the linear rule: lr 0.01 -> 0.0025, iterations 65000 -> 260000, "
        "warmup 500 -> 2000; the epochs stay"
    )
    large, _ = linear_rule(replace(coco().train, batch_size=64))
    assert (large.lr, large.iterations, large.warmup) == (0.08, 50_000, 125)


def test_the_linear_rule_leaves_what_was_said_and_what_has_no_reference() -> None:
    own, said = linear_rule(replace(PAPER, batch_size=16, lr=0.3, iterations=7), ["lr", "iterations", "batch_size"])
    assert (own.lr, own.iterations, own.warmup) == (0.3, 7, 1000)
    assert "lr 0.3 " in said
    assert "iterations 7 " in said
    assert "epochs" not in said
    assert linear_rule(PAPER) == (PAPER, "")
    accumulated = replace(PAPER, accumulation_steps=32)
    assert linear_rule(accumulated) == (accumulated, "")
    free = replace(TrainConfig(), batch_size=5)
    assert linear_rule(free) == (free, "")


@pytest.mark.parametrize(
    ("steps", "images", "trained", "times", "few"),
    [
        (60, 40, True, "6.0 times", True),
        (100, 10, True, "40 times", False),
        (300, 2_000, False, "at most once", True),
        (600, 40, False, "60 times", False),
    ],
)
def test_the_length_is_told_in_words(steps: int, images: int, trained: bool, times: str, few: bool) -> None:
    said = describe_length(TrainConfig(iterations=steps, batch_size=4), images, trained)
    assert times in said
    assert ("few steps" in said) == few
