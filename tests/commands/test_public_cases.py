"""Inputs from public trouble reports come out as they should, through the doors that users take.

Each case is written by its script in the folder `cases` beside that of `UNIPAN_SHARED`; the script's head says what the
input is, where it was reported, and what is right. Nothing of it is in this repository.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import CATEGORIES, tiny_config
from unipan.build import build_network
from unipan.checkpoint import save_checkpoint
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.sources import open_training, require_data
from unipan.panoptic.images import read_image
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import decode_png
from unipan.presets import preset

pytestmark = pytest.mark.real_data

SHARED = Path(os.environ.get("UNIPAN_SHARED", Path(__file__).resolve().parents[3] / "shared" / "data"))
CASES = SHARED.parent / "cases"

Say = Callable[..., tuple[int, str]]
Make = Callable[[str], Path]


@pytest.fixture
def case(tmp_path: Path) -> Make:
    """Writes a case by its script and returns its folder."""

    def make(name: str) -> Path:
        script = CASES / f"{name}.py"
        if not script.is_file():
            pytest.skip(f"no scripts of public cases at {CASES}; UNIPAN_SHARED names the folder beside it")
        out = tmp_path / name
        subprocess.run([sys.executable, "-W", "ignore", str(script), str(out)], check=True)
        return out

    return make


@pytest.fixture
def unipan(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command and returns its exit status, and all that it says."""

    def run(*words: object) -> tuple[int, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        said = capsys.readouterr()
        return int(status or 0), " ".join((said.out + said.err).split())

    return run


def kinds(truth: PanopticMap) -> Counter[tuple[str, bool]]:
    """(class, crowd) -> number of segments."""
    return Counter((each.category.name, each.iscrowd) for each in truth)


def void(truth: PanopticMap) -> int:
    return int((truth.ids == 0).sum())


def findings(unipan: Say, folder: Path, *more: object) -> tuple[int, dict[str, int], str]:
    """Exit status and counts of `data check`, and what it says."""
    report = folder.parent / f"{folder.name}.findings.json"
    status, said = unipan("data", "check", folder, "--json", report, *more)
    return status, json.loads(report.read_text())["counts"], said


def repaired(unipan: Say, folder: Path) -> CocoPanoptic:
    """What --fix makes of a set; nothing is wrong with the copy."""
    out = folder.parent / "repaired"
    findings(unipan, folder, "--fix", out)
    assert unipan("data", "check", out)[0] == 0
    return CocoPanoptic(out)


def converted(unipan: Say, source: object, out: Path, *more: object) -> tuple[CocoPanoptic, str]:
    """What `data convert` makes, and what it says."""
    status, said = unipan("data", "convert", source, out, *more)
    assert status == 0, said
    images = out / "images" if (out / "images").is_dir() else None
    return CocoPanoptic.of(out / "panoptic.json", images, out / "panoptic"), said


# Predictions and label pictures of other tools


def test_hf_fused(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("hf_fused")
    data, said = converted(unipan, f"huggingface:{folder}", tmp_path / "out", "--contiguous")
    assert kinds(data.truth(0)) == {("car", False): 2, ("road", False): 1, ("sky", False): 1}
    assert max(each.score for each in data.truth(0) if each.category.name == "road") == 0.97
    assert len(data.truth(1)) == 0
    assert "1 of 2 images have no segment" in said
    content = json.loads((folder / "a.json").read_text())
    content["segments_info"][-1]["label_id"] = 3
    (folder / "a.json").write_text(json.dumps(content))
    status, said = unipan("data", "convert", f"huggingface:{folder}", tmp_path / "no", "--contiguous")
    assert status == 1
    assert "a.json: segment 1: it is listed as 'road' and as 'sky'" in said


def test_vistas_instances(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("vistas_instances")
    _, said = converted(unipan, f"png16:{folder}", tmp_path / "crowds")
    assert "612 pixels in all (19.9 %)" in said
    assert "--crowds things" in said
    data, _ = converted(unipan, f"png16:{folder}", tmp_path / "out", "--crowds", "things")
    wanted = {"animal--bird": 2, "object--vehicle--bicycle": 1, "construction--flat--road": 1}
    assert kinds(data.truth(0)) == {(name, False): count for name, count in wanted.items()}


def test_own_cityscapes(case: Make, unipan: Say, tmp_path: Path) -> None:
    wanted = {("crop", False): 2, ("weed", False): 1, ("soil", False): 1}
    root = case("own_cityscapes")
    for layout in ("flat", "city"):
        folder = root / layout
        assert "unipan data convert cityscapes:" in unipan("data", "check", folder)[1]
        data, _ = converted(unipan, folder, tmp_path / layout, "--split", "train")
        assert kinds(data.truth(0)) == wanted
        assert void(data.truth(0)) == 0
        (folder / "classes.json").rename(tmp_path / "classes.json")
        status, said = unipan("data", "convert", folder, tmp_path / "no", "--split", "train")
        assert status == 1
        assert "label_colors.txt: its classes are not those of Cityscapes" in said
        classes = ("--classes", tmp_path / "classes.json")
        data, _ = converted(unipan, folder, tmp_path / f"{layout}2", "--split", "train", *classes)
        assert kinds(data.truth(0)) == wanted


def test_vipseg(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("vipseg")
    status, said = unipan("data", "convert", f"png16:{folder}", tmp_path / "no")
    assert status == 1
    assert "1 is below the divisor 100" in said
    assert not (tmp_path / "no").exists()
    data, _ = converted(unipan, f"png16:{folder}", tmp_path / "out", "--below-divisor", "class")
    for index in range(2):
        assert kinds(data.truth(index)) == {("wall", False): 1, ("person", False): 2}
        assert void(data.truth(index)) == 0


def test_bdd_bitmask(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("bdd_bitmask")
    assert "unipan data convert bdd100k:" in unipan("data", "check", folder)[1]
    data, _ = converted(unipan, f"bdd100k:{folder}", tmp_path / "out")
    assert kinds(data.truth(0)) == {("car", False): 3, ("road", False): 1}
    for other in ("two-channel", "png16", "semantic-masks"):
        assert unipan("data", "convert", f"{other}:{folder}", tmp_path / "no")[0] == 1


def test_mots_ignore(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("mots_ignore")
    status, said = unipan("data", "convert", f"png16:{folder}", tmp_path / "no")
    assert status == 1
    assert "--void-classes 10" in said
    data, _ = converted(unipan, f"png16:{folder}", tmp_path / "out", "--void-classes", "10")
    assert kinds(data.truth(0)) == {("car", False): 2, ("pedestrian", False): 1}
    assert (data.truth(0).ids[24:40, 40:60] == 0).all()


def test_tif_labels(case: Make, unipan: Say, tmp_path: Path) -> None:
    root = case("tif_labels")
    for kind in ("u16", "u32"):
        data, _ = converted(unipan, f"semantic-masks:{root / kind}", tmp_path / kind)
        assert kinds(data.truth(0)) == {("cell", False): 300, ("background", False): 1}


def test_npy_parcels(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("npy_parcels")
    assert "--void-classes 19" in unipan("data", "convert", f"semantic-masks:{folder}", tmp_path / "no")[1]
    data, _ = converted(unipan, f"semantic-masks:{folder}", tmp_path / "out", "--void-classes", "19")
    assert kinds(data.truth(0)) == {("meadow", False): 3, ("background", False): 1}
    stray = f"semantic-masks:{folder / 'stray'}"
    assert "instance 77 lies on no thing class" in unipan("data", "convert", stray, tmp_path / "no")[1]
    data, said = converted(unipan, stray, tmp_path / "stray", "--strays", "leave-out")
    assert "left out" in said
    assert kinds(data.truth(0))["meadow", False] == 3


# COCO instances as tools write them


def test_cvat_rle_crowds(case: Make, unipan: Say, tmp_path: Path) -> None:
    file = case("cvat_rle_crowds") / "instances_default.json"
    _, said = converted(unipan, f"coco-instances:{file}", tmp_path / "crowds")
    assert "every segment of car, person is a crowd" in said
    assert "--crowds things" in said
    assert "no thing is left" in said
    options = ("--crowds", "things", "--background", "background")
    data, _ = converted(unipan, f"coco-instances:{file}", tmp_path / "out", *options)
    assert kinds(data.truth(0)) == {("car", False): 2, ("person", False): 1, ("background", False): 1}
    assert "--crowds things" in unipan("data", "check", file)[1]  # the command that it names


def test_no_background(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("no_background") / "train"
    assert "--background background" in unipan("data", "check", folder)[1]
    data, _ = converted(unipan, f"coco-instances:{folder}", tmp_path / "out", "--background", "background")
    assert [each.name for each in data.categories] == ["pike", "carp", "background"]
    assert void(data.truth(0)) == 0
    with pytest.raises(FileNotFoundError, match=r"unipan data convert coco-instances:.* --background background"):
        require_data(str(folder))
    assert len(open_training(str(tmp_path / "out"), None)[0]) == 10


def test_label_studio_coco(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("label_studio_coco")
    for name in ("result", "windows"):
        source = f"coco-instances:{folder / name}.json"
        options = ("--images", folder / "images", "--as-stuff", "road")
        data, said = converted(unipan, source, tmp_path / name, *options)
        assert ("left out" in said) == (name == "result")  # a rectangle
        assert kinds(data.truth(0)) == {("car", False): 1, ("road", False): 1}
        assert data.truth(0).ids[35, 15] == next(s.id for s in data.truth(0) if s.isthing)  # the car is in front


def test_odd_polygons(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("odd_polygons")
    cars = {}
    for name in ("flat", "point", "pointonly", "empty", "bbox_only", "outside"):
        status, said = unipan("data", "convert", f"coco-instances:{folder / name}.json", tmp_path / name)
        assert status == 0, said
        assert ("left out" in said) == (name in ("point", "pointonly", "empty", "bbox_only")), (name, said)
        out = tmp_path / name
        truth = CocoPanoptic.of(out / "panoptic.json", None, out / "panoptic").truth(0)
        cars[name] = sorted(each.area for each in truth)
    assert cars == {
        "flat": [100, 676], "point": [100, 676], "pointonly": [100], "empty": [100], "bbox_only": [100],
        "outside": [24 * 28],
    }  # fmt: skip


# The doctor, and what reads COCO panoptic JSON


def test_text_crowd(case: Make, unipan: Say) -> None:
    folder = case("text_crowd")
    assert findings(unipan, folder)[:2] == (1, {"number-type": 3})
    status, said = unipan("pq", folder, folder / "pred.json")
    assert (status, "`iscrowd` is '0'" in said) == (1, True)
    data = repaired(unipan, folder)
    assert kinds(data.truth(0)) == {("car", False): 2, ("road", False): 1}
    status, said = unipan("pq", data.source, folder / "pred.json")
    assert (status, "100.0" in said) == (0, True)


def test_loose_types(case: Make, unipan: Say) -> None:
    folder = case("loose_types")
    assert findings(unipan, folder)[:2] == (1, {"size-json": 1, "number-type": 5, "area-stale": 2, "bbox-stale": 2})
    data = repaired(unipan, folder)
    for index in range(2):
        assert kinds(data.truth(index)) == {("car", False): 2, ("road", False): 1}


def test_palette_ids(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("palette_ids")
    assert findings(unipan, folder)[:2] == (1, {"png-format": 1})
    wanted = {("car", False): 2, ("road", False): 1}
    assert kinds(repaired(unipan, folder).truth(0)) == wanted
    data, _ = converted(unipan, f"id-png:{folder / 'panoptic.json'}", tmp_path / "out")
    assert kinds(data.truth(0)) == wanted


def test_colliding_ids(case: Make, unipan: Say) -> None:
    folder = case("colliding_ids")
    _, counts, said = findings(unipan, folder)
    assert counts["segment-twice"] == 1
    assert "segment 1: this id appears 3 times in `segments_info` for road, car, person" in said
    assert "appears 3 times" in unipan("pq", folder, folder)[1]
    truth = repaired(unipan, folder).truth(0)
    assert {(each.category.name, each.area) for each in truth} == {
        ("road", 64 * 18), ("car", 121), ("person", 11 * 17),
    }  # fmt: skip
    assert kinds(truth)["car", False] == 2


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
    assert "the segment of soil has the id 0, which means void" in said
    truth = repaired(unipan, folder).truth(0)
    assert {(each.category.name, each.area) for each in truth} == {("soil", 2672), ("crop", 400)}
    assert void(truth) == 0


def test_all_isthing_zero(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("all_isthing_zero")
    _, counts, said = findings(unipan, folder)
    assert counts["stuff-several"] == 1
    assert "'car' (id 2) is stuff, but has up to 2 segments in an image" in said
    assert "no class is a thing" in said
    status, said = unipan("train", "finetune", "--data", folder, "--out", tmp_path / "run")
    assert (status, "the dataset has no thing class" in said, "--as-things" in said) == (1, True, True)
    assert "ceiling" not in said
    data, _ = converted(unipan, folder, tmp_path / "out", "--as-things", "car", "person")
    assert [each.name for each in data.categories.things] == ["car", "person"]
    assert kinds(data.truth(0)) == {("car", False): 2, ("person", False): 1, ("road", False): 1}


def test_windows_names(case: Make, unipan: Say) -> None:
    folder = case("windows_names")
    _, counts, said = findings(unipan, folder)
    assert counts == {"name-foreign": 3}
    assert "backslashes" in said
    data = repaired(unipan, folder)
    assert data.file_names == ["train/a.jpg", "b.jpg"]
    assert [kinds(data[index].truth) for index in range(2)] == [{("car", False): 1, ("road", False): 1}] * 2
    assert "leads out of" in unipan("data", "convert", folder, folder / "no")[1]


def test_d2_dicts(case: Make, unipan: Say) -> None:
    folder = case("d2_dicts")
    _, counts, said = findings(unipan, folder)
    assert counts == {"name-foreign": 2, "segment-zero": 1}
    assert "is no PNG of ids; `pan_seg_file_name` is" in said
    assert "the segment of car has the id 0, which means void" in said
    truth = repaired(unipan, folder).truth(0)
    assert kinds(truth) == {("car", False): 2, ("road", False): 1}
    assert void(truth) == 0
    status, said = unipan("data", "convert", folder, folder / "no")
    assert (status, "pan_seg_file_name" in said or "image_panoptic" in said) == (1, True)


def test_coconut_xl(case: Make, unipan: Say) -> None:
    folder = case("coconut_xl")
    _, counts, said = findings(unipan, folder)
    assert counts == {"png-empty": 1, "png-format": 2, "category-unknown": 1, "bbox-stale": 2}
    for words in (
        "1.png: image 1: it does not have three",
        "segment 3: category id 0",
        "2.png: image 2: all its pixels",
    ):
        assert words in said
    data = repaired(unipan, folder)
    assert kinds(data.truth(0)) == {("person", False): 1, ("rug-merged", False): 1}
    assert len(data) == 1
    status, said = unipan("data", "convert", f"id-png:{folder / 'panoptic.json'}", folder / "no")
    assert (status, "segment 3: category id 0" in said) == (1, True)


# Photographs


def test_exif_same_size(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("exif_same_size")
    status, counts, said = findings(unipan, folder)
    assert (status, counts) == (0, {})
    assert "turned or mirrored by EXIF, 2 of 3 images: 1.jpg, 2.jpg" in said
    assert unipan("data", "show", folder, "--out", tmp_path / "page")[0] == 0
    assert (tmp_path / "page" / "index.html").is_file()
    photo = CocoPanoptic(folder)[1].image
    assert photo[30:40, 40:60].mean() > photo[4:20, 4:30].mean()  # upside down, as the network sees it


def test_grey16(case: Make) -> None:
    folder = case("grey16") / "images"
    window = preset("finetune").data.window
    reference = read_image(folder / "grey8.png").astype(int)
    low, high = np.percentile(reference, window)
    wanted = np.clip((reference - low) / (high - low), 0, 1) * 255
    for name in ("a12.png", "a12.tif", "a16.png", "af.tif", "rgb16.png"):
        assert abs(read_image(folder / name, window) - wanted).max() < 2, name
    with pytest.raises(ValueError, match=r"af\.tif: floating-point pixels have no known range"):
        read_image(folder / "af.tif")


def test_odd_photos(case: Make, unipan: Say, tmp_path: Path) -> None:
    root = case("odd_photos")
    folder = tmp_path / "in"
    shutil.copytree(root / "photos", folder)
    shutil.copy(root / "empty" / "empty.jpg", folder)
    status, said = unipan("predict", "scenes", folder, "--out", tmp_path / "out")
    assert status == 1
    assert "empty.jpg is left out" in said
    assert "notes.txt" not in said
    rows = json.loads((tmp_path / "out" / "panoptic.json").read_text())["images"]
    names = {path.name for path in folder.iterdir()} - {"empty.jpg", "notes.txt"}
    assert {row["file_name"] for row in rows} == names
    for row in rows:
        with Image.open(folder / row["file_name"]) as image:
            assert (row["width"], row["height"]) == image.size
    pngs = sorted((tmp_path / "out" / "panoptic").rglob("*.png"))
    assert len(pngs) == len(names)
    assert {decode_png(path).shape for path in pngs} >= {(20, 4032), (4032, 20), (1, 1), (1, 500)}


def test_huge_photo(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("huge_photo") / "photos"
    config = tiny_config()
    config = replace(config, data=replace(config.data, short_side=256))  # `scenes` would take pictures whole
    checkpoint = tmp_path / "net.safetensors"
    save_checkpoint(checkpoint, build_network(config, CATEGORIES).state_dict(), config, CATEGORIES, {})
    status, said = unipan("predict", checkpoint, folder, "--out", tmp_path / "out")
    assert status == 1
    assert "big.jpg: too many pixels to open safely" in said
    made = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert {row["file_name"] for row in made["images"]} == {"small.jpg", "mid.jpg"}
    assert decode_png(tmp_path / "out" / "panoptic" / "mid.png").shape == (9000, 9000)


# Training


def steps(unipan: Say, data: Path, out: Path) -> tuple[int, str]:
    """Two steps of the recipe for own data."""
    options = ("--train.iterations", 2, "--train.warmup", 0, "--train.batch-size", 1, "--data.crop", 64, 64)
    return unipan("train", "finetune", "--data", data, "--out", out, "--data.short-side", 96, *options)


def test_no_things(case: Make, unipan: Say, tmp_path: Path) -> None:
    root = case("no_things")
    status, said = steps(unipan, root / "half", tmp_path / "half")
    assert status == 0, said
    assert "PQ of things is 0" in said or "there is no PQ of things" in said
    for kind, why in (("none", "none is labelled"), ("crowds", "all 9 segments of thing classes are crowds")):
        status, said = steps(unipan, root / kind, tmp_path / kind)
        assert status == 0
        assert f"no thing is in any of these images, {why}" in said
        assert said.index(why) < said.index("ceiling")
        assert "things –" in said
        with (tmp_path / kind / "log.csv").open() as file:
            assert {row["pq_things"] for row in csv.DictReader(file)} == {""}
    assert "note: no thing is in any image" in unipan("data", "check", root / "none")[1]
    assert "note: all 10 segments of thing classes are crowds" in unipan("data", "check", root / "crowds")[1]


def test_dense(case: Make, unipan: Say, tmp_path: Path) -> None:
    status, said = steps(unipan, case("dense"), tmp_path / "run")
    assert status == 0, said
    assert "300.0 things an image" in said
    assert "at most 375 detections" in said
    unipan("pq", tmp_path / "dense", tmp_path / "dense", "--json", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["strict"]["per_class"]["1"]["tp"] == 4 * 300
