"""What each of two processes of `test_ddp.py` does: train together on images of which one has no thing, validate
together, stop and resume, take the steps of `exactness.py`, and write down what it found."""

import atexit
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import unipan.training.validation
from tests.tiny import Drawn, image_batch, square_target, tiny_config
from tests.training.exactness import cases, step_of
from unipan.analysis.evaluate import Evaluation, evaluate
from unipan.build import build_network
from unipan.cli import main as command_line
from unipan.config import Config
from unipan.inference import Segmenter
from unipan.stopping import StoppedBySignal, StopSignals
from unipan.training.launch import Fabric, launch
from unipan.training.run_folder import RunRecord
from unipan.training.step import NonFiniteLossError, check_finite
from unipan.training.trainer import Trainer
from unipan.training.validation import logged_scores


def fingerprint(tensors: dict[str, Tensor]) -> dict[str, float]:
    """One number each that any changed bit changes (in all likelihood)."""
    g = torch.Generator().manual_seed(0)
    return {
        name: float((value.double().flatten() * torch.rand(value.numel(), generator=g, dtype=torch.float64)).sum())
        for name, value in tensors.items()
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    base = tiny_config()
    config = replace(base, train=replace(base.train, iterations=4, batch_size=4, accumulation_steps=2, ema_decay=0.9))
    fabric = launch("cpu")
    data, val = Drawn([3, 0, 2, 0]), Drawn([2, 3, 0, 1, 2], 50)
    counted: list[list[int]] = []

    def listening(*arguments: object) -> Evaluation:
        counted.append(list(arguments[3]))  # type: ignore[call-overload]
        return evaluate(*arguments)  # type: ignore[arg-type]

    unipan.training.validation.evaluate = listening  # type: ignore[assignment]
    trainer = Trainer(fabric, config, data, val, RunRecord(folder, 1, quiet=True))
    start = fingerprint(dict(trainer.network.named_parameters()))
    together = trainer.run()
    rank = fabric.global_rank
    alone = evaluate(
        Segmenter(trainer.evaluated, config, val.categories, {}, fabric.device), val, ("affinity", "potential")
    )
    found = {
        "world": fabric.world_size,
        "start": start,
        "weights": fingerprint(trainer.network.state_dict()),
        "average": fingerprint(trainer.evaluated.state_dict()),
        "validated": counted[-1],
        "together": together,
        "alone": logged_scores(alone),
        "without_gradient": [name for name, p in trainer.network.named_parameters() if not p.requires_grad],
    }
    found |= {
        "signalled": fingerprint(signalled(fabric, folder / "signalled", config).network.state_dict()),
        "resumed": fingerprint(resumed(fabric, folder / "cut", config).network.state_dict()),
        "late": fingerprint(late_start(fabric, folder / "late", config).network.state_dict()),
        "stopped": stopped(fabric, trainer, folder),
        "command": command_line(["train", "scenes", "--out", str(folder / "command"), *SMALL.split(), *BRIEF.split()]),
    }
    for name, case in cases().items():
        step = step_of(fabric, folder / "steps", name, case)
        if rank == 0:
            torch.save(step, folder / f"{name}.pt")
    (folder / f"rank{rank}.json").write_text(json.dumps(found))


SMALL = """
--data scenes:0-3 --val scenes:4-6 --devices 2 --accelerator cpu --backbone.depth 18 --backbone.width 8
--backbone.fpn-channels 16 --decoder.channels 16 --decoder.groups 4 --affinity.channels 16 --affinity.rope 2
--detection.box-features 16 --detection.mask-channels 8 --detection.mask-layers 1
--detection.rpn-pre-nms 50 50 --detection.rpn-post-nms 50 50 --detection.roi-batch-size 16
--train.batch-size 2 --train.precision 32
"""
BRIEF = "--train.iterations 2 --train.validations 1"


def resumed(fabric: Fabric, folder: Path, config: Config) -> Trainer:
    """The same run, stopped one iteration after a checkpoint, and continued by new trainers."""
    data, val = Drawn([3, 0, 2, 0]), Drawn([2, 3, 0, 1, 2], 50)
    Trainer(fabric, config, data, val, RunRecord(folder, 1, quiet=True)).run(stop_after=3)
    fabric.barrier()
    return continued(fabric, folder, 2)


def late_start(fabric: Fabric, folder: Path, config: Config) -> Trainer:
    """The panoptic submodule takes part from the third of four iterations on."""
    config = replace(config, train=replace(config.train, panoptic_from=0.5))
    trainer = Trainer(fabric, config, Drawn([3, 0, 2, 0]), Drawn([2], 50), RunRecord(folder, 1, quiet=True))
    trainer.run()
    return trainer


def signalled(fabric: Fabric, folder: Path, config: Config) -> Trainer:
    """The same run: one process alone gets a SIGTERM in the first iteration, and both stop after it."""
    data, val = Drawn([3, 0, 2, 0]), Drawn([2, 3, 0, 1, 2], 50)
    trainer = Trainer(fabric, config, data, val, RunRecord(folder, 1, quiet=True))
    backward = trainer._backward

    def terminated(*arguments: Any, **more: Any) -> dict[str, Tensor]:
        if fabric.global_rank == 1 and trainer.signals.received is None:
            os.kill(os.getpid(), signal.SIGTERM)
        return backward(*arguments, **more)

    trainer._backward = terminated  # type: ignore[method-assign]
    with StopSignals() as trainer.signals, pytest.raises(StoppedBySignal, match="SIGTERM"):
        trainer.run()
    assert trainer.progress.iteration == 1
    return continued(fabric, folder, 1)


def continued(fabric: Fabric, folder: Path, iteration: int) -> Trainer:
    """The run in a folder, from its state to its end, by new trainers."""
    data, val = Drawn([3, 0, 2, 0]), Drawn([2, 3, 0, 1, 2], 50)
    record = RunRecord(folder, 1, quiet=True)
    state, config, _ = record.load_resume()
    torch.manual_seed(1000 + fabric.global_rank)
    trainer = Trainer(fabric, config, data, val, record, build_network(config, data.categories))
    trainer.load_state(state)
    assert trainer.progress.iteration == iteration
    trainer.run()
    return trainer


def stopped(fabric: Fabric, trainer: Trainer, folder: Path) -> str:
    """What each process says when the second one's loss is no number."""
    term = torch.tensor(torch.nan if fabric.global_rank == 1 else 1.0)
    batch = image_batch(1), [square_target()]
    try:
        check_finite({"semantic": term}, trainer.step.module.train(), *batch, folder)
    except NonFiniteLossError as error:
        return str(error)
    return ""


def write_threads(folder: Path) -> None:
    """The names of this process's threads, once everything registered later has run."""
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir()] if tasks.is_dir() else []
    (folder / f"threads{os.environ['RANK']}.json").write_text(json.dumps(names))


if __name__ == "__main__":
    atexit.register(write_threads, Path(sys.argv[1]))  # before `launch` registers its own, so it runs after it
    main(Path(sys.argv[1]))
