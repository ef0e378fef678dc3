"""What each of two processes of `test_ddp.py` does: train together on images of which one has no thing, validate
together, and write down what it ended with."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

import unipan.engine.validate
from tests.tiny import Drawn, tiny_config
from unipan.engine.evaluate import Evaluation, evaluate
from unipan.engine.record import RunRecord
from unipan.engine.train import Trainer
from unipan.engine.validate import figures
from unipan.inference import Segmenter


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
    config = replace(base, train=replace(base.train, iterations=4, batch=4, accumulate=2, average=0.9))
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    data, val = Drawn([3, 0, 2, 0]), Drawn([2, 3, 0, 1, 2], 50)
    counted: list[list[int]] = []

    def listening(*arguments: object) -> Evaluation:
        counted.append(list(arguments[3]))  # type: ignore[call-overload]
        return evaluate(*arguments)  # type: ignore[arg-type]

    unipan.engine.validate.evaluate = listening  # type: ignore[assignment]
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
        "alone": figures(alone),
        "without_gradient": [name for name, p in trainer.network.named_parameters() if not p.requires_grad],
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
