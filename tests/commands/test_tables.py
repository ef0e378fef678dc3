"""The table of pq and evaluate and the one of the demo print the same figures."""

import pytest
from rich.console import Console

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.commands.tables import print_scores
from unipan.demo.run import SHOWN_FUSIONS, score_table
from unipan.evaluation.bootstrap import bootstrap_quality
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS
from unipan.evaluation.summary import summarize


def printed(table: object) -> str:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table)
    return shown.get()


def test_evaluate_and_the_demo_print_identical_intervals() -> None:
    quality = PanopticQuality(CLASSES)
    for seed in range(12):
        quality.update(*random_pair(seed), str(seed))
    found = bootstrap_quality(quality)
    tables = "\n".join(summarize(quality, found)), printed(score_table(dict.fromkeys(SHOWN_FUSIONS, found)))
    for each in found.values():
        assert each is not None
        assert [str(interval) in table for interval in each.values() for table in tables] == [True] * 6


def test_a_group_without_classes_is_a_dash() -> None:
    quality = PanopticQuality(CLASSES)
    quality.update(of(["ss"]), of(["ss"]), "a")
    things = next(line for line in summarize(quality, bootstrap_quality(quality)) if line.startswith("Things"))
    assert things.split() == ["Things", "-", "-", "-", "0"]


def test_the_columns_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    quality = PanopticQuality(CLASSES)
    for seed in range(12):
        quality.update(*random_pair(seed), str(seed))
    print_scores(quality, bootstrap_quality(quality), "title", ["the end"])
    said = capsys.readouterr().out.splitlines()
    assert (said[0], said[-1]) == ("title", "the end")
    table = said[1:6]
    starts = [place for place, letter in enumerate(table[1]) if letter == "-" and table[1][place - 1 : place] != "-"]
    assert [[row[start:].split("  ")[0].strip() for start in starts] for row in (table[0], *table[2:])] == [
        ["", "PQ", "SQ", "RQ", "classes"],
        *([group, *map(str, each.values()), str(quality.compute()[group].n)]  # type: ignore[union-attr]
          for group in GROUPS if (each := bootstrap_quality(quality)[group]) is not None),
    ]  # fmt: skip
