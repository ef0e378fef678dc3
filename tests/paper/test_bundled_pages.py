"""The tables of the bundled checkpoint on the pages are those that its records give (experiments/bundled_pages.py)."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = runpy.run_path(str(ROOT / "experiments" / "bundled_pages.py"))["TABLES"]


@pytest.mark.parametrize("mark", TABLES)
def test_a_table_on_a_page_is_that_of_the_records(mark: str) -> None:
    page, make = TABLES[mark]
    shown = (ROOT / page).read_text().partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
    assert shown.strip() == make().strip()
    assert shown.count("\n| ") >= 6
