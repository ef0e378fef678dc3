"""What is written is read back: every pair meant to, on random maps; and the submissions as officially scored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.maps import CLASSES, DOOR, SKY, WALL, WINDOW, random_map, same, small_map
from unipan.datasets.formats.cityscapes import CITYSCAPES, CITYSCAPES_TRAIN_IDS, cityscapes_split
from unipan.datasets.formats.coco_instances import coco_instances
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, PanopticWriter
from unipan.datasets.formats.format import DatasetWriter, PanopticDataset
from unipan.datasets.formats.png16 import Png16Writer, png16
from unipan.datasets.formats.rle_writer import RleWriter
from unipan.datasets.formats.submissions import CityscapesInstanceWriter, CityscapesPanopticWriter, cityscapes_id
from unipan.datasets.formats.two_channel import TwoChannelWriter, two_channel
from unipan.datasets.formats.writing import instance_numbers
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.panoptic.png import decode_png

WITH_0 = Categories.of([Category(0, "road", False, (1, 1, 1)), Category(3, "car", True, (2, 2, 2))])
Write = Callable[[Path, Categories], DatasetWriter]
PAIRS: dict[str, tuple[Write, Callable[[Path], PanopticDataset]]] = {
    "coco": (PanopticWriter, lambda path: CocoPanoptic.of(path, None, path.with_suffix(""))),
    "png16": (Png16Writer, lambda path: png16(path.parent)),
    "two-channel": (TwoChannelWriter, lambda path: two_channel(path.parent)),
    "rle": (RleWriter, coco_instances),
}


def there_and_back(name: str, folder: Path, maps: list[PanopticMap], classes: Categories) -> PanopticDataset:
    write, read = PAIRS[name]
    writer = write(folder, classes)
    for number, panoptic in enumerate(maps):
        writer.add(f"part/{number}.jpg", 50 - number, panoptic)
    return read(writer.close())


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_round_trip(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        panoptic = random_map(seed)
        data = there_and_back(name, tmp_path_factory.mktemp("pair"), [small_map(), panoptic], CLASSES)
        assert data.categories == CLASSES
        assert data.image_ids == [50, 49]
        assert data.file_names == ["part/0.jpg", "part/1.jpg"]
        assert same(data.truth(0), small_map())
        assert same(data.truth(1), panoptic)

    check()


@pytest.mark.parametrize("name", PAIRS)
def test_class_0_and_scores(name: str, tmp_path: Path) -> None:
    ids = np.array([[1, 1, 2], [0, 3, 3]], np.int32)
    scores = {1: 0.25} if name in ("coco", "rle") else {}
    panoptic = panoptic_map(ids, {1: WITH_0[0], 2: WITH_0[0], 3: WITH_0[1]}, scores)
    assert same(there_and_back(name, tmp_path, [panoptic], WITH_0).truth(0), panoptic)


def test_run_lengths_are_read_by_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there_and_back("rle", tmp_path, [small_map()], CLASSES)
    coco, panoptic = COCO(str(tmp_path / "instances.json")), small_map()
    for annotation, segment in zip(coco.loadAnns(coco.getAnnIds()), panoptic, strict=True):
        assert (coco.annToMask(annotation) == (panoptic.ids == segment.id)).all()
        assert annotation["area"] == segment.area


@pytest.mark.parametrize("name", ["png16", "two-channel"])
def test_what_a_format_cannot_hold_is_refused(name: str, tmp_path: Path) -> None:
    write = PAIRS[name][0]
    crowds = panoptic_map(np.array([[1, 2]], np.int32), {1: DOOR, 2: DOOR}, crowds={1, 2})
    with pytest.raises(ValueError, match=r"a\.png: segment 2 .*crowd of door.*--fix"):
        write(tmp_path, CLASSES).add("a.png", 1, crowds)
    with pytest.raises(ValueError, match=r"category id 700 (times 1000 )?does not fit into"):
        write(tmp_path, Categories.of([Category(700, "x", True, (0, 0, 0))]))
    writer = write(tmp_path, Categories.of([DOOR]))
    with pytest.raises(ValueError, match="segment 70000 has unknown category id 9"):
        writer.add("b.png", 2, small_map())
    with pytest.raises(ValueError, match="leads out of"):
        writer.add("../b.png", 3, small_map())
    assert not list(tmp_path.iterdir())
    writer = write(tmp_path, CLASSES)
    writer.add("b.png", 2, small_map())
    with pytest.raises(ValueError, match="written already"):
        writer.add("b.jpg", 4, small_map())


@pytest.mark.parametrize(
    ("name", "number", "remedy"),
    [
        ("png16", 700, "give a --divisor of at most 93"),
        ("png16", 40_000, "use coco"),
        ("png16", 70_000, "use coco"),
        ("two-channel", 700, "use png16 or coco"),
        ("two-channel", 70_000, "use coco"),
    ],
)
def test_what_is_recommended_can_hold_the_class(name: str, number: int, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"does not fit into .*; {remedy}$"):
        PAIRS[name][0](tmp_path, Categories.of([Category(number, "x", True, (0, 0, 0))]))


@pytest.mark.parametrize("write", [*(write for write, _ in PAIRS.values()), CityscapesInstanceWriter])
@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_is_a_number(write: Write, score: float, tmp_path: Path) -> None:
    car = Category(3, "car", True, (2, 2, 2))
    broken = panoptic_map(np.array([[7]], np.int32), {7: car}, {7: score})
    writer = write(tmp_path, Categories.of([car]))
    with pytest.raises(ValueError, match=r"ulm.*\.png: the score of segment 7 is (nan|inf), not a number; "):
        writer.add("ulm_000001_000002.png", 1, broken)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_class_with_more_things_than_the_divisor(tmp_path: Path) -> None:
    ids = np.arange(1, 5, dtype=np.int32)[None]
    windows = panoptic_map(ids, dict.fromkeys((1, 2, 3, 4), WINDOW))
    with pytest.raises(ValueError, match=r"a\.png: more than 3 .* window .*--divisor"):
        Png16Writer(tmp_path, CLASSES, divisor=4).add("a.png", 1, windows)
    with pytest.raises(ValueError, match=r"a\.png: more than 3 .* window (?!.*--divisor)"):  # it may not have one
        instance_numbers(windows, 4, "a.png")


def test_stuff_counts_from_0_and_things_from_1() -> None:
    ids = np.arange(1, 7, dtype=np.int32)[None]
    panoptic = panoptic_map(ids, {1: WALL, 2: WALL, 3: DOOR, 4: DOOR, 5: DOOR, 6: SKY}, crowds={4})
    numbers = instance_numbers(panoptic, 9, "a.png")
    assert [numbers[key][1] for key in range(1, 7)] == [0, 1, 1, 0, 2, 0]


def official(name: str) -> Any:
    return pytest.importorskip(f"cityscapesscripts.{name}", reason="cityscapesscripts is not installed")


@pytest.mark.parametrize("classes", [CITYSCAPES, CITYSCAPES_TRAIN_IDS])
def test_the_panoptic_submission_is_perfect_where_it_repeats_the_truth(
    classes: Categories, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = cityscapes_split(write_cityscapes(tmp_path / "cs"), train_ids=classes is CITYSCAPES_TRAIN_IDS)
    writer = CityscapesPanopticWriter(tmp_path / "out", classes)
    for index in range(len(data)):
        writer.add(data.file_names[index], data.image_ids[index], data.truth(index))
    path = writer.close()
    assert path.name == "cityscapes_panoptic_val.json"
    back, plain = CocoPanoptic.of(path, None, path.with_suffix("")), cityscapes_split(tmp_path / "cs")
    assert all(same(back.truth(index), plain.truth(index)) for index in range(len(data)))
    (tmp_path / "gt").mkdir()
    prepare, score = official("preparation.createPanopticImgs"), official("evaluation.evalPanopticSemanticLabeling")
    prepare.convert2panoptic(str(tmp_path / "cs" / "gtFine"), str(tmp_path / "gt"), False, ["val"])
    gt = tmp_path / "gt" / "cityscapes_panoptic_val"
    found = score.evaluatePanoptic(
        f"{gt}.json", str(gt), str(path), str(path.with_suffix("")), str(tmp_path / "scores.json")
    )
    assert found["All"]["pq"] == 1
    assert found["All"]["n"] == 19


def test_the_instance_submission_finds_every_thing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_cityscapes(tmp_path / "cs")
    data = cityscapes_split(root)
    writer = CityscapesInstanceWriter(tmp_path / "out", data.categories)
    for index in range(len(data)):
        writer.add(data.file_names[index], data.image_ids[index], data.truth(index))
    folder = writer.close()
    lines = (folder / "lindau_000000_000003_pred.txt").read_text().splitlines()
    truth = data.truth(2)
    things = [segment for segment in truth if segment.isthing and not segment.iscrowd]
    assert [line.split()[1:] for line in lines] == [[str(each.category.id), "1.000000"] for each in things]
    assert (folder / lines[0].split()[0]).is_file()
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # numpy dropped it, the official script uses it
    score = official("evaluation.evalInstanceLevelSemanticLabeling")
    monkeypatch.setattr(score, "writeDict2JSON", lambda *_: None)  # nor can it write the numbers of newer numpy
    changes = {"predictionPath": str(folder.absolute()), "predictionWalk": None, "minRegionSizes": np.array([1, 1, 1])}
    for key, value in {**changes, "quiet": True, "JSONOutput": False, "gtInstancesFile": str(tmp_path / "x")}.items():
        monkeypatch.setattr(score.args, key, value)
    score.setInstanceLabels(score.args)
    files = sorted(str(path) for path in root.glob("gtFine/val/*/*_instanceIds.png"))
    found = score.evaluateImgLists([score.getPrediction(file, score.args) for file in files], files, score.args)
    assert found["averages"]["allAp"] == 1


def test_cityscapes_needs_its_names_and_classes(tmp_path: Path) -> None:
    assert cityscapes_id("x/ulm_000001_000002_leftImg8bit.png", 7) == "ulm_000001_000002"
    assert cityscapes_id("7.png", "bad-honnef_000001_000002") == "bad-honnef_000001_000002"
    with pytest.raises(ValueError, match=r"7\.png: .*image id 7"):
        cityscapes_id("7.png", 7)
    with pytest.raises(ValueError, match="Cityscapes has no class door, window, sk"):
        CityscapesPanopticWriter(tmp_path, Categories.of([DOOR, WINDOW, Category(1, "skyy", False, (0, 0, 0))]))
    cars = Categories.of([Category(1, "car", True, (0, 0, 0)), Category(2, "floor", False, (0, 0, 0))])
    CityscapesInstanceWriter(tmp_path, cars)  # stuff is left out, so its names do not matter
    assert not (tmp_path / "cityscapes_panoptic_val.json").exists()


def test_pictures_carry_ids(tmp_path: Path) -> None:
    writer = CityscapesPanopticWriter(tmp_path, CITYSCAPES)
    car = CITYSCAPES[CITYSCAPES.index_of_name["car"]]
    writer.add("ulm_000001_000002.png", 1, panoptic_map(np.full((2, 2), 70_000, np.int32), {70_000: car}))
    assert (decode_png(tmp_path / "cityscapes_panoptic_val" / "ulm_000001_000002_panoptic.png") == 70_000).all()
    assert json.loads(writer.close().read_text())["annotations"][0]["image_id"] == "ulm_000001_000002"
