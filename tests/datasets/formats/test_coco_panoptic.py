import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unipan.datasets.formats.coco_panoptic import CocoPanoptic, PanopticWriter, write_coco_panoptic
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import read_json
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map
from unipan.panoptic.png import encode_png

CLASSES = Categories.of([Category(9, "wall", False, (1, 1, 1)), Category(4, "door", True, (2, 2, 2))])
DOOR, WALL = CLASSES


def sample(number: int) -> Sample:
    rng = np.random.default_rng(number)
    ids = np.full((8, 10 + number), 70_000, np.int32)
    ids[2:5, 1:4], ids[5:, 6:8], ids[0] = 2, 3, 0
    truth = panoptic_map(ids, {3: DOOR, 70_000: WALL, 2: DOOR}, crowds={2})
    return Sample(rng.integers(0, 256, (*ids.shape, 3)).astype(np.uint8), truth, 100 + number, f"{number}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_coco_panoptic(tmp_path / "set", [sample(0), sample(1)], CLASSES)
    return tmp_path / "set"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    change(content)
    (folder / "panoptic.json").write_text(json.dumps(content))


def same(a: PanopticMap, b: PanopticMap) -> bool:
    return bool((a.ids == b.ids).all()) and a.segments == b.segments


def test_what_is_written_is_read(folder: Path) -> None:
    dataset = CocoPanoptic(folder)
    assert dataset.categories == CLASSES
    assert (len(dataset), dataset.image_ids, dataset.names) == (2, [100, 101], ["0.png", "1.png"])
    for found, number in zip(dataset, range(2), strict=True):
        expected = sample(number)
        assert (found.image == expected.image).all()
        assert same(found.truth, expected.truth)
        assert (found.image_id, found.name) == (100 + number, f"{number}.png")
    assert not list(folder.rglob("*.tmp"))


def test_json_has_the_official_fields(folder: Path) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    assert list(content) == ["images", "annotations", "categories"]
    assert content["images"][0] == {"id": 100, "file_name": "0.png", "height": 8, "width": 10}
    assert content["annotations"][0]["file_name"] == "0.png"
    first = content["annotations"][0]["segments_info"][0]
    assert first == {"id": 3, "category_id": 4, "area": 6, "bbox": [6, 5, 2, 3], "iscrowd": 0}
    assert content["categories"][0] == {"id": 4, "name": "door", "isthing": 1, "color": [2, 2, 2]}


def test_truth_needs_no_photographs(folder: Path) -> None:
    for photo in (folder / "images").iterdir():
        photo.unlink()
    dataset = CocoPanoptic.of(folder / "panoptic.json", None, folder / "panoptic")
    assert same(dataset.truth(1), sample(1).truth)
    with pytest.raises(ValueError, match=r"panoptic\.json: there is no image for 0\.png"):
        dataset[0]


def test_stale_areas_are_recounted_and_text_ids_and_scores_kept(folder: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["images"][0]["id"] = content["annotations"][0]["image_id"] = "town_000"
        content["annotations"][0]["segments_info"][0].update(area=1, bbox=[0, 0, 1, 1], score=0.5)

    edit(folder, change)
    dataset = CocoPanoptic(folder)
    segment = dataset.truth(0).segments[0]
    assert (segment.area, segment.bbox, segment.score) == (6, (6, 5, 2, 3), 0.5)
    assert dataset.image_ids == ["town_000", 101]


def test_equal_names_in_two_folders_stay_apart(tmp_path: Path) -> None:
    with PanopticWriter(tmp_path, CLASSES, images=True) as writer:
        for number, name in enumerate(("a/x.jpg", "b/x.jpg")):
            writer.add(name, number, sample(0).truth, sample(0).image)
    assert CocoPanoptic(tmp_path).names == ["a/x.png", "b/x.png"]


def _first(content: dict[str, Any]) -> dict[str, Any]:
    segment: dict[str, Any] = content["annotations"][0]["segments_info"][0]
    return segment


def _second(content: dict[str, Any], key: str) -> dict[str, Any]:
    row: dict[str, Any] = content[key][1]
    return row


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: _first(c).update(category_id=77), "image 100, segment 3: category id 77 is not in `categories`"),
        (
            lambda c: _first(c).update(category_id=[1]),
            r"image 100, segment 3: category id \[1\] is not in `categories`",
        ),
        (lambda c: _first(c).update(score="x"), "image 100, segment 3: its `score` is 'x'"),
        (lambda c: _first(c).update(score=float("nan")), "segment 3: its `score` is nan"),
        (lambda c: _first(c).update(score=True), "segment 3: its `score` is True"),
        (lambda c: c["categories"][0].update(id=None), "category number 0 needs an `id`"),
        (lambda c: _first(c).update(id=2), "image 100, segment 2: this id appears twice"),
        (lambda c: _first(c).update(id="3"), "image 100, segment 3: its `id` is '3'"),
        (lambda c: _second(c, "images").update(id=100), "image 100 .* appears twice"),
        (lambda c: _second(c, "annotations").update(image_id=100), "image 100 is annotated twice"),
        (lambda c: _second(c, "annotations").update(image_id=5), "image 5 is annotated .*not in `images`"),
        (lambda c: c["annotations"].pop(), r"image 101 \(1.png\) has no annotation"),
        (lambda c: _second(c, "images").pop("id"), "image number 1 needs `id`"),
        (lambda c: _second(c, "annotations").pop("file_name"), "image 101: .*`file_name`"),
        (lambda c: c.pop("categories"), "`categories` must be a list of objects"),
        (lambda c: c["annotations"][0].pop("segments_info"), "image 100: `segments_info` must be a list"),
        (lambda c: c["categories"][0].pop("isthing"), "category number 0 .*`isthing`"),
        (lambda c: _second(c, "images").update(file_name="../secret.png"), r"'\.\./secret.png' leads out of"),
        (lambda c: _second(c, "annotations").update(file_name="/etc/x.png"), "'/etc/x.png' leads out of"),
        (lambda c: _second(c, "images").update(file_name="a\\..\\..\\x.png"), "leads out of"),
    ],
)
def test_a_wrong_json_is_refused_when_opened(folder: Path, change: Callable[[Any], object], message: str) -> None:
    edit(folder, change)
    with pytest.raises(ValueError, match=message) as caught:
        CocoPanoptic(folder)
    assert "panoptic.json" in str(caught.value)


