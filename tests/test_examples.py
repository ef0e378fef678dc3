"""The scripts of examples/ run, as they stand, and show what they are meant to show."""

import ast
import re
import runpy
import sys
import tempfile
from pathlib import Path

import pytest

from unipan.datasets.scenes.generator import SCENE_CATEGORIES

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
TOLD = {
    "affinities": ["<- its own", "argmax of P "],
    "any_detector": ["step 0: {", "step 9: {"],
    "evaluate_any_model": ["PQ", "of 6 images", "report/index.html"],
    "own_data": ["$ unipan data convert", "no findings", "best.safetensors", "out/index.html"],
}
"""Words of what each prints."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_runs(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert [words for words in TOLD[script.stem] if words not in said] == []


def test_a_head_on_any_detector_fuses_learns_and_fuses_again(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "any_detector.py"), run_name="__main__")
    fused, first, last, learned = capsys.readouterr().out.splitlines()
    before, after = (ast.literal_eval(line.partition(": ")[2]) for line in (first, last))
    assert before.keys() == after.keys() == {"panoptic", "semantic"}
    assert all(after[loss] < before[loss] for loss in before)
    names = {category.name for category in SCENE_CATEGORIES}
    for line in (fused, learned):  # both are maps of several segments of the scenes' classes
        found = re.search(r"(\d+) segments: ([a-z, ]+)", line)
        assert found is not None, line
        classes = found[2].split(", ")
        assert len(classes) == int(found[1]) > 1
        assert set(classes) <= names
    assert fused.startswith("PanopticResult(image, 128 x 64")


def test_there_are_four_and_the_pages_lead_to_them() -> None:
    assert {script.stem for script in SCRIPTS} == TOLD.keys()
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert [script.name for script in SCRIPTS if f"examples/{script.name}" not in pages] == []
