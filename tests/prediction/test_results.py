"""`unipan predict` as a user runs it: what it writes, what it refuses, and the page of results."""

import csv
import json
import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import tifffile
from PIL import Image
from shapely.geometry import shape

from tests.html_pages import CHROMIUM, dom_of, parse, table, words
from tests.test_inference import segmenter_of, tiny
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.inference import Segmenter
from unipan.panoptic.png import decode_png
from unipan.prediction import results
from unipan.prediction.images import ImageJob
from unipan.prediction.plan import drawings_note
from unipan.presets import scenes

NAMES = ["a#b 1% <b>é.png", "sub/b.png"]
EVERYTHING = ["--csv", "--geojson", "--tiff", "--margin"]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmenter_of(tiny(scenes()))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    drawn = Scenes(range(7, 9), (64, 96))
    for name, sample in zip(NAMES, drawn, strict=True):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.image).save(path)
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def network(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: segmenter)
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)


def predict(*arguments: object) -> int:
    return main(["predict", "net.safetensors", *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The sentence of a run that changed nothing."""
    capsys.readouterr()
    assert predict(*arguments) == 1
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_file_says_the_same(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(photos, "--out", out, *EVERYTHING) == 0
    content = json.loads((out / "panoptic.json").read_text())
    with (out / "segments.csv").open() as file:
        rows = list(csv.DictReader(file))
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        stem = image["file_name"].removesuffix(".png")
        ids = decode_png(out / "panoptic" / f"{stem}.png")
        assert np.array_equal(tifffile.imread(out / "labels" / f"{stem}.tif"), ids)
        margin = np.load(out / "margin" / f"{stem}.npy")
        assert (margin.shape, margin.dtype) == (ids.shape, np.float32)
        features = json.loads((out / "geojson" / f"{stem}.geojson").read_text())["features"]
        own = [row for row in rows if row["file"] == image["file_name"]]
        assert len(features) == len(own) == len(annotation["segments_info"]) > 0
        for segment, row, feature in zip(annotation["segments_info"], own, features, strict=True):
            assert segment["id"] == int(row["id"]) == feature["id"]
            assert segment["area"] == int(row["area"]) == shape(feature["geometry"]).area
            assert float(row["perimeter"]) >= 0
    assert [path.suffix for path in sorted((out / "overlays").rglob("*.*"))] == [".png", ".png"]


def test_the_page_opens_anywhere_and_its_links_lead_somewhere(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(photos, "--out", out, *EVERYTHING) == 0
    root = parse((out / "index.html").read_text())
    rows = table(root, "images")
    assert [row[1].split("96 x 64")[0] for row in rows] == NAMES
    targets = [each.attrib["href"] for each in root.iter("a")] + [each.attrib["src"] for each in root.iter("img")]
    assert len(targets) == 3 + 2 * 7
    assert [target for target in targets if not (out / unquote(target)).is_file()] == []
    assert "car" in words(root.find(".//*[@class='legend classes']"))


def test_only_what_is_asked_for(photos: Path, tmp_path: Path) -> None:
    assert predict(photos, "--out", tmp_path / "out", "--no-labels") == 0
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [".unipan.json", "index.html", "overlays", "panoptic", "panoptic.json", "thumbnails"]
    assert Image.open(tmp_path / "out" / "overlays" / "sub" / "b.png").size == (96, 64)


def test_labels_are_drawn_whether_they_are_asked_for_or_not(photos: Path, tmp_path: Path) -> None:
    for out, more in (("asked", ["--labels"]), ("not", [])):
        assert predict(photos, "--out", tmp_path / out, *more) == 0
    asked, unasked = (tmp_path / out / "overlays" / "sub" / "b.png" for out in ("asked", "not"))
    assert asked.read_bytes() == unasked.read_bytes()
    assert Image.open(asked).size > (96, 64)


def test_overlays_of_large_images_are_jpeg(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "JPEG_FROM", 64 * 96 - 1)
    assert predict(photos, "--out", tmp_path / "out") == 0
    overlay = tmp_path / "out" / "overlays" / "sub" / "b.jpg"
    assert Image.open(overlay).format == "JPEG"
    (tmp_path / "copied.jpg").write_bytes(overlay.read_bytes())  # known even without the folder
    assert "`unipan predict` wrote this picture" in refused(capsys, tmp_path / "copied.jpg", "--out", tmp_path / "b")


@pytest.mark.parametrize(("format_", "kind"), [("jpg", "JPEG"), ("png", "PNG")])
def test_overlays_have_the_format_that_is_asked_for(
    format_: str, kind: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "JPEG_FROM", 0 if format_ == "png" else 10**9)
    assert predict(photos, "--out", tmp_path / "out", "--overlay-format", format_) == 0
    found = sorted(path for path in (tmp_path / "out" / "overlays").rglob("*") if path.is_file())
    assert [path.suffix for path in found] == [f".{format_}"] * 2
    assert {Image.open(path).format for path in found} == {kind}
    page = parse((tmp_path / "out" / "index.html").read_text())
    assert all((tmp_path / "out" / unquote(each.attrib["href"])).is_file() for each in page.iter("a"))


def test_the_page_works_without_overlays(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert predict(photos, "--out", out, "--no-overlays", "--csv") == 0
    assert not (out / "overlays").exists()
    assert not any("overlay" in name for name in json.loads((out / ".unipan.json").read_text())["files"])
    page = parse((out / "index.html").read_text())
    assert [row[1].split("96 x 64")[0] for row in table(page, "images")] == NAMES
    targets = [each.attrib["href"] for each in page.iter("a")] + [each.attrib["src"] for each in page.iter("img")]
    assert len(targets) == 3 + 2 * 3
    assert [target for target in targets if not (out / unquote(target)).is_file()] == []
    for more in (["--no-labels"], ["--overlay-format", "png"]):
        said = refused(capsys, photos, "--out", tmp_path / "other", "--no-overlays", *more)
        assert "--no-overlays" in said


def test_the_ground_truth_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt = tmp_path / "gt"
    like = write_coco_panoptic(gt, Scenes(range(2), (64, 96)), SCENE_CATEGORIES)
    before = contents(gt)
    for more in ([], ["--overwrite"]):
        said = refused(capsys, gt / "images", "--like", like, "--out", gt, *more)
        assert "its panoptic.json is the ground truth of these images" in said
    for out in (gt, gt / "images", gt / "images" / "x"):
        assert "--out" in refused(capsys, gt / "images", "--out", out)
    assert "which is read" in refused(capsys, gt, "--out", gt / "out")
    assert contents(gt) == before


def test_a_second_run_replaces_the_first_and_reads_none_of_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert predict(photos, "--out", out, "--margin") == 0
    before = contents(out)
    assert "unipan wrote all pictures" in refused(capsys, out, "--out", tmp_path / "other")
    assert "unipan wrote all pictures" in refused(capsys, out / "overlays", "--out", out)
    assert "`unipan predict` wrote this picture" in refused(capsys, out / "overlays" / "sub" / "b.png", "--out", out)
    assert contents(out) == before
    inside = photos / "out"
    assert "which is read" in refused(capsys, photos, "--out", inside)
    for _ in range(2):  # the second time its own pictures are there
        assert predict(photos, "--out", inside, "--overwrite") == 0
        assert len(json.loads((inside / "panoptic.json").read_text())["images"]) == 2


def test_what_somebody_else_put_there_is_kept(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "out" / "index.html"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert "index.html: it is there already" in refused(capsys, photos, "--out", tmp_path / "out")
    assert contents(tmp_path / "out") == {str(mine): b"mine"}
    assert predict(photos, "--out", tmp_path / "out", "--overwrite") == 0
    assert mine.read_text() != "mine"


def test_a_batch_of_nothing_leaves_the_last_result(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, broken = tmp_path / "out", tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    assert predict(photos, "--out", out) == 0
    before = contents(out)
    assert predict(broken, "--out", out) == 1
    assert "predict: the image could not be read" in capsys.readouterr().err
    assert {name: data for name, data in contents(out).items() if name in before} == before | {
        str(out / ".unipan.json"): (out / ".unipan.json").read_bytes()
    }


def test_one_pictures_failure_never_ends_a_batch(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostScript under the name of a PNG, a cut JPEG, a pipe, a picture of one line, and one without memory for it."""
    picture = Image.fromarray(np.full((40, 60, 3), 90, np.uint8))
    picture.save(photos / "script.png", "EPS")
    picture.save(photos / "cut.jpg")
    (photos / "cut.jpg").write_bytes((photos / "cut.jpg").read_bytes()[:400])
    picture.resize((3000, 1)).save(photos / "line.png")
    picture.save(photos / "huge.png")
    picture.save(photos / "\x1b[31mred.png")
    os.mkfifo(tmp_path / "pipe.png")
    call = Segmenter.__call__

    def short_of_memory(self: Segmenter, image: Path, fusion: str | None = None) -> object:
        if image.name == "huge.png":
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")
        return call(self, image, fusion)

    monkeypatch.setattr(Segmenter, "__call__", short_of_memory)
    assert predict(photos, tmp_path / "pipe.png", "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    for name in ("script.png", "cut.jpg", "pipe.png", "huge.png"):
        assert f"{name} is left out: " in said.err
    assert "\x1b" not in said.out + said.err
    written = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    names = sorted(entry["file_name"] for entry in written["images"])
    assert names == sorted([*NAMES, "line.png", "\x1b[31mred.png"])


def test_a_fusion_without_a_margin_is_told_before_anything_is_written(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, photos, "--out", tmp_path / "out", "--margin", "--fusion", "heuristic")
    assert "--margin: the fusion heuristic is no argmax" in said
    assert not (tmp_path / "out").exists()


def test_photographs_and_the_checkpoint_of_drawings() -> None:
    scene, photo = ImageJob(Path("x/scene_1000000.png"), "a.png", 1), ImageJob(Path("x/scene.jpg"), "b.png", 2)
    assert drawings_note("scenes", [scene]) is None
    assert drawings_note(os.fspath(Path("mine.safetensors")), [photo]) is None
    said = drawings_note("scenes", [scene, photo])
    assert said is not None
    assert "x/scene.jpg" in said


def test_csv_without_scikit_image_says_what_is_missing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("unipan.panoptic.segment_table.find_spec", lambda _: None)
    assert predict(photos, "--out", tmp_path / "out", "--csv") == 0
    assert 'pip install "unipan[measure]"' in capsys.readouterr().err


@pytest.mark.parametrize("option", [*EVERYTHING, "--no-labels"])
def test_a_server_takes_nothing_else(
    option: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, photos, "--submission", "coco", "--out", tmp_path / "out", option)
    assert "run once without it" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
def test_the_table_sorts_in_a_browser(photos: Path, tmp_path: Path) -> None:
    assert predict(photos, "--out", tmp_path / "out") == 0
    page = tmp_path / "out" / "index.html"
    for state, names in (("images=1", NAMES), ("images=1-", NAMES[::-1])):
        text = dom_of(page, tmp_path / "profile", state)
        places = [text.index(f"overlay of {name.replace('<', '&lt;').replace('>', '&gt;')}") for name in names]
        assert places == sorted(places)
