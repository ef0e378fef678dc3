"""Records of finished trainings: small, whole, and the same PQ comes out of them."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import CATEGORIES, draw, tiny_config
from unipan.config import Config
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.reproduction import records as experiment_record
from unipan.reproduction.records import (
    ExperimentRecord,
    changed_fields,
    differing,
    environment,
    hash_of,
    load_records,
    sparse,
)


def quality_of_drawn() -> tuple[PanopticQuality, list[str]]:
    """Each drawn image against the next one: hits, misses and false positives."""
    quality = PanopticQuality(CATEGORIES)
    for number in range(3):
        quality.update(draw(number).truth, draw(number + 1).truth, f"{number}.png")
    return quality, [f"{number}.png" for number in range(3)]


def record(**changes: object) -> ExperimentRecord:
    quality, names = quality_of_drawn()
    counts = sparse(quality, names)
    base = ExperimentRecord(
        model="A as B", data="drawn", seed=3, iterations=70, config={"train.batch_size": 4}, facts={"commit": "0"},
        categories=CATEGORIES.to_coco(), images=names,
        fusions={"potential": {"counts": counts, "trimmed": {"1": []}, "iou": {}, "iou_trimmed": {}}},
        semantic={"mean": 0.5, "confusion": []}, ap=None, tuned=None, ceiling={"all": 0.9},
        extra={"recipe": "r", "beside": 50},
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def test_what_was_counted_comes_back(tmp_path: Path) -> None:
    quality, names = quality_of_drawn()
    assert quality.names == names
    saved = record().save(tmp_path / "runs")
    assert saved.name == f"drawn-A-as-B-s3-i70-{hash_of({'train.batch_size': 4})}.json"
    (loaded,) = load_records(tmp_path / "runs")
    assert loaded == record()
    assert np.allclose(loaded.counts("potential"), quality.per_image, atol=5e-5)
    assert loaded.counts("potential")[:, :, 1:].sum() == quality.per_image[:, :, 1:].sum() > 0
    assert loaded.classes == CATEGORIES


def test_only_what_trimming_changes_is_kept_twice() -> None:
    plain, trimmed = record().counts("potential"), record().counts("potential", trimmed=True)
    assert np.array_equal(plain[[0, 2]], trimmed[[0, 2]])
    assert plain[1].any()
    assert not trimmed[1].any()
    assert differing([[1], [2], [3]], [[1], [5], [3]]) == {"1": [5]}


def test_a_fusion_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"'affinity'.*potential"):
        record().counts("affinity")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": "A"}'])
def test_a_damaged_record(content: str, tmp_path: Path) -> None:
    path = tmp_path / "drawn-A-s0-i5-00000000.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"record .*00000000.json: it cannot be read .*; remove it"):
        load_records(tmp_path)


def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "drawn-A-s0-i5-00000000.json")
    with pytest.raises(ValueError, match=r"record .*00000000.json: it cannot be read .*a pipe or a device"):
        load_records(tmp_path)


def test_the_hash_knows_every_knob_but_the_seed_and_the_length() -> None:
    base = tiny_config()
    same = replace(base, name="other", train=replace(base.train, seed=9, iterations=1000))
    other = replace(base, affinity=replace(base.affinity, channels=9))
    assert changed_fields(base) == changed_fields(same)
    assert hash_of(changed_fields(base)) == hash_of(changed_fields(same)) != hash_of(changed_fields(other))
    assert changed_fields(Config()) == {}
    json.dumps(changed_fields(base))


def test_the_environment_is_told() -> None:
    found = environment(torch.device("cpu"))
    assert {"commit", "machine", "torch", "python", "device"} <= found.keys()
    assert all(found.values())
    assert found["device"] == "cpu"


def test_the_commit_is_not_that_of_a_repository_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment inside another project's clone: our file lies in it and is not of it."""
    installed = tmp_path / "theirs" / ".venv" / "experiment_record.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    git = ["git", "-C", str(tmp_path / "theirs"), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(experiment_record, "__file__", str(installed))
    assert environment(torch.device("cpu"))["commit"] == "unknown"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    """Of data named cell-seg-images, the speed's file looks much like a record."""
    (tmp_path / "cell-seg-images-speed-i600.json").write_text("{}")
    (tmp_path / "notes.json").write_text("{}")
    assert load_records(tmp_path) == []


def test_a_record_under_the_old_name_of_a_model_is_found_under_the_new_one(tmp_path: Path) -> None:
    path = replace(record(), model="B printed").save(tmp_path)
    assert ExperimentRecord.load(path).model == "B plain"
