"""Faults of COCO panoptic sets from public trouble reports: the doctor names each, and repairs what can be."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.public_cases.tools import Make, Say, areas, converted, findings, kinds, repaired, steps, texts, void

pytestmark = pytest.mark.real_data

PIXELS = 48 * 64


def test_text_crowd(case: Make, unipan: Say) -> None:
    folder = case("text_crowd")
    assert findings(unipan, folder)[:2] == (1, {"number-type": 3})
    status, said = unipan("pq", folder, folder / "pred.json")
    assert (status, "`iscrowd` is '0'" in said) == (1, True)
    data = repaired(unipan, folder)
    assert areas(data.truth(0)) == [("car", 400), ("car", 400), ("road", 2272)]
    status, said = unipan("pq", data.source, folder / "pred.json", "--json", folder / "scores.json")
    assert (status, "100.0" in said) == (0, True)
    groups = json.loads((folder / "scores.json").read_text())["official"]
    assert [groups[name]["pq"] for name in ("All", "Things", "Stuff")] == [1, 1, 1]
    assert groups["per_class"]["1"]["tp"] == 2


def test_loose_types(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("loose_types")
    status, counts, said = findings(unipan, folder)
    assert (status, counts) == (1, {"size-json": 1, "number-type": 5, "area-stale": 2, "bbox-stale": 2})
    for key, count in (("isthing", 1), ("iscrowd", 2)):
        assert f"note: {count} of the `{key}` are true or false, read as 1 or 0; --fix writes numbers" in said
    assert texts(folder, "number-type") == [
        "category number 1 ('road', id 2) has the `isthing` '0'; write 0",
        "image '1' is annotated as 1; write the same id in both places",
        "image 2, segment 2: its `category_id` is '1'; write 1",
        "image 2, segment 2: its `iscrowd` is '0'; write 0",
        "image 2, segment 3: its `iscrowd` is '0'; write 0",
    ]
    assert all("the JSON says '400' pixels" in text for text in texts(folder, "area-stale"))
    assert all("the JSON says {'x': 10," in text for text in texts(folder, "bbox-stale"))
    assert "it is 64 x 48 but the JSON says '64' x '48'" in texts(folder, "size-json")[0]
    for command in (("data", "convert", folder, tmp_path / "no"), ("pq", folder, folder)):
        status, said = unipan(*command)  # nothing reads it as it is, so that nothing becomes a crowd
        assert (status, "`isthing` '0'; write 0" in said) == (1, True)
    data = repaired(unipan, folder)
    for index in range(2):
        assert areas(data.truth(index)) == [("car", 400), ("car", 400), ("road", 2272)]
    content = json.loads(data.source.read_text())
    assert [row["id"] for row in content["images"]] == ["1", 2]  # an id may be a text; it is one id in both places
    assert [row["image_id"] for row in content["annotations"]] == ["1", 2]
    assert [str(row["isthing"]) for row in content["categories"]] == ["1", "0"]  # and not True
    for row in (row for annotation in content["annotations"] for row in annotation["segments_info"]):
        assert {type(value) for value in (row["iscrowd"], row["category_id"], row["area"], *row["bbox"])} == {int}


def test_palette_ids(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("palette_ids")
    _, counts, said = findings(unipan, folder)
    assert counts == {"png-format": 1}
    assert "the indices of its palette are the ids, its colours are not" in said
    wanted = [("car", 100), ("car", 100), ("road", 1536)]
    data = repaired(unipan, folder)
    assert areas(data.truth(0)) == wanted
    with Image.open(data.source.parent / "panoptic" / "a.png") as image:
        assert (image.mode, image.getpixel((20, 4))) == ("RGB", (3, 0, 0))
    data, _ = converted(unipan, f"id-png:{folder / 'panoptic.json'}", tmp_path / "out")
    assert areas(data.truth(0)) == wanted


def test_colliding_ids(case: Make, unipan: Say) -> None:
    folder = case("colliding_ids")
    _, counts, said = findings(unipan, folder)
    assert counts["segment-twice"] == 1
    told = "segment 1: this id appears 3 times in `segments_info` for road, car, person"
    assert said.count(told) == said.count("appears 3 times") == 1
    for command in (("pq", folder, folder), ("data", "convert", folder, folder / "no")):
        status, said = unipan(*command)
        assert (status, "appears 3 times" in said) == (1, True)
    data = repaired(unipan, folder)
    assert areas(data.truth(0)) == [("car", 121), ("car", 121), ("person", 11 * 17), ("road", 64 * 18)]
    declared = json.loads((folder / "panoptic.json").read_text())["categories"]
    assert {each.name: each.id for each in data.categories} == {row["name"]: row["id"] for row in declared}
    assert all(len(str(each.id)) >= 76 for each in data.categories)


def test_colliding_ids_that_touch_are_void(case: Make, unipan: Say) -> None:
    folder = case("colliding_ids")
    path = folder / "panoptic" / "1.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[21:30, 44, 0] = 1  # the person stands on the road: one part
    Image.fromarray(pixels).save(path)
    truth = repaired(unipan, folder).truth(0)
    assert kinds(truth) == {("car", False): 1}
    assert ((truth.ids == 0) == (pixels[..., 0] != 2)).all()


def test_black_class(case: Make, unipan: Say) -> None:
    folder = case("black_class")
    _, counts, said = findings(unipan, folder)
    assert counts == {"segment-zero": 1}
    assert "the segment of soil has the id 0, which means void, so its pixels have no label" in said
    assert "note: void: 87.0 % of all pixels" in said  # all soil, as every reader takes it
    truth = repaired(unipan, folder).truth(0)
    assert areas(truth) == [("crop", 400), ("soil", 2672)]
    assert void(truth) == 0


def test_all_isthing_zero(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("all_isthing_zero")
    _, counts, said = findings(unipan, folder)
    assert counts == {"stuff-several": 1, "area-stale": 3, "bbox-stale": 12}
    assert "'car' (id 2) is stuff, but has up to 2 segments in an image (3 images: f1.jpg, f2.jpg, f3.jpg)" in said
    assert "segment 1: the JSON says 1536.0 pixels, the PNG has 1376" in said
    assert "no class is a thing" in said
    status, said = unipan("train", "finetune", "--data", folder, "--out", tmp_path / "run")
    assert (status, "the dataset has no thing class" in said, "--as-things" in said) == (1, True, True)
    assert "ceiling" not in said  # it is said before the images are looked at
    assert not (tmp_path / "run").exists()
    data, _ = converted(unipan, folder, tmp_path / "out", "--as-things", "car", "person")
    assert [each.name for each in data.categories.things] == ["car", "person"]
    for index in range(3):
        assert areas(data.truth(index)) == [("car", 256), ("car", 256), ("person", 224), ("road", 1376)]


def test_windows_names(case: Make, unipan: Say) -> None:
    folder = case("windows_names")
    _, counts, said = findings(unipan, folder)
    assert counts == {"name-foreign": 3}
    assert "backslashes" in said
    data = repaired(unipan, folder)
    assert data.file_names == ["train/a.jpg", "b.jpg"]
    assert [areas(data[index].truth) for index in range(2)] == [[("car", 400), ("road", PIXELS - 400)]] * 2
    assert [round(data[index].image.mean()) for index in range(2)] == [67, 61]  # each its own photograph
    status, said = unipan("data", "convert", folder, folder / "no")
    assert status == 1
    assert r"image 2: file name '..\\label\\b.jpg' leads out of its folder" in said


def test_d2_dicts(case: Make, unipan: Say) -> None:
    folder = case("d2_dicts")
    _, counts, said = findings(unipan, folder)
    assert counts == {"name-foreign": 2, "segment-zero": 1}
    assert "is no PNG of ids; `pan_seg_file_name` is" in said
    assert "the segment of car has the id 0, which means void" in said
    truth = repaired(unipan, folder).truth(0)
    assert areas(truth) == [("car", 48), ("car", 400), ("road", 2624)]
    assert void(truth) == 0
    status, said = unipan("data", "convert", folder, folder / "no")
    assert (status, "pan_seg_file_name" in said or "image_panoptic" in said) == (1, True)


def test_coconut_xl(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("coconut_xl")
    _, counts, said = findings(unipan, folder)
    assert counts == {"png-empty": 1, "png-format": 2, "category-unknown": 1, "bbox-stale": 2}
    for words in (
        "1.png: image 1: it does not have three",
        "2.png: image 2: it does not have three",
        "1.png: image 1, segment 3: category id 0",
        "2.png: image 2: all its pixels",
    ):
        assert words in said
    data = repaired(unipan, folder)
    assert areas(data.truth(0)) == [("person", 24 * 32), ("rug-merged", 24 * 64)]
    assert void(data.truth(0)) == 24 * 32  # the segment whose category nobody lists
    assert len(data) == 1
    set_ = data.source.parent
    status, said = steps(unipan, set_, tmp_path / "run", "--val", set_)  # one image cannot be split
    assert (status, "1.0 things an image" in said) == (0, True), said
    status, said = unipan("data", "convert", f"id-png:{folder / 'panoptic.json'}", folder / "no")
    assert (status, "1.png" in said, "segment 3: category id 0" in said) == (1, True, True)
