"""One step: precision, a loss that is no number, the moving average."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tiny import eager, image_batch, square_target, tiny_config, tiny_network
from unipan.build import build_criterion
from unipan.structures import ImageBatch, Target
from unipan.training.step import NonFiniteLossError, TrainingStep, check_finite, runs_bf16, update_ema


def step_of(bf16: bool = False) -> TrainingStep:
    config = eager(tiny_config())
    return TrainingStep(tiny_network(config), build_criterion(config), bf16).train()


def batch_of() -> tuple[ImageBatch, list[Target]]:
    return image_batch(3), [square_target(), square_target(things=False), square_target()]


def test_bf16_changes_the_losses_little_and_every_gradient_comes() -> None:
    images, targets = batch_of()
    values = []
    for bf16 in (False, True):
        torch.manual_seed(0)
        step = step_of(bf16)
        torch.manual_seed(0)
        terms = step(images, targets)
        values.append(terms["semantic"].item())
        assert all(term.dtype == torch.float32 for term in terms.values())
        step.criterion.total(terms).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in step.parameters())
    assert values[1] == pytest.approx(values[0], rel=0.05)


def test_precision_is_as_told() -> None:
    assert runs_bf16("bf16", torch.device("cpu"))
    assert not runs_bf16("32", torch.device("cuda"))
    assert isinstance(runs_bf16("auto", torch.device("cpu")), bool)


def test_a_loss_that_is_no_number_names_term_and_image(tmp_path: Path) -> None:
    step, (images, targets) = step_of(), batch_of()
    terms = step(images, targets)
    check_finite(terms, step, images, targets, tmp_path)
    assert list(tmp_path.iterdir()) == []
    pixels = images.pixels.clone()
    pixels[1, 0, 3, 3] = torch.nan
    images = replace(images, pixels=pixels)
    terms = step(images, targets)
    with pytest.raises(NonFiniteLossError, match=r"the loss term '\w+' is nan on image 1; batch and weights") as caught:
        check_finite(terms, step, images, targets, tmp_path)
    assert str(tmp_path / "nonfinite.pt") in str(caught.value)
    saved = torch.load(tmp_path / "nonfinite.pt", weights_only=False)
    assert saved["images"].names == images.names
    assert len(saved["targets"]) == 3
    assert set(saved["weights"]) == set(step.state_dict())


def test_an_infinite_term_of_the_whole_batch_names_every_image(tmp_path: Path) -> None:
    step, (images, targets) = step_of(), batch_of()
    with pytest.raises(NonFiniteLossError, match="'semantic' is inf on image 0, image 1, image 2"):
        check_finite({"semantic": torch.tensor(torch.inf)}, step, images, targets, tmp_path)


def test_broken_weights_end_in_that_sentence_too(tmp_path: Path) -> None:
    """NaN weights leave no proposal at all; the step must still come as far as the check."""
    step, (images, targets) = step_of(), batch_of()
    with torch.no_grad():
        step.network.backbone.resnet.conv1.weight.fill_(torch.nan)
    with pytest.raises(NonFiniteLossError):
        check_finite(step(images, targets), step, images, targets, tmp_path)


def test_the_moving_average() -> None:
    network, average = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(1.0)  # type: ignore[union-attr]
        network.num_batches_tracked.fill_(5)  # type: ignore[union-attr]
    update_ema(average, network, decay=0.9, iteration=1000)
    assert average.weight.tolist() == pytest.approx([1.2, 1.2])
    assert average.running_mean.tolist() == pytest.approx([0.1, 0.1])  # type: ignore[union-attr]
    assert average.num_batches_tracked == 5
    # Early on it follows faster: at iteration 0 nine tenths are new.
    average = torch.nn.BatchNorm1d(2)
    update_ema(average, network, decay=0.999, iteration=0)
    assert average.weight.tolist() == pytest.approx([2.8, 2.8])
