"""docs/design_choices.md shows the records of experiments/eq4_forms.py."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_forms_of_eq_4_on_the_page_are_the_records() -> None:
    table = runpy.run_path(str(ROOT / "experiments" / "eq4_forms.py"))["table"]
    page = (ROOT / "docs" / "design_choices.md").read_text()
    shown = page.partition("<!-- forms -->")[2].partition("<!-- /forms -->")[0].strip()
    assert shown == table(ROOT / "experiments" / "results" / "eq4_forms")
