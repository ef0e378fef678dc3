"""A resumed run is the uninterrupted one, bit for bit."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from tests.tiny import Drawn, tiny_config, tiny_network
from unipan.config import Config
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer


def config_of(optimizer: str, workers: int = 0, late: float = 0.0) -> Config:
    base = tiny_config()
    return replace(
        base,
        data=replace(base.data, scale=(0.8, 1.2), color=1.0),
        train=replace(
            base.train,
            optimizer=optimizer,  # type: ignore[arg-type]
            ema_decay=0.9,
            warmup=2,
            max_grad_norm=1.0,
            num_workers=workers,
            panoptic_from=late,
        ),
    )


def trainer_of(folder: Path, config: Config, seed: int = 0) -> Trainer:
    fabric = Fabric(accelerator="cpu", devices=1)
    network = tiny_network(config, seed)
    return Trainer(fabric, config, Drawn([3, 0, 2]), Drawn([2], 50), RunRecord(folder, 1, quiet=True), network)


def losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("optimizer", "workers", "late"), [("sgd", 0, 0.0), ("adamw", 0, 0.0), ("adamw", 2, 0.0), ("adamw", 0, 0.6)]
)
def test_resume_equals_uninterrupted(optimizer: str, workers: int, late: float, tmp_path: Path) -> None:
    """Whether images are prepared here or by worker processes (the uninterrupted run has none), and where the panoptic
    submodule begins only after the interruption."""
    config = config_of(optimizer, workers, late)
    whole = trainer_of(tmp_path / "whole", config_of(optimizer, late=late))
    whole.run()
    # Stopped at iteration 4, one after the validation that wrote the state.
    trainer_of(tmp_path / "cut", config).run(stop_after=4)
    assert len(losses(tmp_path / "cut")) == 4
    record = RunRecord(tmp_path / "cut", 1, quiet=True)
    state, found, _ = record.load_resume()
    assert found == config
    resumed = trainer_of(tmp_path / "cut", found, seed=99)  # weights come from the state
    resumed.load_state(state)
    assert resumed.progress.iteration == 3
    record.cut_log(3)
    torch.manual_seed(12345)  # nothing random depends on what happened in this process
    resumed.run()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    for mine, other in ((resumed.network, whole.network), (resumed.evaluated, whole.evaluated)):
        wanted = other.state_dict()
        assert all(torch.equal(value, wanted[key]) for key, value in mine.state_dict().items())
    mine, wanted = resumed.optimizer.state_dict()["state"], whole.optimizer.state_dict()["state"]
    for key, values in wanted.items():
        assert all(torch.equal(torch.as_tensor(mine[key][name]), torch.as_tensor(v)) for name, v in values.items())
    for name in ("last", "best"):
        cut, full = ((tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("cut", "whole"))
        assert len(cut) == pytest.approx(len(full), abs=16)  # the seconds in the header differ


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"--resume: .* does not exist"):
        RunRecord(tmp_path, quiet=True).load_resume()
    RunRecord(tmp_path, quiet=True).cut_log(3)


def test_a_failing_write_keeps_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer_of(tmp_path, config_of("sgd")).run(stop_after=3)
    record, path = RunRecord(tmp_path, quiet=True), tmp_path / "resume" / "state.pt"
    old = path.read_bytes()

    def half_written(_: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="no space left"):
        record.save_resume({}, config_of("sgd"))
    assert path.read_bytes() == old
