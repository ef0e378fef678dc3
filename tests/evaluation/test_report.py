"""The folder of `--html`: its numbers are those of the evaluator, its worst image comes first."""

import base64
import colorsys
import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.cases import lenient_maps
from tests.html_pages import parse, table, words
from tests.tiny import CATEGORIES, draw
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation.bootstrap import bootstrap_quality
from unipan.evaluation.error_cards import PICTURE_WIDTH, small
from unipan.evaluation.errors import KINDS
from unipan.evaluation.extra_metrics import extra_metrics
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders, SegmentedImage
from unipan.evaluation.image_pair import ImagePair, class_indices
from unipan.evaluation.matching import SegmentTable, match_segments
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.photographs import find_photographs
from unipan.evaluation.report import PageSource, write_evaluation
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.visualization.flat import ERROR_COLORS, color_map, indexed_map, outlines
from unipan.visualization.pages import data_uri
from unipan.visualization.palette import Color, colors_like, quiet, segment_colors

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
        folder, title, quality, bootstrap_quality(quality), extra, PageSource(lambda name: as_read(*maps[name]))
    )


def as_read(*maps: PanopticMap) -> tuple[SegmentedImage, SegmentedImage]:
    truth, prediction = (
        SegmentedImage("a file", each.ids, SegmentTable.of(each, class_indices(each, CATEGORIES, "a map")))
        for each in maps
    )
    return truth, prediction


def quietly(colors: dict[int, Color]) -> dict[int, Color]:
    return {key: quiet(color) for key, color in colors.items()}


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
    costs = [float(row[1]) for row in [*table(root, "costs"), *table(root, "costless")]]
    assert len(costs) == len(KINDS)
    assert words(root.find(".//*[@id='images']/p")).startswith("All 3 images, lowest PQ first")
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
        assert sources[0] == data_uri(indexed_map(truth, quietly(segment_colors(truth))))
        matches = match_segments(truth, prediction)
        keys = [
            (prediction.segments[p].id, truth.segments[t].id)
            for t, p in zip(matches.truth, matches.prediction, strict=True)
        ]
        assert sources[1] == data_uri(indexed_map(prediction, quietly(colors_like(prediction, truth, dict(keys)))))
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
    page = write_evaluation(tmp_path / "page", "a", found.quality, intervals, metrics, PageSource(folders.read_named))
    cards = {card.get("data-name"): card for card in parse(page.read_text()).findall(".//article")}
    for number in range(3):
        truth, prediction = lenient_maps(folders, f"{number}.png")
        images = cards[f"{number}.png"].findall(".//img")
        assert [words(each) for each in cards[f"{number}.png"].findall(".//figcaption")] == [
            f"ground truth {len(truth)} segments", f"prediction {len(prediction)} segments", "errors",
        ]  # fmt: skip
        assert np.array_equal(picture_of(images[0]), indexed_map(truth, quietly(segment_colors(truth))).rgb())
        matches = match_segments(truth, prediction)
        pairs = zip(matches.truth.tolist(), matches.prediction.tolist(), strict=True)
        partners = {prediction.segments[p].id: truth.segments[t].id for t, p in pairs}
        colors = quietly(colors_like(prediction, truth, partners))
        assert np.array_equal(picture_of(images[1]), color_map(prediction, colors))
        unlabelled = (picture_of(images[2]) == ERROR_COLORS["not counted"]).all(2)
        assert (unlabelled == (truth.ids == 0))[~outlines(truth.ids)].all()


def picture_of(image: Element) -> np.ndarray:
    png = base64.b64decode(image.get("src", "").partition(";base64,")[2])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def dataset(folder: Path) -> tuple[Path, Path, Path]:
    """Truth with its photographs beside it, and two predictions, the second one better."""
    samples = [draw(seed, things=4) for seed in range(3)]
    for side in ("truth", "worse", "better"):
        with PanopticWriter(folder / side, CATEGORIES) as writer:
            for sample in samples:
                lost = {"truth": 0, "worse": 3, "better": 1}[side]
                truth = sample.truth
                writer.add(sample.name, sample.image_id, forgetful(truth, lost) if lost else truth)
    (folder / "truth" / "images").mkdir()
    for sample in samples:
        Image.fromarray(sample.image).save(folder / "truth" / "images" / sample.name)
    return folder / "truth", folder / "worse", folder / "better"


def test_photographs_are_found_beside_the_truth_and_lie_below_the_segments(tmp_path: Path) -> None:
    truth, worse, _ = dataset(tmp_path)
    assert main(["pq", str(truth), str(worse), "--html", str(tmp_path / "page")]) == 0
    for card in parse((tmp_path / "page" / "index.html").read_text()).findall(".//article"):
        assert [words(each.find("figcaption/b")) for each in card.findall(".//figure")] == [
            "photograph", "ground truth", "prediction", "errors",
        ]  # fmt: skip
        photo, below = (picture_of(image).astype(int) for image in card.findall(".//img")[:2])
        image = draw(int(card.get("data-name", "")[6:-4]), things=4).image.astype(int)
        assert np.abs(photo - image).mean() < 12  # WebP of a noisy picture
        assert np.abs(below - image).mean() > 20  # coloured, with the photograph still in it
        assert np.corrcoef(below.mean(2).ravel(), image.mean(2).ravel())[0, 1] > 0.3


