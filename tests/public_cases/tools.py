"""What the tests of public cases ask of a map, a set, and a command."""

import csv
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.panoptic.maps import PanopticMap

Say = Callable[..., tuple[int, str]]
Make = Callable[[str], Path]


def kinds(truth: PanopticMap) -> Counter[tuple[str, bool]]:
    """(class, crowd) -> number of segments."""
    return Counter((each.category.name, each.iscrowd) for each in truth)


def areas(truth: PanopticMap) -> list[tuple[str, int]]:
    """Class and number of pixels of each segment, in order; a crowd's class says so."""
    return sorted((each.category.name + " crowd" * each.iscrowd, each.area) for each in truth)


def void(truth: PanopticMap) -> int:
    """The number of pixels without a segment."""
    return int((truth.ids == 0).sum())


def findings(unipan: Say, folder: Path, *more: object) -> tuple[int, dict[str, int], str]:
    """Exit status and counts of `data check`, and what it says."""
    status, said = unipan("data", "check", folder, "--json", _report(folder), *more)
    return status, json.loads(_report(folder).read_text())["counts"], said


def texts(folder: Path, kind: str) -> list[str]:
    """What the last `findings` of a set wrote of one kind: all of it, while the terminal gets the first few."""
    report = json.loads(_report(folder).read_text())
    return [row["text"] for row in report["findings"] if row["kind"] == kind]


def _report(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.findings.json"


def repaired(unipan: Say, folder: Path) -> CocoPanoptic:
    """What --fix makes of a set; nothing is wrong with the copy."""
    out = folder.parent / "repaired"
    findings(unipan, folder, "--fix", out)
    assert unipan("data", "check", out)[0] == 0
    return CocoPanoptic(out)


def converted(unipan: Say, source: object, out: Path, *more: object) -> tuple[CocoPanoptic, str]:
    """What `data convert` makes, and what it says."""
    status, said = unipan("data", "convert", source, out, *more)
    assert status == 0, said
    images = out / "images" if (out / "images").is_dir() else None
    return CocoPanoptic.of(out / "panoptic.json", images, out / "panoptic"), said


def steps(unipan: Say, data: Path, out: Path, *more: object) -> tuple[int, str]:
    """Two steps of the recipe for own data: exit status, and what it says. Each loss is a finite number."""
    options = ("--train.iterations", 2, "--train.warmup", 0, "--train.batch-size", 1, "--data.crop", 64, 64)
    status, said = unipan("train", "finetune", "--data", data, "--out", out, "--data.short-side", 96, *options, *more)
    rows = log_of(out) if status == 0 else []
    for row in rows:
        empty = [name for name, value in row.items() if not value]
        assert all("things" in name for name in empty), empty  # there is no PQ where there is no thing
        assert all(math.isfinite(float(value)) for value in row.values() if value), row
    assert len(rows) == 2 * (status == 0)
    return status, said


def log_of(run: Path) -> list[dict[str, str]]:
    """The rows of a run's log.csv."""
    with (run / "log.csv").open() as file:
        return list(csv.DictReader(file))
