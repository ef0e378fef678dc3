"""The loop: what a run leaves behind, and what it does not depend on."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from tests.tiny import CATEGORIES, Drawn, tiny_config, tiny_network
from unipan.checkpoint import load_checkpoint
from unipan.config import Config
from unipan.inference import Segmenter
from unipan.models.criterion import DETECTION_TERMS
from unipan.training.run_folder import FIGURES, RunRecord
from unipan.training.step import NonFiniteLossError
from unipan.training.trainer import Trainer, check_batch


def trainer_of(folder: Path, config: Config, things: tuple[int, ...] = (3, 0, 2), every: int = 1) -> Trainer:
    fabric = Fabric(accelerator="cpu", devices=1)
    return Trainer(fabric, config, Drawn(list(things)), Drawn([2, 3], 50), RunRecord(folder, every, quiet=True))


def with_train(config: Config, **changes: object) -> Config:
    return replace(config, train=replace(config.train, **changes))  # type: ignore[arg-type]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_checkpoints_log_and_resume(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, with_train(tiny_config(), ema_decay=0.9), every=2)
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    figures = trainer.run()
    assert set(figures) >= {"pq", "pq_things", "pq_stuff", "psi_pq", "psi_pq_things", "psi_pq_stuff", "miou"}
    assert {path.name for path in tmp_path.iterdir()} >= {"best.safetensors", "last.safetensors", "resume", "log.csv"}
    assert not list(tmp_path.rglob("*.part"))  # written beside, then renamed
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == ("iteration", "lr", "seconds", *DETECTION_TERMS, "semantic", "panoptic", *FIGURES)
    assert [int(row["iteration"]) for row in rows] == [2, 3, 4, 6]  # every second, and both validations
    for row in rows:
        assert all(float(row[name]) >= 0 for name in ("rpn_objectness", "mask", "semantic", "panoptic", "seconds"))
    assert [bool(row["pq"]) for row in rows] == [False, True, False, True]
    assert float(rows[-1]["psi_pq"]) == pytest.approx(figures["psi_pq"], abs=1e-4)
    unchanged = [name for name, p in trainer.network.named_parameters() if torch.equal(p, before[name])]
    assert unchanged == []
    last = load_checkpoint(tmp_path / "last.safetensors")
    assert last.metrics["iteration"] == 6
    assert last.config.name == "tiny"
    assert last.categories == CATEGORIES
    averaged = trainer.evaluated.state_dict()
    assert trainer.evaluated is not trainer.network
    assert all(torch.equal(value, averaged[key]) for key, value in last.network.state_dict().items())
    assert not torch.equal(averaged["affinity.phi0.weight"], trainer.network.state_dict()["affinity.phi0.weight"])
    assert Segmenter.load(tmp_path / "best.safetensors").metrics["pq"] == pytest.approx(trainer.progress.best)


def test_losses_sink(tmp_path: Path) -> None:
    config = with_train(tiny_config(), iterations=25, lr=3e-3, validations=1)
    trainer_of(tmp_path, config, things=(2,)).run()
    rows = rows_of(tmp_path)
    for name in ("semantic", "panoptic", "rpn_objectness"):
        first, last = (sum(float(row[name]) for row in part) for part in (rows[:4], rows[-4:]))
        assert last < first, name


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trainer = trainer_of(tmp_path / name, with_train(tiny_config(), seed=seed))
        trainer.run(stop_after=2)
        states.append(trainer.network.state_dict())
    same = [all(torch.equal(states[0][k], other[k]) for k in other) for other in states[1:]]
    assert same == [True, False]


def test_accumulation_equals_the_large_batch(tmp_path: Path) -> None:
    """Without batch statistics, and with every anchor and proposal in the losses instead of a random sample.

    Terms are means over a backward pass's own pixels and boxes, so images that differ in those counts weigh a
    little differently; here all images are the same one.
    """
    base = tiny_config()
    config = replace(
        with_train(base, optimizer="sgd", lr=0.1, batch_size=4, iterations=1, validations=0),
        backbone=replace(base.backbone, frozen=True),
        detection=replace(base.detection, rpn_batch_size=100_000, roi_batch_size=100_000),
        data=replace(base.data, flip=0.0),
    )
    losses, weights = [], []
    for accumulate in (1, 2, 4):
        trainer = trainer_of(tmp_path / str(accumulate), with_train(config, accumulation_steps=accumulate), things=(3,))
        losses.append(trainer._iteration(0, trainer._parts(trainer._batches(0, 1)))[0])
        weights.append({name: p.detach().clone() for name, p in trainer.network.named_parameters()})
    start = tiny_network(config).state_dict()
    for other, values in zip(weights[1:], losses[1:], strict=True):
        assert values == pytest.approx(losses[0], rel=1e-4)
        for name, value in other.items():
            torch.testing.assert_close(value, weights[0][name], rtol=1e-3, atol=2e-5)
    assert any((weights[0][name] - start[name]).abs().max() > 1e-3 for name in weights[0])


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    config = with_train(tiny_config(), optimizer="sgd", lr=1.0, max_grad_norm=1e-3, weight_decay=0.0)
    trainer = trainer_of(tmp_path, config)
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    trainer._iteration(0, trainer._parts(trainer._batches(0, 1)))
    moved = torch.stack([(p - before[name]).norm() for name, p in trainer.network.named_parameters()]).norm()
    assert 0.5e-3 < float(moved) < 1.01e-3


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (2.0, "so not one fits; 20 are taken, about 43 seconds"),
        (0.2, "so only 5 fit; 20 are taken, about 4 seconds"),
        (0.01, "so 110 iterations fit"),
    ],
)
def test_fit_to_says_what_fits_and_what_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, said: str
) -> None:
    trainer = trainer_of(tmp_path, tiny_config())
    told: list[str] = []
    monkeypatch.setattr(trainer, "seconds_per_step", lambda: seconds)
    monkeypatch.setattr(trainer.record, "say", told.append)
    trainer.fit_to(minutes=0.02)
    assert said in told[0]


def test_fit_to_leaves_no_trace_but_the_schedule(tmp_path: Path) -> None:
    config = with_train(tiny_config(), ema_decay=0.9)
    fitted, plain = trainer_of(tmp_path / "a", config), trainer_of(tmp_path / "b", config)
    fitted.fit_to(minutes=0.02)
    assert fitted.config.train.iterations >= 20
    assert fitted.progress.iteration == 0
    assert not (tmp_path / "a" / "log.csv").exists()
    fitted.record.begin()  # notes are written with the first state
    assert "--minutes 0.02: a step takes" in (tmp_path / "a" / "notes.txt").read_text()
    assert fitted.ema is not None
    for network in (fitted.network, fitted.ema):
        state = network.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in plain.network.state_dict().items())
    assert fitted.optimizer.state_dict()["state"] == {}
    # From here on both runs are one.
    fitted.config = plain.config
    assert fitted._iteration(0, fitted._parts(fitted._batches(0, 1))) == plain._iteration(
        0, plain._parts(plain._batches(0, 1))
    )


def test_measuring_in_the_middle_of_a_run_leaves_no_trace_either(tmp_path: Path) -> None:
    config = with_train(tiny_config(), ema_decay=0.9)
    measured, plain = trainer_of(tmp_path / "a", config), trainer_of(tmp_path / "b", config)
    for trainer in (measured, plain):
        trainer.run(stop_after=2)
    measured.seconds_per_step()
    for trainer in (measured, plain):
        trainer.run(stop_after=2)
    assert measured.ema is not None
    assert plain.ema is not None
    for mine, other in ((measured.network, plain.network), (measured.ema, plain.ema)):
        state = mine.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, with_train(tiny_config(), lr=1e30, optimizer="sgd"))
    with pytest.raises(NonFiniteLossError, match=r"drawn_\d\.png"):
        trainer.run()
    assert (tmp_path / "nonfinite.pt").is_file()


def test_a_batch_that_does_not_split_is_refused() -> None:
    config = with_train(tiny_config(), batch_size=6, accumulation_steps=2)
    check_batch(config, 3)
    with pytest.raises(ValueError, match=r"train\.batch_size: 6 .* 2 processes x 2 "):
        check_batch(config, 2)


def test_the_mask_free_network_and_the_papers_models_train(tmp_path: Path) -> None:
    base = tiny_config(masks=False)
    model_a = replace(
        base,
        affinity=replace(base.affinity, enabled=False),
        loss=replace(base.loss, panoptic=0.0),
        potential=replace(base.potential, variant="A"),
    )
    for name, config in (("b", base), ("a", model_a)):
        figures = trainer_of(tmp_path / name, with_train(config, iterations=2, validations=1)).run()
        assert (figures["pq"] == figures["psi_pq"]) or name == "b"
        assert "mask" not in rows_of(tmp_path / name)[-1]
