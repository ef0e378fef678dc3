"""The record of a finished training: a small JSON file from which the tables are rebuilt."""

import hashlib
import json
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from unipan.config import Config
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.files import read_text, write_atomically
from unipan.panoptic.categories import Categories
from unipan.renamed_fields import flatten, with_new_names, with_old_names

RENAMED_KEYS = {"readings": "fusions", "merger": "tuned"}
"""Keys in records written by version 0.1, and their current names."""
RENAMED_MODELS = {"B printed": "B plain", "D printed": "D plain"}
"""Models in records of before, and their current keys."""
DIGITS = 4
"""Decimals of an image's IoU sum in a record; over a hundred images PQ changes by less than 1e-5."""


@dataclass(frozen=True)
class ExperimentRecord:
    """One training and the scores of its maps.

    Attributes:
        model: key of `ablations.MODELS`.
        data: what it was trained on: `scenes` or the folder's name.
        seed: of weights, order and augmentation.
        iterations: optimiser steps.
        config: the fields that differ from Config's defaults, by dotted name.
        facts: commit, machine, versions, seconds per iteration, minutes.
        categories: of the data, in COCO's form.
        images: names, in the order of `counts`.
        fusions: by name: `counts`, per image rows of class, IoU sum, TP, FP, FN (trailing zeros left out);
            `trimmed`, the same by index for the images that trimming small stuff changes; `iou`, `iou_trimmed`.
        semantic: IoU of V; `confusion`, its pixels by class; `sides`, per image the pixels of things taken for things,
            things for stuff, stuff for things and stuff for stuff (older records have none).
        ap: of boxes and masks; None without faster-coco-eval.
        tuned: the tuned thresholds of the heuristic fusion; None without masks.
        ceiling: PQ of a perfect P on this grid.
        separation: how well affinities tell objects apart, as `analysis.separation` has it; None without them, and in
            older records.
    """

    model: str
    data: str
    seed: int
    iterations: int
    config: dict[str, Any]
    facts: dict[str, Any]
    categories: list[dict[str, Any]]
    images: list[str]
    fusions: dict[str, dict[str, Any]]
    semantic: dict[str, Any]
    ap: dict[str, float | None] | None
    tuned: dict[str, float] | None
    ceiling: dict[str, float]
    separation: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def config_hash(self) -> str:
        """Hash of the config without the seed."""
        return hash_of(self.config)

    @property
    def file_name(self) -> str:
        """The name under which `save` writes it."""
        return record_name(self.data, self.model, self.seed, self.iterations, self.config_hash)

    @cached_property
    def classes(self) -> Categories:
        """The categories as an object."""
        return Categories.from_coco(self.categories)

    def counts(self, fusion: str, trimmed: bool = False) -> Float64[np.ndarray, "I L 4"]:
        """IoU sum, TP, FP, FN per image and class.

        Raises:
            ValueError: the record has no such fusion.
        """
        if fusion not in self.fusions:
            raise ValueError(
                f"record {self.file_name}: it has no fusion {fusion!r}, only {', '.join(self.fusions)}; "
                "remove the file and run the command again"
            )
        rows, changed = self.fusions[fusion]["counts"], self.fusions[fusion]["trimmed"]
        found = np.zeros((len(self.images), len(self.categories), 4))
        for image, cells in enumerate(rows):
            for label, *values in changed.get(str(image), cells) if trimmed else cells:
                found[image, label, : len(values)] = values
        return found

    def save(self, folder: Path) -> Path:
        """Write the file; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file_name
        write_atomically(path, (json.dumps(asdict(self), separators=(",", ":"), allow_nan=False) + "\n").encode())
        return path

    @classmethod
    def load(cls, path: Path) -> "ExperimentRecord":
        """Read one file.

        Raises:
            ValueError: it is not a record.
        """
        try:
            content = {RENAMED_KEYS.get(key, key): value for key, value in json.loads(read_text(path)).items()}
            content["model"] = RENAMED_MODELS.get(content["model"], content["model"])
            record = cls(**content)
            return replace(record, config=with_new_names(record.config))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"record {path}: it cannot be read ({error}); remove it and run the command again"
            ) from error


def record_name(data: str, model: str, seed: int, iterations: int, config_hash: str) -> str:
    """File name of a record, from everything that distinguishes two trainings."""
    return f"{data}-{model.replace(' ', '-')}-s{seed}-i{iterations}-{config_hash}.json"


def load_records(folder: Path) -> list[ExperimentRecord]:
    """All records of a folder, sorted by name; other files are ignored."""
    ending = re.compile(r"-s\d+-i\d+-[0-9a-f]{8}\.json")
    return [ExperimentRecord.load(path) for path in sorted(folder.glob("*.json")) if ending.search(path.name)]


def sparse(quality: PanopticQuality, names: list[str]) -> list[list[list[int | float]]]:
    """For each image the classes that occur, as rows of class, IoU sum, TP, FP, FN without trailing zeros."""
    found = []
    for name in names:
        counted = quality.counts[name]
        pairs = zip(counted.classes.tolist(), counted.total.tolist(), strict=True)
        found.append(
            [_without_last_zeros([label, round(iou, DIGITS), *map(int, rest)]) for label, (iou, *rest) in pairs]
        )
    return found


def differing(plain: list[Any], changed: list[Any]) -> dict[str, Any]:
    """The entries of `changed` that differ from those of `plain`, by index."""
    pairs = enumerate(zip(plain, changed, strict=True))
    return {str(index): other for index, (own, other) in pairs if own != other}


def _without_last_zeros(row: list[int | float]) -> list[int | float]:
    while len(row) > 1 and row[-1] == 0:
        row = row[:-1]
    return row


def changed_fields(config: Config) -> dict[str, Any]:
    """The fields of a config that differ from the defaults, by dotted name, without seed and iterations.

    A field that a later version adds with a default is not among them, so old records keep their hash.
    """
    mine, default = (flatten(json.loads(json.dumps(asdict(each)))) for each in (config, Config()))
    skipped = ("name", "train.seed", "train.iterations")
    return {key: value for key, value in mine.items() if key not in skipped and default.get(key) != value}


def hash_of(fields: dict[str, Any]) -> str:
    """Eight hexadecimal digits that depend on the value of every field, but not on a renaming of fields."""
    text = json.dumps(with_old_names(fields), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def environment(device: torch.device) -> dict[str, Any]:
    """Commit, processor, versions and the device that was used, for the record."""
    return {
        "commit": _commit(),
        "machine": _processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def _commit() -> str:
    """The commit of the running source, or `unknown` outside a clone."""
    here = Path(__file__).resolve()
    # An environment inside another project's clone would report that project's commit: does git know this file?
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return "unknown"
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=10") or "unknown"


def _git(folder: Path, *command: str) -> str | None:
    """The output of git in that folder; None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    """The name of the processor according to the operating system."""
    path = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
        if path.is_file()
        else []
    )
    return f"{names[0]}, {len(names)} threads" if names else platform.processor() or platform.machine()
