"""docs/design_choices.md shows the records of experiments/positional_encodings.py."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_encodings_on_the_page_are_the_records() -> None:
    table = runpy.run_path(str(ROOT / "experiments" / "positional_encodings.py"))["table"]
    page = (ROOT / "docs" / "design_choices.md").read_text()
    shown = page.partition("<!-- encodings -->")[2].partition("<!-- /encodings -->")[0].strip()
    assert shown == table(ROOT / "experiments" / "results" / "encodings")
    assert "rope of five from 32 cells" in shown
