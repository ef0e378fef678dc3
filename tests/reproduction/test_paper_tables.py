"""The tables' rows and claims hang together, can be read off their networks, and quote the paper rightly."""

from itertools import pairwise

import pytest

from tests.paper import tables as paper
from unipan.config import HeuristicConfig
from unipan.reproduction.ablations import MODELS, photos_recipe, scenes_recipe
from unipan.reproduction.experiment import scored_fusions
from unipan.reproduction.paper_tables import PAPER_G, TABLE_1, TABLE_2, TABLE_I, TABLES, PaperTable

EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@EVERY_TABLE
def test_every_claim_is_about_rows_of_its_table(table: PaperTable) -> None:
    labels = [row.label for row in table.rows]
    assert len(set(labels)) == len(labels)
    for order in table.comparisons:
        assert {order.better, order.worse} <= set(labels)


@EVERY_TABLE
@pytest.mark.parametrize("recipe", [scenes_recipe, photos_recipe])
def test_every_row_can_be_read_off_its_network(table: PaperTable, recipe: object) -> None:
    for row in table.rows:
        config = MODELS[row.model].build(recipe())  # type: ignore[operator]
        limits = HeuristicConfig() if config.detection.masks else None
        assert row.fusion in scored_fusions(config, limits), row.label


@EVERY_TABLE
def test_the_papers_differences_are_those_of_its_rows(table: PaperTable) -> None:
    rows = {row.label: row for row in table.rows}
    for order in table.comparisons:
        if order.paper is None:
            assert None in (rows[order.better].paper, rows[order.worse].paper)
            continue
        for a, b, difference in zip(rows[order.better].paper, rows[order.worse].paper, order.paper, strict=False):  # type: ignore[arg-type]
            if None not in (a, b):
                assert difference == pytest.approx(a - b, abs=1e-9), (order.better, order.worse)


def test_the_papers_rows_are_quoted_rightly() -> None:
    own = {row.label: row.paper[:3] for row in TABLE_1.rows if row.paper}
    assert own == {name: (row["PQ"], row["PQth"], row["PQst"]) for name, row in paper.TABLE_1.items()}
    for label, name in (("Panoptic FPN", "Panoptic FPN"), ("UPSNet", "UPSNet"), ("Ours w/ mask", "Ours")):
        row = paper.TABLE_2_MASKS[name]
        assert next(r.paper[:3] for r in TABLE_2.rows if r.paper and r.label == label) == (
            row["PQ"],
            row["PQth"],
            row["PQst"],
        )


def test_every_neighbour_in_the_papers_order_is_compared() -> None:
    """What is judged is the paper's whole order, not those parts of it that hold here."""
    for table, labels in (
        (TABLE_1, ("A", "B", "C1", "C2", "D1", "D2")),
        (TABLE_2, ("Panoptic FPN", "Ours w/o mask", "UPSNet", "Ours w/ mask")),
    ):
        asked = {(order.better, order.worse) for order in table.comparisons}
        for worse, better in pairwise(labels):
            assert (better, worse) in asked


def test_only_table_i_scores_small_stuff() -> None:
    assert [(key, row.label) for key, table in TABLES.items() for row in table.rows if not row.trimmed] == [
        ("tableI", label) for label in ("Panoptic FPN", "UPSNet", "Ours")
    ]


def test_table_i_trims_every_second_row() -> None:
    assert [row.trimmed for row in TABLE_I.rows] == [False, True] * 3


def test_the_main_rows_are_trained_first_and_equal_times_last() -> None:
    turns = [MODELS[key].turn for key in TABLE_1.models]
    assert turns == sorted(turns)
    assert set(TABLE_1.models[:6]) == {"A", "A+", "B", "C", "C+", "D"}
    assert all(" as " in key for key in TABLE_1.models[-4:])


def test_the_papers_table_g_is_quoted_rightly() -> None:
    rows = paper.TABLE_G
    assert {
        side: (rows[f"Cityscapes {side}"]["things"], rows[f"Cityscapes {side}"]["stuff"]) for side in PAPER_G
    } == PAPER_G
