"""The folder of `--html`: its numbers are those of the evaluator, its worst image comes first."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.tiny import CATEGORIES, draw
from unipan.evaluation.extra_metrics import BesidePQ
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.report import WIDTH, small, write_evaluation
from unipan.panoptic.maps import PanopticMap, panoptic_map

Maps = dict[str, tuple[PanopticMap, PanopticMap]]


def forgetful(truth: PanopticMap, count: int) -> PanopticMap:
    """The truth without its first `count` things, moved by a pixel."""
    gone = [segment.id for segment in truth if segment.isthing][:count]
    ids = np.roll(truth.ids, 1, axis=1)
    ids[np.isin(ids, gone)] = 0
    return panoptic_map(ids, {s.id: s.category for s in truth if s.id not in gone})


def counted() -> tuple[PanopticQuality, Maps]:
    quality = PanopticQuality(CATEGORIES)
    maps: Maps = {}
    for seed in range(3):
        sample = draw(seed, things=4)
        maps[sample.name] = (sample.truth, forgetful(sample.truth, seed))
        quality.update(*maps[sample.name], sample.name)
    return quality, maps


def written(folder: Path, title: str, quality: PanopticQuality, maps: Maps) -> Path:
    beside = BesidePQ.of(CATEGORIES)
    for name, (truth, prediction) in maps.items():
        beside.update(truth, prediction, name)
    return write_evaluation(folder, title, quality, beside, maps.__getitem__)


def test_the_page_says_what_the_evaluator_found(tmp_path: Path) -> None:
    quality, maps = counted()
    page = written(tmp_path / "new" / "report", "title <1>", quality, maps)
    text = page.read_text()
    assert "title &lt;1&gt;" in text
    assert "://" not in text
    scores = quality.compute()
    assert scores["All"] is not None
    assert f"<b>{100 * scores['All'].pq:.1f}</b>" in text
    assert "With everything repaired PQ is 100." in text
    # Three were dropped in all, whatever kind each of them is of.
    row = re.search(r'row">missed<small>.*?class="number" data-value="(\d+)"', text)
    assert row is not None
    assert int(row[1]) <= 3
    cards = re.findall(r'<article data-name="([^"]*)" data-pq="([\d.]*)"', text)
    values = [float(pq) for _, pq in cards]
    assert len(cards) == 3
    assert values == sorted(values)
    with (page.parent / "images.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["image"] for line in table] == [name for name, _ in cards]
    assert [float(line["pq"]) for line in table] == values


def test_the_official_figures_stand_there_only_where_they_differ(tmp_path: Path) -> None:
    quality, maps = counted()
    assert 'row">official' not in written(tmp_path / "a", "a", quality, maps).read_text()
    stale = PanopticQuality(CATEGORIES)
    for name, (truth, prediction) in maps.items():
        segments = tuple(replace(segment, declared_area=segment.area / 2) for segment in truth)
        stale.update(PanopticMap(truth.ids, segments), prediction, name)
    assert 'row">official' in written(tmp_path / "b", "b", stale, maps).read_text()


def test_pictures_are_small() -> None:
    wide = np.zeros((300, 3 * WIDTH, 3), np.uint8)
    assert small(wide).shape == (100, WIDTH, 3)
    assert small(wide[:, :10]).shape == (300, 10, 3)