def test_photographs_of_another_place_size_or_none_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, worse, _ = dataset(tmp_path)
    (truth / "images").rename(tmp_path / "photographs")
    page = ["pq", str(truth), str(worse), "--html", str(tmp_path / "page")]

    def shown() -> list[int]:
        root = parse((tmp_path / "page" / "index.html").read_text())
        return [len(card.findall(".//img")) for card in root.findall(".//article")]

    assert main(page) == 0
    assert shown() == [3, 3, 3]
    assert main([*page, "--images", str(tmp_path / "photographs")]) == 0
    assert shown() == [4, 4, 4]
    Image.new("RGB", (9, 9)).save(tmp_path / "photographs" / "drawn_0.png")  # of another picture
    (tmp_path / "photographs" / "drawn_1.png").write_bytes(b"no picture")
    assert main([*page, "--images", str(tmp_path / "photographs")]) == 0
    assert sorted(shown()) == [3, 3, 4]
    capsys.readouterr()
    assert main([*page, "--images", str(worse)]) == 1
    assert f"--images {worse}: it has no drawn_0.png" in capsys.readouterr().err
    assert main(["pq", str(truth), str(worse), "--images", str(tmp_path / "photographs")]) == 1
    assert "--html DIR too" in capsys.readouterr().err


def test_the_photographs_of_coco_lie_in_a_folder_of_the_name_without_panoptic(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "000000000139.jpg").touch()
    files = {"a": "000000000139.jpg"}
    found = find_photographs(tmp_path / "annotations" / "panoptic_val2017.json", None, files)
    assert found is not None
    assert found("a") == tmp_path / "val2017" / "000000000139.jpg"
    assert find_photographs(tmp_path / "annotations" / "panoptic_train2017.json", None, files) is None


def test_the_page_compares_and_has_the_other_metrics(tmp_path: Path) -> None:
    truth, worse, better = dataset(tmp_path)
    options = ["--versus", str(better / "panoptic.json"), "--explain", "--json", str(tmp_path / "scores.json")]
    assert main(["pq", str(truth), str(worse), "--html", str(tmp_path / "page"), *options]) == 0
    root = parse((tmp_path / "page" / "index.html").read_text())
    content = json.loads((tmp_path / "scores.json").read_text())
    row = table(root, "versus")[0]
    assert row[0] == "All"
    assert row[1] == f"{100 * content['strict']['All']['pq']:.1f}"
    value, low, high = (f"{100 * content['difference']['All'][key]:+.1f}" for key in ("value", "low", "high"))
    assert row[3].replace("−", "-") == f"{value}{low} to {high}"
    assert float(row[2]) > float(row[1])
    assert words(root.find(".//*[@id='versus']/h2")) == f"Against {better / 'panoptic.json'}"
    found = {row[0]: row[1:] for row in table(root, "metrics")}
    names = {"boundary PQ": "boundary", "PQ†": "dagger", "parsing covering": "covering"}
    for name, key in names.items():
        [values] = [values for shown, values in found.items() if shown.startswith(name)]
        given = content["extra_metrics"][key]["All"]
        assert values[0] == f"{100 * (given['pq'] if isinstance(given, dict) else given):.1f}"
    [mean] = [values for shown, values in found.items() if shown.startswith("mean IoU")]
    assert mean[0] == f"{100 * content['extra_metrics']['iou']['mean']:.1f}"
    assert root.find(".//*[@id='metrics']/p") is None
    order = [each.get("id") for each in root.findall(".//section")]
    assert order.index("images") < order.index("metrics") < order.index("errors") < order.index("confusion")


def test_metrics_that_cost_little_are_always_there_and_the_page_says_how_to_get_the_other(tmp_path: Path) -> None:
    truth, worse, _ = dataset(tmp_path)
    assert main(["pq", str(truth), str(worse), "--html", str(tmp_path / "page")]) == 0
    plain = parse((tmp_path / "page" / "index.html").read_text())
    assert main(["pq", str(truth), str(worse), "--html", str(tmp_path / "page"), "--explain"]) == 0
    explained = parse((tmp_path / "page" / "index.html").read_text())
    assert len(table(plain, "metrics")) == 3
    assert table(plain, "metrics") == table(explained, "metrics")[1:]
    assert "--explain" in words(plain.find(".//*[@id='metrics']/p"))


def test_colours_of_the_page_are_quiet() -> None:
    for color in ((0, 255, 0), (255, 0, 255), (1, 1, 1), (255, 255, 255), (120, 130, 140)):
        _, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in quiet(color)))
        assert 0.29 < lightness < 0.73
        assert saturation < 0.45
