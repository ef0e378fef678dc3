"""What needs no network is imported, and run, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import unipan
from tests.evaluation.cases import CLASSES, random_pair
from unipan.datasets.formats.coco_panoptic import PanopticWriter

SOURCE = Path(unipan.__file__).parent
PACKAGES = ("panoptic", "evaluation", "datasets/formats", "datasets/doctor", "datasets/scenes", "visualization")
VERBS = ("pq", "scenes", "data", "data_check", "data_convert", "data_show")
HEAVY = {"torch", "torchvision", "lightning_fabric", "safetensors"}


def names() -> list[str]:
    files = [path for package in PACKAGES for path in sorted((SOURCE / package).glob("*.py"))]
    files += [path for verb in VERBS if (path := SOURCE / "commands" / f"{verb}.py").is_file()]
    return [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in files]


def modules_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_every_module_is_imported_without_torch() -> None:
    found = modules_after("\n".join(f"import {name}" for name in names()))
    assert len(names()) > 60
    assert not found & HEAVY


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ([], {"cv2", "scipy", "PIL", "rich", "tyro", "jaxtyping", "jinja2"}),
        (["--html"], {"scipy", "rich", "tyro", "jaxtyping"}),
        (["--explain", "--trim-stuff", "9", "--html"], {"scipy", "rich", "tyro", "jaxtyping"}),
    ],
)
def test_pq_runs_without_torch_and_imports_little(tmp_path: Path, options: list[str], missing: set[str]) -> None:
    for side, position in (("truth", 0), ("prediction", 1)):
        with PanopticWriter(tmp_path / side, CLASSES) as writer:
            for number in range(3):
                writer.add(f"{number}.jpg", number, random_pair(number)[position])
    arguments = ["pq", str(tmp_path / "truth"), str(tmp_path / "prediction"), *options]
    if "--html" in options:
        arguments.append(str(tmp_path / "page"))
    found = modules_after(f"from unipan.cli import main; assert main({arguments!r}) == 0")
    assert not found & (HEAVY | missing)
