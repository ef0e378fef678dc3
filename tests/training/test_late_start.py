"""Until `train.panoptic_from` the panoptic submodule neither costs nor learns anything."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tiny import image_batch, square_target, tiny_config, tiny_network
from tests.training.test_trainer import rows_of, trainer_of, with_train
from unipan.build import build_criterion
from unipan.config import Config
from unipan.training.schedule import panoptic_begins
from unipan.training.step import TrainingStep
from unipan.training.trainer import Trainer


def late(share: float = 0.5) -> Config:
    """The tiny run of six iterations; the panoptic submodule begins with the fourth."""
    base = tiny_config()
    config = replace(base, loss=replace(base.loss, potential=1.0), affinity=replace(base.affinity, activation="gelu"))
    return with_train(config, optimizer="adamw", panoptic_from=share, weight_decay=0.1)


def test_before_it_only_the_rest_learns_and_then_everything(tmp_path: Path) -> None:
    """No weight decay either, and AdamW's averages begin when the gradients do."""
    trainer = trainer_of(tmp_path, late(), every=1)
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    trainer.run(stop_after=3)
    alone = {id(p) for p in trainer.network.panoptic_parameters()}
    still = {name for name, p in trainer.network.named_parameters() if torch.equal(p, before[name])}
    assert still == {name for name, p in trainer.network.named_parameters() if id(p) in alone}
    assert any(name.startswith("affinity.phi0") for name in still)
    assert "temperature" in still
    assert all(id(p) not in alone for p, state in trainer.optimizer.state.items() if state)
    assert "panoptic" not in rows_of(tmp_path)[-1]
    trainer.run()
    assert not any(torch.equal(p, before[name]) for name, p in trainer.network.named_parameters())
    rows = rows_of(tmp_path)
    assert (
        [bool(row["panoptic"]) for row in rows] == [bool(row["potential"]) for row in rows] == [False] * 3 + [True] * 3
    )
    steps = {int(state["step"]) for p, state in trainer.optimizer.state.items() if id(p) in alone}
    assert steps == {3}


def test_the_other_losses_are_those_of_a_whole_step() -> None:
    network, criterion = tiny_network(late(), 0), build_criterion(late())
    step, batch = TrainingStep(network, criterion, bf16=False).train(), (image_batch(2), [square_target()] * 2)
    found = []
    for panoptic in (True, False):
        step.panoptic = panoptic
        torch.manual_seed(0)
        network.load_state_dict(tiny_network(late(), 0).state_dict())
        found.append(step(*batch))
    whole, part = found
    assert whole.keys() - part.keys() == {"panoptic", "potential"}
    assert all(torch.equal(whole[name], value) for name, value in part.items())
    criterion.total(part).backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)  # DDP waits for them
    assert not any(p.grad.any() for p in network.panoptic_parameters() if p.grad is not None)


@pytest.mark.parametrize(("share", "begins"), [(0.0, 0), (0.7, 7), (0.75, 8), (1.0, 10)])
def test_when_it_begins(share: float, begins: int) -> None:
    assert panoptic_begins(replace(late().train, iterations=10, panoptic_from=share)) == begins


def test_the_forecast_counts_both_kinds_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that are left: with five of six iterations done, the last one has the panoptic submodule."""
    monkeypatch.setattr(Trainer, "_timed", lambda _, __, panoptic: 4.0 if panoptic else 1.0)
    trainer = trainer_of(tmp_path, late(0.75))
    assert trainer.seconds_per_step() == pytest.approx(0.75 * 1 + 0.25 * 4)
    trainer.progress.iteration, told = 5, []
    monkeypatch.setattr(trainer.record, "say", told.append)
    trainer.announce()
    assert "a step takes 4.00 s" in told[0]
    trainer.fit_to(10.0)
    assert trainer.config.train.iterations == int(10 * 60 * 0.92 / 1.75)
