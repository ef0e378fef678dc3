"""A new loss term: a subclass of Criterion that names it; its weight, gradient and log column follow from the name."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.tiny import tiny_config
from tests.training.test_trainer import rows_of, trainer_of, with_train
from unipan.build import build_criterion
from unipan.models.criterion import Criterion
from unipan.structures import PanopticOutput, Target
from unipan.training.run_folder import RunRecord


class Sparse(Criterion):
    """Also asks that few affinity features are far from 0."""

    def forward(
        self, output: PanopticOutput, targets: list[Target], labelled: float | None = None
    ) -> dict[str, Tensor]:
        assert output.queries is not None
        return super().forward(output, targets, labelled) | {"sparsity": output.queries.abs().mean()}


def criterion_with(weights: dict[str, float]) -> Criterion:
    plain = build_criterion(tiny_config())
    return Sparse(weights=plain.weights | weights, stride=plain.stride)


def test_a_new_term_trains_and_has_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_train(tiny_config(), iterations=2, validations=1)
    plain = trainer_of(tmp_path / "plain", config)
    monkeypatch.setattr("unipan.training.trainer.build_criterion", lambda _: criterion_with({"sparsity": 100.0}))
    trainer = trainer_of(tmp_path / "sparse", config)
    plain.run()
    trainer.run()
    rows = rows_of(tmp_path / "sparse")
    assert [float(row["sparsity"]) > 0 for row in rows] == [True, True]
    key = "affinity.extractor.project.weight"
    assert not torch.equal(trainer.network.state_dict()[key], plain.network.state_dict()[key])


def test_a_term_without_a_weight_is_named() -> None:
    with pytest.raises(ValueError, match="'sparsity' has no weight"):
        criterion_with({}).total({"semantic": torch.ones(()), "sparsity": torch.ones(())})


def test_a_resumed_log_gets_the_columns_that_it_lacks(tmp_path: Path) -> None:
    """As a log of 0.1, which had a column for every loss, used or not, and none for the mean IoU."""
    (tmp_path / "log.csv").write_text("iteration,lr,seconds,mask,semantic,pq\n1,0.1,2.0,,0.5,\n2,0.1,2.0,,0.4,0.25\n")
    record = RunRecord(tmp_path, 1, quiet=True)
    record.cut_log(1)
    record.log(2, 0.1, {"semantic": 0.3, "sparsity": 0.7}, 1.5, None)
    record.log(3, 0.1, {"semantic": 0.2, "sparsity": 0.6}, 1.5, None)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:6] == ["iteration", "lr", "seconds", "mask", "semantic", "pq"]
    assert [(row["iteration"], row["semantic"], row["sparsity"]) for row in rows] == [
        ("1", "0.5", ""),
        ("2", "0.3000", "0.7000"),
        ("3", "0.2000", "0.6000"),
    ]
