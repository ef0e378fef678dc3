"""The reproduced tables that docs/results shows have the values of our records, cell by cell."""

import json
import re
from pathlib import Path

import pytest

from tests.paper import tables
from tests.test_conventions import tracked_files
from unipan.reproduction.paper_tables import TABLES
from unipan.reproduction.records import ExperimentRecord, load_records
from unipan.reproduction.request import Request
from unipan.reproduction.tables import FinishedTrainings, render_speed, render_table

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
RECORDS = RESULTS.parents[1] / "experiments" / "reproduce"
SHOWN = [
    ("scenes", 600, name, page)
    for page, names in {
        "table1.md": ("table1", "tableG"),
        "tables.md": ("table2", "tableF", "tableH", "tableI"),
    }.items()
    for name in names
] + [("nuclei", 300, "table1", "table1-nuclei.md"), ("facades", 300, "table1", "table1-facades.md")]


def our_records(data: str) -> list[ExperimentRecord]:
    """Those that the repository carries: who ran more in this clone has others in addition."""
    ours = {path.name for path in tracked_files()}
    return [each for each in load_records(RECORDS) if each.data == data and each.file_name in ours]


def shown(page: str, name: str) -> str:
    """What stands between the markers of a table."""
    text = (RESULTS / page).read_text()
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    assert text.count(start) == 1, f"{page} does not show {name}"
    return text.split(start)[1].split(end)[0].strip()


def values(table: str) -> list[list[str]]:
    """The figures and verdicts of every row, in order; words may change."""
    figure = re.compile(r"[\d.,;+\-–±x()/* ]+|holds|tie|reversed|not run")
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in row if cell.strip() and figure.fullmatch(cell.strip())] for row in rows]


def hashes_of(records: list[ExperimentRecord]) -> dict[str, str]:
    """Of the config of each model that was trained, or that a training served too."""
    found = {model: each.config_hash for each in records for model in (each.model, *each.extra.get("also", ()))}
    for each in records:
        assert found[each.model] == each.config_hash, f"{each.file_name}: its model was trained in two ways"
    return found


@pytest.mark.parametrize(("data", "iterations", "name", "page"), SHOWN)
def test_the_page_shows_what_the_records_say(data: str, iterations: int, name: str, page: str) -> None:
    records = our_records(data)
    made = render_table(TABLES[name], FinishedTrainings.of(records, data, hashes_of(records), iterations))
    assert values(shown(page, name)) == values(made)
    assert sum(map(len, values(made))) > 4


def test_the_command_finds_the_records_of_scenes(tmp_path: Path) -> None:
    request = Request(["table1"], "scenes", range(3), 1.0, 600, 1, tmp_path, RECORDS, "cpu")
    wanted = request.config_hashes()
    records = our_records("scenes")
    assert {each.model: each.config_hash for each in records}.items() <= wanted.items()


PRINTED = {
    "table1": tables.TABLE_1,
    "table2": tables.TABLE_2_MASKS | {"Ours w/ mask": tables.TABLE_2_MASKS["Ours"]},
    "tableF": {"variant C": tables.TABLE_F["Cityscapes C"], "variant B": tables.TABLE_1["D2"]},
    "tableI": {label.replace(" trimmed", ", trimmed"): row for label, row in tables.TABLE_I.items()},
    "tableH": {"ground truths": tables.TABLE_H["Ground truths"], "predictions": tables.TABLE_1["B"]},
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_papers_rows_are_the_papers(name: str) -> None:
    """Against the transcription that the arithmetic of tests/paper checks."""
    rest = ("SQst", "RQst", "IoUst") if name == "tableI" else ("SQ", "RQ", "IoU")
    names = ("PQ", "PQth", "PQst", *rest, "APmask", "APbox")
    rows = [row for row in TABLES[name].rows if row.label in PRINTED[name]]
    assert rows
    for row in rows:
        assert row.paper is not None
        cells = zip(names, row.paper, strict=True)
        assert {key: value for key, value in cells if value is not None} == PRINTED[name][row.label]


def test_the_readme_shows_figures_of_the_table() -> None:
    """PQ with its spread, things, stuff and the paper's PQ of every row: those of the page, which are the records'."""
    table = [line for line in shown("table1.md", "table1").splitlines() if line.startswith("|")]
    readme = (RESULTS.parents[1] / "README.md").read_text().split("## Results")[1].split("## Status")[0]
    rows = {}
    for line in readme.splitlines():
        if line.startswith("| ") and not line.startswith("| model"):
            name, *figures = (cell.strip(" *") for cell in line.strip("|").split("|"))
            rows[re.split(r"[:*]", name.replace(" *plain", " plain"))[0].strip()] = figures
    assert set(rows) == {"A", "B", "B plain", "C1", "D2", "D2 plain"}
    for name, (quality, things, stuff, paper) in rows.items():
        [row] = [line for line in table if line.split("|")[1].strip(" *") == name]
        cells = [cell.strip(" *") for cell in row.strip("|").split("|")]
        assert (quality, things, stuff) == (cells[2], cells[3].split(" ")[0], cells[4].split(" ")[0])
        letter = name.removesuffix(" plain")
        assert float(paper) == tables.TABLE_1[letter]["PQ"]


def test_the_page_shows_the_measured_speed() -> None:
    measured = json.loads((RECORDS / "scenes-speed-i600.json").read_text())
    assert values(shown("tables.md", "speed")) == values(render_speed(measured))


def test_every_table_on_a_page_is_checked() -> None:
    found = {
        (page.name, name)
        for page in RESULTS.glob("*.md")
        for name in re.findall(r"<!-- ((?:table\w+|speed)) -->", page.read_text())
    }
    assert found == {(page, name) for _, _, name, page in SHOWN} | {("tables.md", "speed")}


def test_records_are_small() -> None:
    sizes = [path.stat().st_size for path in RECORDS.iterdir()]
    assert max(sizes) < 200_000
