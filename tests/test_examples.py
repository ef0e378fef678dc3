"""The scripts of examples/ run, as they stand, and say something."""

import runpy
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
TOLD = {
    "affinities": ["<- its own", "argmax of P "],
    "any_detector": [],
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
    assert said.strip()
    assert [words for words in TOLD[script.stem] if words not in said] == []


def test_there_are_four_and_the_pages_lead_to_them() -> None:
    assert {script.stem for script in SCRIPTS} == TOLD.keys()
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert [script.name for script in SCRIPTS if f"examples/{script.name}" not in pages] == []
