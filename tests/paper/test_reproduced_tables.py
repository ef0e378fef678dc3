"""The reproduced tables that docs/results shows are what our records say, to the letter."""

import json
import re
from pathlib import Path

import pytest

from unipan.ablations import TABLES
from unipan.engine.ablation_table import Finished, render, render_speed
from unipan.engine.experiment_record import load_records

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
SHOWN = [
    ("scenes", 600, name, page)
    for page, names in {
        "table1.md": ("table1", "tableG"),
        "tables.md": ("table2", "tableF", "tableH", "tableI"),
    }.items()
    for name in names
] + [("nuclei", 300, "table1", "table1-nuclei.md"), ("facades", 600, "table1", "table1-facades.md")]


def shown(page: str, name: str) -> str:
    """What stands between the markers of a table."""
    text = (RESULTS / page).read_text()
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    assert text.count(start) == 1, f"{page} does not show {name}"
    return text.split(start)[1].split(end)[0].strip()


@pytest.mark.parametrize(("data", "iterations", "name", "page"), SHOWN)
def test_the_page_shows_what_the_records_say(data: str, iterations: int, name: str, page: str) -> None:
    records = [each for each in load_records(RESULTS / "runs") if each.data == data]
    recipes = {each.extra["recipe"] for each in records if each.extra["beside"] == iterations}
    assert len(recipes) == 1
    made = render(TABLES[name], Finished.of(records, data, recipes.pop(), iterations))
    assert shown(page, name) == made.strip()


def test_the_page_shows_the_measured_speed() -> None:
    measured = json.loads((RESULTS / "runs" / "scenes-speed.json").read_text())
    assert shown("tables.md", "speed") == render_speed(measured).strip()


def test_every_table_on_a_page_is_checked() -> None:
    found = {
        (page.name, name)
        for page in RESULTS.glob("*.md")
        for name in re.findall(r"<!-- ((?:table\w+|speed)) -->", page.read_text())
    }
    assert found == {(page, name) for _, _, name, page in SHOWN} | {("tables.md", "speed")}


def test_records_are_small() -> None:
    sizes = [path.stat().st_size for path in (RESULTS / "runs").iterdir()]
    assert max(sizes) < 200_000
