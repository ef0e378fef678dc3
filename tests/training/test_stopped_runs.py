"""Whatever ends a training, `--resume` goes on from what was saved, and the run is the uninterrupted one."""

import os
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import unipan.training.trainer
from tests.training.test_resume import config_of, losses, trainer_of
from unipan.config import Config
from unipan.datasets.loading import TrainingBatches, TrainingStream
from unipan.stopping import StoppedBySignal, StopSignals
from unipan.training.failures import describe_failure, describe_stop, words_of_worker
from unipan.training.options import RESUME_STATE, is_first_process
from unipan.training.run_folder import RunRecord
from unipan.training.trainer import Trainer, TrainingProgress


def before_iteration(trainer: Trainer, at: int, act: Callable[[], object]) -> None:
    """Do something in the middle of an iteration, once its batch has come."""
    backward = trainer._backward

    def acting(*arguments: object, **more: object) -> object:
        if trainer.progress.iteration == at:
            act()
        return backward(*arguments, **more)  # type: ignore[arg-type]

    trainer._backward = acting  # type: ignore[assignment, method-assign]


def stopped(folder: Path, config: Config, at: int, act: Callable[[], object]) -> Trainer:
    """A run that a signal stops."""
    trainer = trainer_of(folder, config)
    trainer.record.every = 4  # a row of the log averages what comes before and after the stop
    before_iteration(trainer, at, act)
    with StopSignals() as trainer.signals, pytest.raises(StoppedBySignal):
        trainer.run()
    return trainer


def resumed(folder: Path, config: Config) -> Trainer:
    record = RunRecord(folder, 4, quiet=True)
    state, found, _ = record.load_resume()
    assert found == config
    trainer = trainer_of(folder, config, seed=99)
    trainer.record = record
    trainer.load_state(state)
    record.cut_log(trainer.progress.iteration)
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, Path]:
    folder = tmp_path_factory.mktemp("whole")
    trainer = trainer_of(folder, config_of("adamw"))
    trainer.record.every = 4
    trainer.run()
    return trainer, folder


def assert_same(folder: Path, trainer: Trainer, whole: tuple[Trainer, Path]) -> None:
    assert losses(folder) == losses(whole[1])
    for mine, other in ((trainer.network, whole[0].network), (trainer.evaluated, whole[0].evaluated)):
        wanted = other.state_dict()
        assert all(torch.equal(value, wanted[key]) for key, value in mine.state_dict().items())


@pytest.mark.parametrize(("number", "at"), [(signal.SIGTERM, 0), (signal.SIGINT, 1), (signal.SIGTERM, 3)])
def test_a_signal_saves_after_the_iteration_and_resume_is_exact(
    number: int, at: int, whole: tuple[Trainer, Path], tmp_path: Path
) -> None:
    config = config_of("adamw")
    trainer = stopped(tmp_path, config, at, lambda: os.kill(os.getpid(), number))
    assert trainer.saved == trainer.progress.iteration == at + 1
    assert_same(tmp_path, resumed(tmp_path, config), whole)


