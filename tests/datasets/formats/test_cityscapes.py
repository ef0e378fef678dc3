"""Cityscapes as downloaded: equal to the official preparation, on a folder of that layout."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.datasets.maps import said, same, write_photo
from unipan.datasets.formats.cityscapes import (
    CITYSCAPES,
    CITYSCAPES_TRAIN_IDS,
    CLASSES,
    IGNORED_LABELS,
    cityscapes_split,
    is_cityscapes,
    open_cityscapes,
)
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import suggestion


def instance_ids(seed: int) -> np.ndarray:
    """Every label once, two instances and a group of each thing class, ignored things with and without instances."""
    values = [*range(34), *(label * 1000 + number for label in range(24, 34) for number in (0, 1, 17))]
    rng = np.random.default_rng(seed)
    tiles = rng.permutation(np.resize(values, 64)).reshape(8, 8)
    return np.kron(tiles, np.ones((3, 4), int)).astype(np.uint16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cityscapes(tmp_path)


def write_cityscapes(root: Path) -> Path:
    """Two cities in val, one in train, files as in the archives."""
    places = [("val", "lindau", 3), ("val", "frankfurt", 294), ("val", "frankfurt", 576), ("train", "ulm", 5)]
    for seed, (split, city, frame) in enumerate(places):
        stem, ids = f"{city}_000000_{frame:06d}", instance_ids(seed)
        folder = root / "gtFine" / split / city
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{stem}_gtFine_instanceIds.png"), ids)
        cv2.imwrite(
            str(folder / f"{stem}_gtFine_labelIds.png"), np.where(ids < 1000, ids, ids // 1000).astype(np.uint8)
        )
        write_photo(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", *ids.shape, seed)
    return root


def test_nineteen_classes_in_their_places() -> None:
    assert (len(CITYSCAPES.things), len(CITYSCAPES.stuff)) == (8, 11)
    assert [category.id for category in CITYSCAPES.things] == [24, 25, 26, 27, 28, 31, 32, 33]
    assert sorted(category.id for category in CITYSCAPES_TRAIN_IDS) == list(range(19))
    assert CITYSCAPES_TRAIN_IDS[CITYSCAPES_TRAIN_IDS.index_of_name["car"]].id == 13
    assert IGNORED_LABELS | {row[0] for row in CLASSES} == set(range(-1, 34))
    assert not IGNORED_LABELS & {row[0] for row in CLASSES}


def test_classes_are_the_official_ones() -> None:
    official = pytest.importorskip("cityscapesscripts.helpers.labels", reason="cityscapesscripts is not installed")
    evaluated = [each for each in official.labels if not each.ignoreInEval]
    assert [(each.id, each.name, each.hasInstances, each.color) for each in evaluated] == list(CLASSES)
    assert [each.trainId for each in evaluated] == list(range(19))
    assert {each.id for each in official.labels if each.ignoreInEval} == IGNORED_LABELS


@pytest.mark.parametrize("train_ids", [False, True])
def test_maps_are_those_of_the_official_preparation(root: Path, train_ids: bool, tmp_path: Path) -> None:
    official = pytest.importorskip(
        "cityscapesscripts.preparation.createPanopticImgs", reason="cityscapesscripts is not installed"
    )
    out = tmp_path / "official"
    out.mkdir()
    official.convert2panoptic(str(root / "gtFine"), str(out), train_ids, ["val"])
    stem = f"cityscapes_panoptic_val{'_trainId' * train_ids}"
    expected = CocoPanoptic.of(out / f"{stem}.json", None, out / stem)
    found = cityscapes_split(root, train_ids=train_ids)
    assert found.categories == expected.categories
    assert found.image_ids == expected.image_ids
    written = {
        row["image_id"]: row["segments_info"] for row in json.loads((out / f"{stem}.json").read_text())["annotations"]
    }
    for index, image_id in enumerate(found.image_ids):
        ours, theirs = found.truth(index), expected.truth(index)
        assert (ours.ids == theirs.ids).all()
        assert same(ours, theirs)
        rows = [(s.id, s.category.id, s.area, list(s.bbox), int(s.iscrowd)) for s in ours]
        assert rows == [(r["id"], r["category_id"], r["area"], r["bbox"], r["iscrowd"]) for r in written[image_id]]


def test_rules_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "gtFine" / "val" / "ulm"
    folder.mkdir(parents=True)
    ids = np.array([[7, 26, 26001, 26000], [29001, 24, 0, 23]], np.uint16)
    cv2.imwrite(str(folder / "ulm_000000_000001_gtFine_instanceIds.png"), ids)
    truth = cityscapes_split(tmp_path).truth(0)
    assert truth.ids.tolist() == [[7, 26, 26001, 26000], [0, 24, 0, 23]]
    assert {s.id: (s.category.name, s.iscrowd) for s in truth} == {
        7: ("road", False),
        23: ("sky", False),
        24: ("person", True),
        26: ("car", True),
        26000: ("car", False),
        26001: ("car", False),
    }


def test_samples_splits_and_names(root: Path) -> None:
    data = cityscapes_split(root)
    assert data.image_ids == ["frankfurt_000000_000294", "frankfurt_000000_000576", "lindau_000000_000003"]
    assert data[2].image.shape == (24, 32, 3)
    assert data[2].name == "lindau_000000_000003_leftImg8bit.png"
    for place, split, first in (
        (root / "gtFine", None, "frankfurt_000000_000294"),
        (root / "gtFine" / "train", None, "ulm_000000_000005"),
        (root, "train", "ulm_000000_000005"),
    ):
        assert is_cityscapes(place)
        assert cityscapes_split(place, split).image_ids[0] == first
    assert not is_cityscapes(root / "leftImg8bit")


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gtFine/test: .*--split val"):
        cityscapes_split(root, "test")
    with pytest.raises(FileNotFoundError, match="there is no gtFine/ here"):
        cityscapes_split(tmp_path / "leftImg8bit")
    photo = root / "leftImg8bit" / "val" / "lindau" / "lindau_000000_000003_leftImg8bit.png"
    photo.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"{photo}: no such image, but")):
        cityscapes_split(root)
    path = root / "gtFine" / "val" / "lindau" / "lindau_000000_000003_gtFine_instanceIds.png"
    cv2.imwrite(str(path), np.full((2, 2), 99, np.uint8))
    (root / "leftImg8bit").rename(root / "away")
    data = cityscapes_split(root)
    with pytest.raises(ValueError, match=re.escape(f"{path}: value 99 is no Cityscapes label")):
        data.truth(2)
    with pytest.raises(ValueError, match="there is no image for frankfurt"):
        data[0]


OWN = [("crop", 1), ("weed", 1), ("soil", 0)]


def write_own(root: Path, city: str = "", images: str = "imgsFine/leftImg8bit") -> Path:
    """Other classes in the same layout, as CVAT and datumaro write them; a crop of which only the group is known."""
    ids = np.array([[1001, 1002, 2001, 3], [1, 0, 3, 3]], np.uint16)
    folder = root / "gtFine" / "train" / city
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a_gtFine_instanceIds.png"), ids)
    write_photo(root / images / "train" / city / "a_leftImg8bit.png", *ids.shape)
    (root / "label_colors.txt").write_text("".join(f"{n} 0 0 {name}\n" for n, (name, _) in enumerate(OWN)))
    return root


@pytest.mark.parametrize(("city", "images"), [("", "imgsFine/leftImg8bit"), ("farm", "leftImg8bit")])
def test_own_classes_in_this_layout(city: str, images: str, tmp_path: Path) -> None:
    root, rows = write_own(tmp_path / "set", city, images), []
    for number, (name, isthing) in enumerate(OWN, 1):
        rows.append({"id": number, "name": name, "isthing": isthing})
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps(rows))
    options = FormatOptions(split="train", classes=classes)
    wanted = {("crop", False, (0,)), ("crop", False, (1,)), ("weed", False, (2,)), ("soil", False, (3, 6, 7))}
    data = open_cityscapes(root, options)
    assert said(data.truth(0)) == wanted | {("crop", True, (4,))}
    assert data[0].image.shape == (2, 4, 3)
    assert said(open_cityscapes(root, replace(options, void_classes=(2,))).truth(0)) < said(data.truth(0))
    (root / "classes.json").write_text(json.dumps(rows))
    assert said(cityscapes_split(root, "train").truth(0)) == said(data.truth(0))
    with pytest.raises(ValueError, match=r"--train-ids: .* has classes of its own"):
        cityscapes_split(root, "train", train_ids=True)
    assert suggestion(root) == (f"cityscapes:{root}", "--split", "train")


def test_own_classes_that_nobody_declares_are_no_void(tmp_path: Path) -> None:
    root = write_own(tmp_path)
    with pytest.raises(ValueError, match=r"label_colors\.txt.*--classes"):
        cityscapes_split(root, "train")
    (root / "label_colors.txt").unlink()
    with pytest.raises(ValueError, match=r"value 1001 is an instance of class 1, .*--classes FILE"):
        cityscapes_split(root, "train").truth(0)
    with pytest.raises(ValueError, match="--void-classes"):
        open_cityscapes(root, FormatOptions(split="train", void_classes=(1,)))
