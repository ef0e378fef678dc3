"""The ablations' networks, rows and claims hang together, and quote the paper rightly."""

import pytest

from tests.paper import tables as paper
from unipan.ablations import MODELS, TABLE_1, TABLE_2, TABLE_I, TABLES, Table, as_printed, photos_recipe, scenes_recipe
from unipan.config import MergerConfig
from unipan.engine.experiment import ways_to_read

EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@EVERY_TABLE
def test_every_claim_is_about_rows_of_its_table(table: Table) -> None:
    labels = [row.label for row in table.rows]
    assert len(set(labels)) == len(labels)
    for order in table.orders:
        assert {order.better, order.worse} <= set(labels)


@EVERY_TABLE
@pytest.mark.parametrize("recipe", [scenes_recipe, photos_recipe])
def test_every_row_can_be_read_off_its_network(table: Table, recipe: object) -> None:
    for row in table.rows:
        config = MODELS[row.model].build(recipe())  # type: ignore[operator]
        limits = MergerConfig() if config.detection.masks else None
        assert row.reading in ways_to_read(config, limits), row.label


@EVERY_TABLE
def test_the_papers_differences_are_those_of_its_rows(table: Table) -> None:
    rows = {row.label: row for row in table.rows}
    for order in table.orders:
        if order.paper is None:
            assert rows[order.better].ours or rows[order.worse].ours
            continue
        for a, b, difference in zip(rows[order.better].paper, rows[order.worse].paper, order.paper, strict=True):  # type: ignore[arg-type]
            if None not in (a, b):
                assert difference == pytest.approx(a - b, abs=1e-9), (order.better, order.worse)


def test_the_papers_rows_are_quoted_rightly() -> None:
    own = {row.label: row.paper for row in TABLE_1.rows if not row.ours}
    assert own == {name: (row["PQ"], row["PQth"], row["PQst"]) for name, row in paper.TABLE_1.items()}
    for label, name in (("Panoptic FPN", "Panoptic FPN"), ("UPSNet", "UPSNet"), ("Ours w/ mask", "Ours")):
        row = paper.TABLE_2_MASKS[name]
        assert next(r.paper for r in TABLE_2.rows if r.label == label) == (row["PQ"], row["PQth"], row["PQst"])


def test_what_the_letters_of_table_1_stand_for() -> None:
    found = {}
    for letter in ("A", "A+", "B", "C", "C+", "D"):
        config = MODELS[letter].build(scenes_recipe())
        assert (config.loss.potential > 0) is config.affinity.enabled
        found[letter] = (config.detection.masks, config.affinity.enabled, config.loss.panoptic > 0)
    assert found == {
        "A": (False, False, False),
        "A+": (False, False, True),
        "B": (False, True, True),
        "C": (True, False, False),
        "C+": (True, False, True),
        "D": (True, True, True),
    }


def test_a_model_of_equal_time_is_the_same_network() -> None:
    for key, model in MODELS.items():
        if model.as_long_as is not None:
            assert model.build(scenes_recipe()) == MODELS[key.split(" as ")[0]].build(scenes_recipe())
            assert MODELS[model.as_long_as].as_long_as is None


def test_table_i_trims_every_second_row() -> None:
    assert [row.trimmed for row in TABLE_I.rows] == [False, True] * 3


def test_as_printed_is_without_what_is_ours() -> None:
    for letter in ("B", "D"):
        config, full = MODELS[f"{letter} printed"].build(scenes_recipe()), MODELS[letter].build(scenes_recipe())
        assert (config.affinity.places, config.loss.potential) == (0, 0)
        assert full.affinity.places > 0
        assert as_printed(full) == config
        photos = MODELS[letter].build(photos_recipe())
        assert photos.affinity.rotary > 0
        assert photos.loss.mask_kind == "both"
        printed = as_printed(photos)
        assert (printed.affinity.rotary, printed.loss.mask_kind) == (0, "lovasz")


def test_the_main_rows_are_trained_first_and_equal_times_last() -> None:
    turns = [MODELS[key].turn for key in TABLE_1.models]
    assert turns == sorted(turns)
    assert set(TABLE_1.models[:6]) == {"A", "A+", "B", "C", "C+", "D"}
    assert all(" as " in key for key in TABLE_1.models[-4:])
