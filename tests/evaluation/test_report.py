"""The folder of `--html`: its numbers are those of the evaluator, its worst image comes first."""

import base64
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image

from tests.evaluation.cases import lenient_maps
from tests.html_pages import parse, table, words
from tests.tiny import CATEGORIES, draw
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation.bootstrap import bootstrap_quality
from unipan.evaluation.errors import KINDS
from unipan.evaluation.extra_metrics import extra_metrics
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders, SegmentedImage
from unipan.evaluation.image_pair import ImagePair, class_indices
from unipan.evaluation.matching import SegmentTable, match_segments
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.report import PICTURE_WIDTH, small, write_evaluation
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.visualization.flat import ERROR_COLORS, color_map, indexed_map, outlines
from unipan.visualization.pages import data_uri
from unipan.visualization.palette import colors_like

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
    extra = extra_metrics(CATEGORIES, explain=False, page=True)
    for name, (truth, prediction) in maps.items():
        for metric in extra.values():
            metric.add(ImagePair.of(truth, prediction, CATEGORIES, name))
    return write_evaluation(
        folder, title, quality, bootstrap_quality(quality), extra, lambda name: as_read(*maps[name])
    )


def as_read(*maps: PanopticMap) -> tuple[SegmentedImage, SegmentedImage]:
    truth, prediction = (
        SegmentedImage("a file", each.ids, SegmentTable.of(each, class_indices(each, CATEGORIES, "a map")))
        for each in maps
    )
    return truth, prediction


def test_the_page_says_what_the_evaluator_found(tmp_path: Path) -> None:
    quality, maps = counted()
    page = written(tmp_path / "new" / "report", "title <1>", quality, maps)
    root = parse(page.read_text())
    assert words(root.find(".//h1")) == "title <1>"
    scores = quality.compute()
    assert scores["All"] is not None
    assert table(root, "scores")[0][1].startswith(f"{100 * scores['All'].pq:.1f}")
    for category, row in zip(CATEGORIES, table(root, "classes"), strict=True):
        each = scores.per_class[category.id]
        assert row[0] == category.name
        assert row[2:5] == [f"{100 * value:.1f}" for value in (each.pq, each.sq, each.rq)]
        assert row[5:] == [str(count) for count in (each.tp, each.fp, each.fn)]
    costs = [float(row[1]) for row in table(root, "costs")]
    assert len(costs) == len(KINDS)
    assert costs == sorted(costs, reverse=True)
    cards = root.findall(".//article")
    values = [float(card.get("data-pq", "")) for card in cards]
    assert len(cards) == 3
    assert values == sorted(values)
    with (page.parent / "images.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [card.get("data-name") for card in cards]
    assert [float(line["pq"]) for line in lines] == values


def test_the_pictures_show_the_maps_and_the_errors(tmp_path: Path) -> None:
    quality, maps = counted()
    root = parse(written(tmp_path, "a", quality, maps).read_text())
    for card in root.findall(".//article"):
        truth, prediction = maps[card.get("data-name", "")]
        sources = [image.get("src", "") for image in card.findall(".//img")]
        assert sources[0] == data_uri(indexed_map(truth))
        matches = match_segments(truth, prediction)
        keys = [
            (prediction.segments[p].id, truth.segments[t].id)
            for t, p in zip(matches.truth, matches.prediction, strict=True)
        ]
        assert sources[1] == data_uri(indexed_map(prediction, colors_like(prediction, truth, dict(keys))))
        errors = picture_of(card.findall(".//img")[2])
        missed = (errors == ERROR_COLORS["false negative"]).all(2)
        assert missed.any() == (card.get("data-fn") != "0")
        assert not (missed & (truth.ids == prediction.ids)).any()


def test_the_official_figures_stand_there_only_where_they_differ(tmp_path: Path) -> None:
    quality, maps = counted()
    assert len(table(parse(written(tmp_path / "a", "a", quality, maps).read_text()), "scores")) == 1
    stale = PanopticQuality(CATEGORIES)
    for name, (truth, prediction) in maps.items():
        segments = tuple(replace(segment, declared_area=segment.area / 2) for segment in truth)
        stale.update(PanopticMap(truth.ids, segments), prediction, name)
    official, strict = table(parse(written(tmp_path / "b", "b", stale, maps).read_text()), "scores")
    assert official[0].startswith("official")
    assert official[1] != strict[1]


def test_maps_are_shrunk_to_the_width_of_a_picture() -> None:
    assert small(np.zeros((300, 3 * PICTURE_WIDTH), np.int32)).shape == (100, PICTURE_WIDTH)
    narrow = np.zeros((300, 10), np.int32)
    assert small(narrow) is narrow


def test_files_read_leniently_show_what_was_counted(tmp_path: Path) -> None:
    """A segment without pixels is not there, an id that no segment declares is void, a missing prediction too."""
    sample = draw(5, things=4)
    for side, shift in (("truth", 0), ("prediction", 1)):
        with PanopticWriter(tmp_path / side, CATEGORIES) as writer:
            for number in range(3):
                ids = np.roll(sample.truth.ids, shift, axis=1)
                writer.add(f"{number}.png", number, PanopticMap(ids, sample.truth.segments))
    for side in ("truth", "prediction"):
        path = tmp_path / side / "panoptic.json"
        content = json.loads(path.read_text())
        first = content["annotations"][0]["segments_info"]
        first[0] = {**first[0], "id": 777}  # declared without pixels, while its pixels are not declared
        content["annotations"] = content["annotations"][: 3 if side == "truth" else 2]
        path.write_text(json.dumps(content))
    folders = PanopticFolders(tmp_path / "truth" / "panoptic.json", tmp_path / "prediction" / "panoptic.json")
    extra = extra_metrics(folders.categories, explain=False, page=True)
    found = score_folders(folders, lenient=True, extra=list(extra.values()))
    metrics = dict(zip(extra, found.extra, strict=True))
    intervals = bootstrap_quality(found.quality)
    page = write_evaluation(tmp_path / "page", "a", found.quality, intervals, metrics, folders.read_named)
    cards = {card.get("data-name"): card for card in parse(page.read_text()).findall(".//article")}
    for number in range(3):
        truth, prediction = lenient_maps(folders, f"{number}.png")
        images = cards[f"{number}.png"].findall(".//img")
        assert [words(each) for each in cards[f"{number}.png"].findall(".//figcaption")] == [
            f"ground truth {len(truth)} segments", f"prediction {len(prediction)} segments", "errors",
        ]  # fmt: skip
        assert np.array_equal(picture_of(images[0]), indexed_map(truth).rgb())
        matches = match_segments(truth, prediction)
        pairs = zip(matches.truth.tolist(), matches.prediction.tolist(), strict=True)
        partners = {prediction.segments[p].id: truth.segments[t].id for t, p in pairs}
        assert np.array_equal(picture_of(images[1]), color_map(prediction, colors_like(prediction, truth, partners)))
        unlabelled = (picture_of(images[2]) == ERROR_COLORS["not counted"]).all(2)
        assert (unlabelled == (truth.ids == 0))[~outlines(truth.ids)].all()


def picture_of(image: Element) -> np.ndarray:
    png = base64.b64decode(image.get("src", "").removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