@pytest.mark.parametrize(("inside", "at"), [(True, 2), (False, 2), (False, 5)])
def test_a_signal_in_or_right_before_a_validation_does_not_wait_for_its_end(
    inside: bool, at: int, whole: tuple[Trainer, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The iteration that it follows is repeated."""
    config = config_of("adamw")
    with monkeypatch.context() as patch:
        patch.setattr(unipan.training.trainer, "BEFORE_VALIDATION", 0.0)
        terminate = partial(os.kill, os.getpid(), signal.SIGTERM)
        validate = unipan.training.trainer.validate
        calls: list[int] = []

        def validation(*arguments: object) -> object:
            calls.append(1)
            return terminate() if inside else validate(*arguments)  # type: ignore[arg-type]

        patch.setattr(unipan.training.trainer, "validate", validation)
        trainer = stopped(tmp_path, config, at, (lambda: None) if inside else terminate)
    assert trainer.saved == at
    assert len(calls) == (1 if inside or at == 5 else 0)  # at == 5: that of iteration 3
    assert_same(tmp_path, resumed(tmp_path, config), whole)


def test_the_state_is_never_older_than_asked(tmp_path: Path) -> None:
    """A killed run loses no more; the first state is there before the first step, so that a full disk shows early."""
    trainer, found = trainer_of(tmp_path, config_of("adamw")), []

    def look() -> None:
        found.append(RunRecord(tmp_path, quiet=True).load_resume()[0]["progress"])

    trainer.save_seconds = 0.0
    backward = trainer._backward
    trainer._backward = lambda *a, **k: (look(), backward(*a, **k))[1]  # type: ignore[method-assign, assignment]
    trainer.run(stop_after=3)
    assert [TrainingProgress(**each).iteration for each in found] == [0, 1, 2]  # type: ignore[arg-type]


def test_a_loader_worker_outlasts_a_sigterm_for_all_processes(whole: tuple[Trainer, Path], tmp_path: Path) -> None:
    """SLURM sends it to every process of a job at once."""
    config = config_of("adamw", workers=1)

    def terminate_all() -> None:
        for worker in active_children():
            os.kill(worker.pid or 0, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    trainer = stopped(tmp_path, config, 1, terminate_all)
    assert trainer.saved == 2
    assert_same(tmp_path, resumed(tmp_path, config), whole)


WORKER_BOUND = 10.0
"""Seconds, as docs/reliability.md says: torch looks every 5 at the latest, and a busy machine takes its time."""


@pytest.mark.usefixtures("no_type_checks")  # jaxtyping turns what a signal raises within a check into its own error
def test_a_killed_loader_worker_is_one_sentence(tmp_path: Path, announce: Callable[[str], None]) -> None:
    trainer, killed = trainer_of(tmp_path, config_of("adamw", workers=1)), []

    def kill() -> None:
        killed.append(time.monotonic())
        for worker in active_children():
            os.kill(worker.pid or 0, signal.SIGKILL)

    before_iteration(trainer, 2, kill)
    with pytest.raises(RuntimeError) as error:
        trainer.run()
    took = time.monotonic() - killed[0]
    assert took < WORKER_BOUND
    announce(f"a killed loader worker: the error came after {took:.1f} s")
    said = describe_failure(error.value, tmp_path, several=False)
    assert said is not None
    assert "a process that prepares images has ended (DataLoader worker" in said
    assert "--train.num-workers" in said
    assert "--resume continues" in said


def test_a_loader_worker_killed_while_the_state_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch raises it wherever the process is; that is no failure of the disk."""
    trainer = trainer_of(tmp_path, config_of("adamw"))
    trainer.run()
    before = (tmp_path / RESUME_STATE).read_bytes()

    def die(*_: object) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(RuntimeError) as error:
        trainer.record.save_resume({}, trainer.config)
    said = describe_failure(error.value, tmp_path, several=False)
    assert said is not None
    assert "a process that prepares images has ended (DataLoader worker (pid 7)" in said
    assert (tmp_path / RESUME_STATE).read_bytes() == before


@pytest.mark.parametrize("gone", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_loader_worker_killed_while_its_batch_comes_over(gone: Exception, tmp_path: Path) -> None:
    """torch then raises what the connection says, not that a worker has ended."""

    class Cut:
        def __next__(self) -> object:
            raise gone

    batches = TrainingBatches.__new__(TrainingBatches)
    batches._iterator = cast(Any, Cut())
    with pytest.raises(RuntimeError) as error:
        next(batches)
    said = describe_failure(error.value, tmp_path, several=False)
    assert said is not None
    assert "a process that prepares images has ended" in said
    assert str(gone) in said


def test_an_error_in_a_loader_worker_is_its_own_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise ValueError("a.png: not a readable image")

    monkeypatch.setattr(TrainingStream, "__getitem__", fail)
    with pytest.raises(ValueError, match="Traceback") as error:
        trainer_of(tmp_path, config_of("adamw", workers=1)).run()
    assert words_of_worker(error.value) == "a.png: not a readable image"
    assert words_of_worker(ValueError("of this process")) == "of this process"


@pytest.mark.parametrize(
    "words",
    [
        "[../third_party/gloo/gloo/transport/tcp/pair.cc:544] Connection closed by peer [127.0.0.1]:24353",
        "NCCL communicator was aborted on rank 0.",
    ],
)
def test_a_dead_process_is_one_sentence(words: str, tmp_path: Path) -> None:
    said = describe_failure(RuntimeError(words), tmp_path, several=True)
    assert said is not None
    assert "another process of this run has ended" in said
    assert describe_failure(RuntimeError(words), tmp_path, several=False) is None
    assert describe_failure(RuntimeError("a fault of ours"), tmp_path, several=True) is None


def test_images_that_are_too_small_for_batch_norm(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value") as raised:
        torch.nn.BatchNorm2d(2)(torch.zeros(1, 2, 1, 1))
    said = describe_failure(raised.value, tmp_path, several=False)
    assert said is not None
    assert "--data.short-side" in said


@pytest.mark.parametrize("limit", [0, 50_000])
def test_a_full_disk_keeps_the_old_state(limit: int, tmp_path: Path) -> None:
    """torch's writer fails half-way; a limit on the size of files stands for the disk."""
    trainer = trainer_of(tmp_path, config_of("adamw"))
    trainer.run(stop_after=1)
    old = (tmp_path / RESUME_STATE).read_bytes()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            trainer.record.save_resume(trainer.state(), trainer.config)
        except OSError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    said = os.read(read, 10_000).decode()
    assert f"{tmp_path / RESUME_STATE}: cannot be written" in said
    assert "make room" in said
    assert (tmp_path / RESUME_STATE).read_bytes() == old
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["state.pt"]


@pytest.mark.parametrize("name", ["notes.txt", "log.csv"])
def test_what_cannot_be_added_is_one_sentence(name: str, tmp_path: Path) -> None:
    """/dev/full takes nothing."""
    record = RunRecord(tmp_path, 1, quiet=True)
    record.log(1, 0.1, {"loss": 1.0}, 1.0, None)
    content = (tmp_path / "log.csv").read_text()
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/dev/full")
    if name == "log.csv":
        record._read_log = lambda: (content.splitlines()[0].split(","), [])  # type: ignore[method-assign]
    with pytest.raises(OSError, match=rf"{name}: cannot be written \(No space left on device\); make room; --resume"):
        record.say("x") if name == "notes.txt" else record.log(2, 0.1, {"loss": 1.0}, 1.0, None)


def test_a_row_that_was_cut_is_not_read(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, 1, quiet=True)
    for iteration in (1, 20):
        record.log(iteration, 0.1, {"loss": 1.0}, 1.0, None)
    path = tmp_path / "log.csv"
    path.write_bytes(path.read_bytes()[:-20] + b"")  # the row of iteration 20 might begin with a 2 alone
    record.cut_log(10)
    assert [row["iteration"] for row in losses(tmp_path)] == ["1"]


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "resume").mkdir()
    (tmp_path / RESUME_STATE).write_bytes(b"PK half a file")
    with pytest.raises(ValueError, match=r"state\.pt .*--init"):
        RunRecord(tmp_path, quiet=True).load_resume()


def test_how_a_stop_is_told(tmp_path: Path) -> None:
    said = describe_stop(StoppedBySignal(signal.SIGTERM), tmp_path, None, 0)
    assert isinstance(said, StoppedBySignal)
    assert said.exit_code == 143
    assert str(said) == "stopped by SIGTERM; no step was done, so the same command begins anew"
    (tmp_path / "resume").mkdir()
    (tmp_path / RESUME_STATE).touch()
    said = describe_stop(StoppedBySignal(signal.SIGINT), tmp_path, 7, 20)
    assert "with 7 of 20 iterations saved; the same command with --resume continues from" in str(said)


def test_the_first_process_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv("LOCAL_RANK", "1")  # begun by Fabric
    assert not is_first_process()
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("RANK", "8")  # by torchrun, on the second machine
    assert not is_first_process()
