"""Tables from records: the figures, the verdicts, what is missing, and that a short run says so."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.reproduction.ablations import MODELS
from unipan.reproduction.paper_tables import TABLE_1, TABLE_G, TABLE_I, Comparison, PaperTable, Printed, TableRow
from unipan.reproduction.records import ExperimentRecord, hash_of
from unipan.reproduction.tables import FinishedTrainings, has_places, into_page, render_table

READINGS = ("potential", "affinity", "heuristic", "tuned", "upsnet", "heuristic whole", "upsnet whole")
FACTS = {"machine": "a laptop", "commit": "abc"}


def record(model: str, seed: int, iou: list[float], beside: int = 50, **extra: object) -> ExperimentRecord:
    """Every class is matched once an image at these IoUs; trimming removes all stuff of the first image."""
    counts = [[[label, value, 1] for label in range(4)] for value in iou]
    trimmed = {"0": [row for row in counts[0] if row[0] < 2]}
    reading = {"counts": counts, "trimmed": trimmed, "iou": {"stuff": 0.7}, "iou_trimmed": {"stuff": 0.6}}
    confusion = [[6, 2, 1, 1, 0], [0, 8, 1, 1, 0], [0, 0, 5, 5, 0], [1, 0, 0, 9, 0]]
    return ExperimentRecord(
        model=model, data="drawn", seed=seed, iterations=beside, config={"model": model}, facts=FACTS,
        categories=CATEGORIES.to_coco(), images=[f"{n}.png" for n in range(len(iou))],
        fusions=dict.fromkeys(READINGS, reading),
        semantic={"mean": 0.5, "confusion": confusion}, ap={"box": 0.25, "mask": None}, tuned=None,
        ceiling={"all": 0.9}, extra={"beside": beside, **extra},
    )  # fmt: skip


def of(*records: ExperimentRecord) -> FinishedTrainings:
    return FinishedTrainings.of(records, "drawn", {model: hash_of({"model": model}) for model in MODELS}, 50)


def cells(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


SMALL = PaperTable(
    "Small",
    (
        TableRow("good", "D", "affinity", "", Printed(61.4, None, 66.3, 81.1, 74.7, ap_box=38.8), trimmed=False),
        TableRow("bad", "C", "potential", "ours", trimmed=False),
    ),
    (Comparison("good", "bad", "one", (1.8, None, 1.5)), Comparison("bad", "good", "the reverse")),
)


def test_figures_spread_and_paper() -> None:
    first, second = record("D", 0, [0.8, 0.9]), record("D", 1, [0.7, 0.6])
    first.semantic["mean"] = 0.6
    assert first.ap is not None
    first.ap["box"] = 0.27
    text = render_table(SMALL, of(first, second, record("C", 0, [0.5, 0.5])))
    assert "50 iterations a model, seeds 0, 1" in text
    row = cells(text, "**good**")
    assert row[2:5] == ["75.0 ± 14.1"] * 3
    assert row[5:7] == ["75.0 ± 14.1", "100.0 ± 0.0"]
    assert row[7:] == ["55.0 ± 7.1", "–", "26.0 ± 1.4", "90.0", "2", "61.4 (–, 66.3); 81.1, 74.7, –, –, 38.8"]
    assert cells(text, "*bad*")[2] == "50.0"
    assert "smoke" not in text


def test_affinities_tell_objects_apart_in_the_rows_that_have_it_measured() -> None:
    apart = [{"class": {"affinity": a, "V": 0.5, "nearness": 0.9, "things": 3}} for a in (0.8, 0.7)]
    d = [replace(record("D", seed, [0.8]), separation=each) for seed, each in enumerate(apart)]
    text = render_table(SMALL, of(*d, record("D", 2, [0.8]), record("C", 0, [0.5])))
    assert cells(text, "row")[-1] == "AUC within the class: affinity, V, nearness"
    assert cells(text, "**good**")[-1] == "0.75, 0.50, 0.90"
    assert cells(text, "*bad*")[-1] == "–"


def test_verdicts() -> None:
    close = [0.70, 0.72, 0.69, 0.71]
    better = of(record("D", 0, [0.8, 0.81, 0.79, 0.8]), record("C", 0, close))
    text = render_table(SMALL, better)
    assert cells(text, "good over bad")[5:] == ["holds", "1"]
    assert cells(text, "good over bad")[4] == "+1.8 / – / +1.5"
    assert cells(text, "bad over good")[5] == "reversed"
    assert cells(text, "good over bad")[1].startswith("**+9.5 (")
    tie = render_table(SMALL, of(record("D", 0, [0.71, 0.69, 0.72, 0.70]), record("C", 0, close)))
    assert cells(tie, "good over bad")[5] == "tie"


def test_only_seeds_that_both_rows_have_are_compared() -> None:
    text = render_table(SMALL, of(record("D", 0, [0.8, 0.8]), record("D", 1, [0.1, 0.1]), record("C", 0, [0.5, 0.5])))
    assert cells(text, "good over bad")[1] == "**+30.0 (30.0, 30.0)**"


def test_what_is_missing_is_said() -> None:
    text = render_table(SMALL, of(record("D", 0, [0.8, 0.8])))
    assert cells(text, "*bad*")[11] == "0"
    assert cells(text, "good over bad")[5:] == ["not run", "0"]
    with pytest.raises(ValueError, match="no finished training"):
        render_table(SMALL, of())
    assert of(record("D", 0, [0.5], beside=70)).records == {}


def test_a_short_run_calls_itself_smoke() -> None:
    assert "smoke: too short to compare" in render_table(SMALL, of(record("D", 0, [0.8, 0.8], smoke=True)))


def test_records_of_other_images_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="scored on different images"):
        render_table(SMALL, of(record("D", 0, [0.8, 0.8]), record("D", 1, [0.8])))


def test_table_g_is_shares_of_pixels() -> None:
    text = render_table(TABLE_G, of(record("D", 0, [0.8])))
    assert cells(text, "things |") == ["things", "80.0", "20.0", "1", "95.1", "4.9"]
    assert cells(text, "stuff |")[:3] == ["stuff", "5.0", "95.0"]
    assert cells(text, "things lost")[1:] == ["**+15.0 (15.0, 15.0)**", "+4.9", "holds", "1"]
    assert "no counts by image" in text
    worse = record("D", 1, [0.8])
    worse.semantic["confusion"] = [[6, 0, 3, 1, 0], [0, 6, 1, 3, 0], [0, 0, 5, 5, 0], [1, 0, 0, 9, 0]]
    text = render_table(TABLE_G, of(record("D", 0, [0.8]), worse))
    assert cells(text, "things |")[1:4] == ["70.0 ± 14.1", "30.0 ± 14.1", "2"]
    assert cells(text, "stuff |")[1:4] == ["5.0 ± 0.0", "95.0 ± 0.0", "2"]
    assert cells(text, "things lost")[1] == "**+25.0 (15.0, 35.0)**"


def test_table_g_counts_by_image_where_the_records_have_them() -> None:
    first, second = record("D", 0, [0.8, 0.8]), record("D", 1, [0.8, 0.8])
    for each in (first, second):
        each.semantic["sides"] = [[8, 2, 3, 7], [9, 1, 0, 10]]
    text = render_table(TABLE_G, of(first, second))
    assert cells(text, "things lost")[1] == "+0.0 (−10.0, 10.0)"
    assert cells(text, "things lost")[3] == "tie"
    assert "over seeds and images." in text
    for each in (first, second):  # no thing in any image
        each.semantic["sides"] = [[0, 0, 3, 7], [0, 0, 0, 10]]
    assert cells(render_table(TABLE_G, of(first, second)), "things lost")[1] == "–"


def test_table_i_is_judged_by_stuff() -> None:
    records = [record(model, 0, [0.2, 0.8]) for model in ("D", "Panoptic FPN", "UPSNet")]
    text = render_table(TABLE_I, of(*records))
    assert cells(text, "Ours |")[1:] == ["50.0", "50.0", "100.0", "70.0", "1", "64.2; 81.4, 77.1, 78.3"]
    assert cells(text, "Ours, trimmed |")[1] == "80.0"
    assert cells(text, "Ours, trimmed |")[4] == "60.0"
    assert cells(text, "Ours, trimmed over")[4] == "– / – / +2.1"


def test_small_stuff_is_removed_first_unless_a_row_says_otherwise() -> None:
    whole, trimmed = TableRow("whole", "D", "affinity", "", trimmed=False), TableRow("row", "D", "affinity", "")
    text = render_table(PaperTable("T", (whole, trimmed), ()), of(record("D", 0, [0.2, 0.8])))
    assert cells(text, "*whole*")[4] == "50.0"
    assert cells(text, "*row*")[4] == "80.0"
    assert cells(text, "*row*")[3] == "50.0"


def test_table_1_of_half_the_trainings_renders() -> None:
    generator = np.random.default_rng(0)
    records = [record(model, 0, generator.uniform(0.5, 0.9, 6).round(4).tolist()) for model in ("A", "B", "D")]
    text = render_table(TABLE_1, of(*records))
    assert cells(text, "B over A: ")[5] in ("holds", "tie", "reversed")
    assert cells(text, "D2 over C2: ")[5] == "not run"


def test_a_page_that_is_a_pipe_has_no_places_and_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("<!-- table1 --><!-- /table1 -->")
    assert has_places(tmp_path / "page.md")
    os.mkfifo(tmp_path / "pipe.md")
    assert not has_places(tmp_path / "pipe.md")


def test_tables_go_to_their_places_on_a_page() -> None:
    page = "words\n<!-- table1 -->\nold\n<!-- /table1 -->\nbetween\n<!-- tableG --><!-- /tableG -->\nlast"
    made = into_page(page, {"tableG": "gee\n", "table1": "one\n"})
    whole = "words\n<!-- table1 -->\none\n<!-- /table1 -->\nbetween\n<!-- tableG -->\ngee\n<!-- /tableG -->\nlast"
    assert made == whole
    assert into_page(made, {"tableG": "gee\n", "table1": "one\n"}) == whole
    assert into_page(made, {"table1": "two"}) == whole.replace("one", "two")


def test_a_page_without_places_becomes_the_tables() -> None:
    assert into_page("old words", {"table1": "one\n", "tableG": "gee\n"}) == "one\n\ngee\n"


@pytest.mark.parametrize("page", ["<!-- table1 -->x<!-- /table1 -->", "<!-- tableG -->x<!-- /tableG -->" * 2])
def test_a_page_with_places_for_some_tables_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"has [02] places <!-- table"):
        into_page(page, {"table1": "one", "tableG": "gee"})
