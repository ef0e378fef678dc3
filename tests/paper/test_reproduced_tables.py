"""The reproduced tables that docs/results shows are what our records say, to the letter."""

from pathlib import Path

import pytest

from unipan.ablations import TABLES
from unipan.engine.ablation_table import Finished, render
from unipan.engine.experiment_record import load_records

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
PAGES = {"scenes": RESULTS / "table1.md"}


def shown(page: Path, name: str) -> str:
    """What stands between the markers of a table."""
    text = page.read_text()
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    assert start in text, f"{page.name} does not show {name}"
    return text.split(start)[1].split(end)[0].strip()


@pytest.mark.parametrize("data", PAGES)
@pytest.mark.parametrize("name", ["table1", "tableG"])
def test_the_page_shows_what_the_records_say(data: str, name: str) -> None:
    records = [each for each in load_records(RESULTS / "runs") if each.data == data]
    assert records
    newest = max(int(each.extra["beside"]) for each in records)
    recipes = {each.extra["recipe"] for each in records if each.extra["beside"] == newest}
    assert len(recipes) == 1
    made = render(TABLES[name], Finished.of(records, data, recipes.pop(), newest))
    assert shown(PAGES[data], name) == made.strip()


def test_records_are_small() -> None:
    sizes = [path.stat().st_size for path in (RESULTS / "runs").iterdir()]
    assert max(sizes) < 200_000
