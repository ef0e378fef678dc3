"""What was written under the old names of config fields is read as before: checkpoints, resume states, records."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.tiny import tiny_config
from unipan.checkpoint_header import config_from_dict, read_header
from unipan.config import Config
from unipan.presets import preset
from unipan.renamed_fields import RENAMED, RESTATED, flatten, nest, with_new_names, with_old_names
from unipan.reproduction.records import ExperimentRecord, changed_fields, hash_of
from unipan.training.run_folder import RESUMED, RunRecord

RUNS = Path(__file__).resolve().parents[1] / "experiments" / "reproduce"
RECORDS = sorted(RUNS.glob("*-s*-i*-????????.json"))
assert len(RECORDS) > 60, RUNS


def as_json(config: Config) -> dict[str, object]:
    fields: dict[str, object] = json.loads(json.dumps(asdict(config)))
    return fields


def under_old_names(config: Config) -> dict[str, object]:
    return nest(with_old_names(flatten(as_json(config))))


def test_new_names_are_fields_and_old_ones_are_not() -> None:
    fields = flatten(asdict(Config()))
    assert set(RENAMED.values()) <= fields.keys()
    assert not RENAMED.keys() & fields.keys()
    assert RESTATED.keys() <= fields.keys()
    assert len(set(RENAMED.values())) == len(RENAMED)


@pytest.mark.parametrize("name", ["scenes", "coco", "cityscapes_upsnet", "scenes_panoptic_fpn"])
def test_a_config_under_old_names_is_read(name: str) -> None:
    config = preset(name)
    old = under_old_names(config)
    assert old != as_json(config)
    assert config_from_dict(old) == config_from_dict(as_json(config)) == config


def test_a_checkpoint_of_0_1_has_the_old_names_and_is_read(tmp_path: Path) -> None:
    """The header is that of the checkpoint which version 0.1 bundled."""
    header = json.loads((Path(__file__).parent / "checkpoint_header_0.1.json").read_text())
    path = tmp_path / "old.safetensors"
    save_file({"temperature": torch.ones(())}, path, metadata=header)
    stored = json.loads(header["config"])
    assert stored["merger"] == {"score": 0.2, "overlap": 0.3, "mask": 0.6, "stuff_area": 0.0}
    config, _, _ = read_header(path)
    assert tuple(vars(config.heuristic).values()) == (0.2, 0.3, 0.6, 0.0)
    assert (config.train.batch_size, config.train.ema_decay, config.train.max_grad_norm) == (8, 0.998, 5.0)
    assert (config.detection.nms_threshold, config.matching.use_gt_boxes) == (0.35, False)
    assert flatten(under_old_names(config)).items() >= flatten(stored).items()


def test_a_resume_state_with_old_names_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(tiny_config(), matching=replace(tiny_config().matching, use_gt_boxes=True))
    monkeypatch.setattr("unipan.training.run_folder.asdict", under_old_names)
    RunRecord(tmp_path, quiet=True).save_resume(dict.fromkeys(RESUMED - {"config"}), config)
    assert RunRecord(tmp_path, quiet=True).load_resume()[1] == config


def test_an_unknown_field_is_named_with_its_section() -> None:
    content = as_json(Config())
    content["train"]["tempo"] = 3  # type: ignore[index]
    with pytest.raises(ValueError, match=r"config\.train: .* 'tempo'"):
        config_from_dict(content)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_committed_record_keeps_its_hash(path: Path) -> None:
    """Its file name ends in the hash of its fields, under the names of the version that wrote it."""
    record = ExperimentRecord.load(path)
    assert record.file_name == path.name
    assert record.config.keys() <= flatten(asdict(Config())).keys()


def test_a_training_today_has_the_hash_of_one_under_old_names() -> None:
    old = {"train.batch": 2, "matching.detections": "truth", "detection.anchor_ratios": [1.0]}
    new = with_new_names(old)
    assert new == {"train.batch_size": 2, "matching.use_gt_boxes": True, "detection.anchor_ratios": [1.0]}
    assert hash_of(old) == hash_of(new)
    base = Config()
    config = replace(
        base,
        train=replace(base.train, batch_size=2),
        matching=replace(base.matching, use_gt_boxes=True),
        detection=replace(base.detection, anchor_ratios=(1.0,)),
    )
    assert changed_fields(config) == new
