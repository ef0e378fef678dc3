"""A dataset refuses what would give one image, or one name, two meanings."""

import json
from pathlib import Path

import pytest

from tests.datasets.formats.shapes_by_hand import SIZE, photo
from tests.datasets.maps import CLASSES, small_map
from unipan.datasets.formats.classes import read_classes
from unipan.datasets.formats.coco_instances import coco_instances
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset, list_files


def test_two_names_of_one_image_are_refused(tmp_path: Path) -> None:
    entries = [Entry(number, name, tmp_path / "a.png", small_map) for number, name in enumerate(("x/a.png", "y/a.png"))]
    with pytest.raises(ValueError, match=r"x/a\.png and y/a\.png would both be the image .*a\.png; .*--images DIR"):
        ListedDataset(tmp_path, CLASSES, entries)


def test_images_of_two_folders_are_not_found_in_one(tmp_path: Path) -> None:
    photo(tmp_path / "flat" / "a.png")
    rows = [
        {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for number, name in enumerate(("x/a.png", "y/a.png"))
    ]
    content = {"images": rows, "annotations": [], "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "i.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="would both be the image"):
        coco_instances(tmp_path / "i.json", FormatOptions(images=tmp_path / "flat"))


def test_a_name_that_a_classes_file_lists_twice_is_refused(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.png"}]
    (tmp_path / "classes.json").write_text(json.dumps({"categories": CLASSES.to_coco(), "images": images}))
    classes = read_classes(None, tmp_path)
    with pytest.raises(ValueError, match=r"classes\.json: the images 1 and 2 are both called a; list each name once"):
        list_files(tmp_path, tmp_path, [tmp_path / "a.png"], classes, None, lambda _: small_map())
    data = list_files(tmp_path, tmp_path, [tmp_path / "b.png"], classes, None, lambda _: small_map())
    assert data.image_ids == ["b"]
