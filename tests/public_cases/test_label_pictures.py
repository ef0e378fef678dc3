"""Predictions and label pictures of other tools, from public trouble reports: each is read as it is meant, or refused.

No two objects become one, no class is lost, and no map is empty without a word; areas are those that the cases draw.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.public_cases.tools import Make, Say, areas, converted, kinds, void

pytestmark = pytest.mark.real_data

PIXELS = 48 * 64


def test_hf_fused(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("hf_fused")
    data, said = converted(unipan, f"huggingface:{folder}", tmp_path / "out", "--contiguous")
    assert areas(data.truth(0)) == [("car", 160), ("car", 160), ("road", 24 * 64), ("sky", 8 * 64)]
    scores = sorted((each.category.name, each.score) for each in data.truth(0))
    assert scores == [("car", 0.98), ("car", 0.99), ("road", 0.97), ("sky", 0.96)]  # of road the better one
    assert (len(data.truth(1)), void(data.truth(1))) == (0, PIXELS)
    assert "1 of 2 images have no segment" in said


def test_hf_fused_with_two_labels_is_an_error(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("hf_fused")
    content = json.loads((folder / "a.json").read_text())
    content["segments_info"][-1]["label_id"] = 3
    (folder / "a.json").write_text(json.dumps(content))
    status, said = unipan("data", "convert", f"huggingface:{folder}", tmp_path / "no", "--contiguous")
    assert status == 1
    assert "a.json: segment 1: it is listed as 'road' and as 'sky'" in said
    assert not (tmp_path / "no").exists()


def test_vistas_instances(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("vistas_instances")
    _, said = converted(unipan, f"png16:{folder}", tmp_path / "crowds")
    assert "612 pixels in all (19.9 %)" in said
    assert "--crowds things" in said
    data, said = converted(unipan, f"png16:{folder}", tmp_path / "out", "--crowds", "things")
    assert "crowds 0" in said
    assert areas(data.truth(0)) == [
        ("animal--bird", 100), ("animal--bird", 100), ("construction--flat--road", PIXELS - 712),
        ("object--vehicle--bicycle", 16 * 32),
    ]  # fmt: skip


def test_own_cityscapes(case: Make, unipan: Say, tmp_path: Path) -> None:
    wanted = [("crop", 100), ("crop", 100), ("soil", PIXELS - 300), ("weed", 100)]
    root = case("own_cityscapes")
    for layout in ("flat", "city"):
        folder = root / layout
        assert "unipan data convert cityscapes:" in unipan("data", "check", folder)[1]
        data, _ = converted(unipan, folder, tmp_path / layout, "--split", "train")
        assert areas(data.truth(0)) == wanted
        assert [each.name for each in data.categories.things] == ["crop", "weed"]
        assert data[0].image.shape == (48, 64, 3)
        (folder / "classes.json").rename(tmp_path / "classes.json")
        status, said = unipan("data", "convert", folder, tmp_path / "no", "--split", "train")
        assert status == 1
        assert "label_colors.txt: its classes are not those of Cityscapes" in said
        classes = ("--classes", tmp_path / "classes.json")
        data, _ = converted(unipan, folder, tmp_path / f"{layout}2", "--split", "train", *classes)
        assert areas(data.truth(0)) == wanted


def test_vipseg(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("vipseg")
    status, said = unipan("data", "convert", f"png16:{folder}", tmp_path / "no")
    assert status == 1
    assert "1 is below the divisor 100" in said
    assert "--below-divisor" in said
    assert not (tmp_path / "no").exists()
    data, _ = converted(unipan, f"png16:{folder}", tmp_path / "out", "--below-divisor", "class")
    assert len(data) == 2
    for index in range(2):
        assert areas(data.truth(index)) == [("person", 160), ("person", 160), ("wall", PIXELS - 320)]


def test_bdd_bitmask(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("bdd_bitmask")
    assert "unipan data convert bdd100k:" in unipan("data", "check", folder)[1]
    data, _ = converted(unipan, f"bdd100k:{folder}", tmp_path / "out")
    assert areas(data.truth(0)) == [("car", 200)] * 3 + [("road", PIXELS - 600)]
    for other, words in (
        ("two-channel", "is this a bitmask of BDD100K (`bdd100k:`)?"),
        ("png16", "one label per pixel is needed, this picture has 4 channels"),
        ("semantic-masks", "no such folder; this format keeps its pictures of classes there"),
    ):
        status, said = unipan("data", "convert", f"{other}:{folder}", tmp_path / "no")
        assert (status, words in said) == (1, True), said


def test_mots_ignore(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("mots_ignore")
    status, said = unipan("data", "convert", f"png16:{folder}", tmp_path / "no")
    assert status == 1
    assert "--void-classes 10" in said
    data, _ = converted(unipan, f"png16:{folder}", tmp_path / "out", "--void-classes", "10")
    assert areas(data.truth(0)) == [("car", 100), ("car", 100), ("pedestrian", 16 * 12)]
    assert (data.truth(0).ids[24:40, 40:60] == 0).all()
    assert void(data.truth(0)) == PIXELS - 200 - 192
    assert [each.name for each in data.categories] == ["car", "pedestrian"]  # no class had to be invented
    # With a background, as docs/data.md has it, regions to ignore are none of it.
    filled = ("--void-classes", "10", "--background", "rest")
    data, said = converted(unipan, f"png16:{folder}", tmp_path / "filled", *filled)
    assert areas(data.truth(0)) == [("car", 100), ("car", 100), ("pedestrian", 192), ("rest", PIXELS - 392 - 320)]
    assert (data.truth(0).ids[24:40, 40:60] == 0).all()
    assert f"void {320 / PIXELS:.1%}".replace("%", " %") in said


def test_tif_labels(case: Make, unipan: Say, tmp_path: Path) -> None:
    root = case("tif_labels")
    for kind in ("u16", "u32"):
        data, _ = converted(unipan, f"semantic-masks:{root / kind}", tmp_path / kind)
        assert areas(data.truth(0)) == [("background", 220 * 290 - 300 * 81)] + [("cell", 81)] * 300
        assert (data[0].image == 90).all()


def test_npy_parcels(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("npy_parcels")
    status, said = unipan("data", "convert", f"semantic-masks:{folder}", tmp_path / "no")
    assert (status, "--void-classes 19" in said) == (1, True)
    meadows = [("meadow", 16 * 13), ("meadow", 16 * 13), ("meadow", 20 * 16)]
    rest = 64 * 64 - 16 * 26 - 20 * 16 - 14 * 24
    data, _ = converted(unipan, f"semantic-masks:{folder}", tmp_path / "out", "--void-classes", "19")
    assert areas(data.truth(0)) == [("background", rest), *meadows]
    assert (data.truth(0).ids == 0).sum() == (data.truth(0).ids[50:, 40:] == 0).sum() == 14 * 24
    stray = f"semantic-masks:{folder / 'stray'}"
    status, said = unipan("data", "convert", stray, tmp_path / "no")
    assert (status, "instance 77 lies on no thing class" in said) == (1, True)
    assert not (tmp_path / "no").exists()
    data, said = converted(unipan, stray, tmp_path / "stray", "--strays", "leave-out")
    assert "left out" in said
    assert areas(data.truth(0)) == [("background", rest), *meadows]
    assert len(np.unique(data.truth(0).ids[55:60, 4:9])) == 1  # nothing of the stray parcel is left
    assert kinds(data.truth(0))["meadow", True] == 0