def test_missing_and_broken_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "images" / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"0\.png: no such file, but image 100 of"):
        CocoPanoptic(folder)
    (folder / "images" / "0.png").symlink_to("unmounted/0.png")
    with pytest.raises(FileNotFoundError, match=r"0\.png: a link to unmounted/0\.png, where nothing is, but image 100"):
        CocoPanoptic(folder)
    (folder / "panoptic.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"panoptic\.json: not readable as JSON"):
        CocoPanoptic(folder)
    (folder / "panoptic.json").write_text("[]")
    with pytest.raises(ValueError, match=r"panoptic\.json: .*a list"):
        CocoPanoptic(folder)
    with pytest.raises(FileNotFoundError, match=r"panoptic\.json: no such file"):
        CocoPanoptic(tmp_path / "nowhere")


def test_pictures_that_contradict_the_json_are_named(folder: Path) -> None:
    dataset = CocoPanoptic(folder)
    ids = sample(0).truth.ids.copy()
    path = folder / "panoptic" / "0.png"
    path.write_bytes(encode_png(np.where(ids == 3, 4, ids)))
    with pytest.raises(ValueError, match=r"0\.png \(image 100 of .*panoptic\.json\): id 4"):
        dataset.truth(0)
    path.write_bytes(encode_png(np.where(ids == 3, 0, ids)))
    with pytest.raises(ValueError, match=r"0\.png \(image 100 of .*\): segment id 3"):
        dataset.truth(0)
    path.write_bytes(encode_png(ids[:, :5]))
    with pytest.raises(ValueError, match=r"0\.png: it is 5 x 8 but .* says that image 100 is 10 x 8"):
        dataset.truth(0)
    path.write_bytes(encode_png(ids))
    picture = Image.fromarray(np.zeros((10, 8, 3), np.uint8))
    picture.save(folder / "images" / "0.png")
    turned = r"images.0\.png: image 100 is 8 x 10 but its map is 10 x 8 .*; was the map drawn on the turned image\?"
    with pytest.raises(ValueError, match=turned):
        dataset[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(folder / "images" / "0.png", exif=exif)
    with pytest.raises(ValueError, match=r"it is turned by its EXIF, was the map drawn on the unturned image\?"):
        dataset[0]


def test_the_json_appears_only_when_all_went_well(tmp_path: Path) -> None:
    truth, image = sample(0).truth, sample(0).image

    def fail() -> None:
        with PanopticWriter(tmp_path, CLASSES, scores=True) as writer:
            writer.add("a.jpg", 1, truth)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not (tmp_path / "panoptic.json").exists()
    with PanopticWriter(tmp_path, CLASSES, scores=True) as writer:
        writer.add("a.jpg", 1, truth)
        with pytest.raises(ValueError, match=r"image 2 \(a.png\) was written already"):
            writer.add("a.png", 2, truth)
        with pytest.raises(ValueError, match=r"image 1 \(b.png\) was written already"):
            writer.add("b.png", 1, truth)
        with pytest.raises(ValueError, match="leads out of"):
            writer.add("../a.png", 2, truth)
        with pytest.raises(ValueError, match="this writer writes no images"):
            writer.add("b.jpg", 2, truth, image)
    content = json.loads((tmp_path / "panoptic.json").read_text())
    assert content["images"][0]["file_name"] == "a.jpg"
    assert content["annotations"][0]["segments_info"][0]["score"] == 1.0
    pictures = PanopticWriter(tmp_path, Categories((DOOR,)), images=True)
    with pytest.raises(ValueError, match="segment 70000 has unknown category id 9"):
        pictures.add("c.jpg", 3, truth, image)
    doors = panoptic_map(np.ones((2, 2), np.int32), {1: DOOR})
    with pytest.raises(ValueError, match="needs an image"):
        pictures.add("c.jpg", 3, doors)
    with pytest.raises(ValueError, match=r"the image is \(8, 10\) but its map is \(2, 2\)"):
        pictures.add("c.jpg", 3, doors, image)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("part", "images", "things", "stuff"),
    [("coco20", 20, 80, 53), ("coco2", 2, 80, 53), ("facades/val", 37, 8, 4), ("nuclei/val", 106, 1, 1)],
)
def test_photographs_are_read(shared_data: Path, part: str, images: int, things: int, stuff: int) -> None:
    dataset = CocoPanoptic(shared_data / part)
    assert (len(dataset), len(dataset.categories.things), len(dataset.categories.stuff)) == (images, things, stuff)
    for index in range(min(images, 20)):
        found = dataset[index]
        assert found.image.shape[:2] == found.truth.ids.shape
        assert sum(s.area for s in found.truth) == (found.truth.ids > 0).sum()


@pytest.mark.real_data
def test_photographs_of_coco_hold_what_their_readme_says(shared_data: Path) -> None:
    dataset = CocoPanoptic(shared_data / "coco20")
    written = {
        (row["image_id"], s["id"]): (s["area"], tuple(s["bbox"]))
        for row in json.loads((shared_data / "coco20" / "panoptic.json").read_text())["annotations"]
        for s in row["segments_info"]
    }
    maps = {dataset.image_ids[index]: dataset.truth(index) for index in range(20)}
    segments = [segment for panoptic in maps.values() for segment in panoptic]
    assert sum(segment.isthing for segment in segments) == 289
    assert sum(not segment.isthing for segment in segments) == 80
    assert sum(segment.iscrowd for segment in segments) == 9
    # The JSON of this set is verified, so counting the pixels must give its figures.
    assert {(key, s.id): (s.area, s.bbox) for key, panoptic in maps.items() for s in panoptic} == written


@pytest.mark.parametrize("parser", ["orjson", "json"])
@pytest.mark.parametrize(
    "text",
    [
        '{"images": [{"id": 36893488147419103232}, {"id": 36893488147419103233}]}',  # one float, two integers
        '{"annotations": [{"image_id": 18446744073709551617}]}',
        '{"info": {"score": NaN}}',
        '{"info": "\\\\ud800", "images": [], "a": 1, "a": 2}',
        '{"images": [{"id": 1.5}, {"id": "a"}, 3], "annotations": {}}',
    ],
)
def test_a_json_is_read_the_same_with_and_without_the_fast_parser(
    text: str, parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parser == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    path = tmp_path / "a.json"
    path.write_text(text)
    assert repr(read_json(path)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ['{"images": [', ""])
def test_a_broken_json_is_told_in_jsons_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: not readable as JSON \(Expecting.*copy it again"):
        read_json(path)


def test_a_json_of_lists_in_lists_is_not_said_to_be_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match=r"a\.json: its lists or objects are nested too deeply to be read"):
        read_json(path)
