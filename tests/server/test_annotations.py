"""What was accepted is a whole dataset after each image, whatever happens next."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.server.clients import accept, client, folder_of, png, studio
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.sources import open_training
from unipan.files import write_json
from unipan.inference import Segmenter
from unipan.prediction.images import plan_images
from unipan.presets import finetune, scenes
from unipan.server.annotations import WRITTEN, Annotations, claim_annotations, next_commands
from unipan.server.scenes import PageBox, found_boxes, with_boxes

README = Path(__file__).resolve().parents[2] / "README.md"

BOXES = [PageBox((4, 4, 30, 30), 1, 0.75, 3)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", ["a.png", "deep/b.jpg", "c.png"])


def accept_all(maker: Segmenter, photos: Path, out: Path) -> Annotations:
    jobs, _ = plan_images([photos], None)
    annotations = Annotations(out, maker.categories)
    for job in jobs:
        scene = maker.scene(job.path)
        annotations.accept(job.name, job.path, with_boxes(scene, BOXES).result(), BOXES)
    return annotations


def test_accepted_images_pass_the_doctor_and_feed_a_training(
    maker: Segmenter, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accept_all(maker, photos, tmp_path / "out")
    assert main(["data", "check", str(tmp_path / "out")]) == 0, capsys.readouterr()
    data = CocoPanoptic(tmp_path / "out")
    assert sorted(data.file_names) == ["a.png", "c.png", "deep/b.jpg"]
    for name, sample in zip(data.file_names, data, strict=True):
        assert (tmp_path / "out" / "images" / name).read_bytes() == (photos / name).read_bytes()
        wanted = maker.scene(photos / name).edit([[4, 4, 30, 30]], [0.75], [1]).result()
        assert np.array_equal(sample.truth.ids, wanted.ids)
        assert all(segment.score == 1 for segment in sample.truth)
    train, val, _ = open_training(str(tmp_path / "out"), None)
    assert (len(train), len(val)) == (2, 1)


SMALL = (
    "--backbone.width 8 --backbone.fpn-channels 16 --decoder.channels 8 --decoder.groups 4 --affinity.channels 8 "
    "--affinity.rope 1 --detection.box-features 8 --detection.mask-channels 8 --detection.mask-layers 1 "
    "--train.batch-size 1 --train.validations 1 --train.precision 32 --train.num-workers 0 --data.short-side 0 "
    "--data.crop 0 0 --init none --accelerator cpu --train.iterations 3"
)
"""A network and a training of seconds."""


def test_what_was_accepted_in_the_page_trains(
    maker: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed, name in enumerate("abc"):
        (photos / f"{name}.png").write_bytes(png(96, 128, seed))
    jobs, _ = plan_images([photos], None)
    browser = client(studio(maker, jobs, Annotations(tmp_path / "out", maker.categories)))
    for index in range(len(jobs)):
        found = browser.post(f"/api/images/{index}").json()
        answer = browser.post(f"/api/scenes/{found['key']}/accept", json={"boxes": found["found"][1:]})
        assert answer.json() == {"name": jobs[index].name, "accepted": index + 1}
    [check, train] = browser.get("/api/overview").json()["next"]  # what page and terminal tell to do
    assert main(check.split()[1:]) == 0
    run = tmp_path / "run"
    train = train.replace(" --minutes 3 --out runs/out", "")  # SMALL takes seconds
    assert main([*train.split()[1:], "--out", str(run), *SMALL.split()]) == 0, capsys.readouterr()
    again = Segmenter.load(str(run / "last.safetensors"))
    assert [each.name for each in again.categories] == [each.name for each in maker.categories]
    assert again.scene(photos / "a.png").result().ids.shape == (96, 128)


def test_commands_can_be_pasted_into_a_shell() -> None:
    start = "unipan train finetune --data 'my data' --init 'my run/best.safetensors'"
    given = Path("my data"), "my run/best.safetensors"
    assert next_commands(*given, finetune())[1] == f"{start} --minutes 3 --out 'runs/my data'"
    assert next_commands(*given, scenes())[1] == f"{start} --data.short-side 0 --minutes 3 --out 'runs/my data'"


def test_readme_has_the_commands_that_the_page_tells() -> None:
    """Its way on drawn scenes, which benchmarks/hands.py goes word by word."""
    typed = [line.partition("#")[0].strip() for line in README.read_text().splitlines()]
    assert "unipan serve --images drawn/images --out corrected" in typed
    assert set(next_commands(Path("corrected"), "scenes", scenes())) < set(typed)


def test_an_image_can_be_corrected_again_and_keeps_its_id(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    annotations = accept_all(maker, photos, out)
    before = CocoPanoptic(out)
    scene = maker.scene(photos / "a.png")
    boxes = [*BOXES, PageBox((20, 20, 50, 38), 0, 1.0, 0)]
    annotations.accept("a.png", photos / "a.png", with_boxes(scene, boxes).result(), boxes)
    after = CocoPanoptic(out)
    assert after.image_ids == before.image_ids
    assert np.array_equal(after[0].truth.ids, with_boxes(scene, boxes).result().ids)
    assert len(list((out / "panoptic").rglob("*.png"))) == 3  # the old map is gone
    assert annotations.boxes("a.png", photos / "a.png") == boxes


def test_the_next_start_goes_on(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    accept_all(maker, photos, out)
    again = Annotations(out, maker.categories)
    assert sorted(again.accepted) == ["a.png", "c.png", "deep/b.jpg"]
    assert again.boxes("deep/b.jpg", photos / "deep" / "b.jpg") == BOXES
    assert again.boxes("d.png", photos / "d.png") is None
    (out / "boxes" / "a.json").write_text("{")
    assert again.boxes("a.png", photos / "a.png") is None


@pytest.mark.parametrize("fails", ["write_json", "write_atomically"])
def test_a_full_disk_leaves_the_dataset_as_it_was(
    maker: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    out = tmp_path / "out"
    annotations = accept_all(maker, photos, out)
    before = [(name, sample.truth.ids) for name, sample in zip(CocoPanoptic(out).names, CocoPanoptic(out), strict=True)]
    scene = maker.scene(photos / "a.png")

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(f"unipan.server.annotations.{fails}", full)
    with pytest.raises(OSError, match="No space left"):
        annotations.accept("a.png", photos / "a.png", scene.edit([], [], []).result(), [])
    monkeypatch.undo()
    data = CocoPanoptic(out)
    for (name, ids), again, sample in zip(before, data.names, data, strict=True):
        assert name == again
        assert np.array_equal(ids, sample.truth.ids)
    assert len(annotations.accepted) == 3


def test_sent_pictures_of_one_name_do_not_replace_each_other(maker: Segmenter, tmp_path: Path) -> None:
    annotations = Annotations(tmp_path / "out", maker.categories)
    made = studio(maker, annotations=annotations)
    browser = client(made)
    names = []
    for seed in (0, 1, 0):
        found = browser.post("/api/scenes", content=png(seed=seed), headers={"x-name": "pasted.jpg"}).json()
        answer = browser.post(f"/api/scenes/{found['key']}/accept", json={"boxes": found["found"]})
        names.append((answer.json()["name"], answer.json()["accepted"]))
    assert names == [("pasted.png", 1), ("pasted_2.png", 2), ("pasted.png", 2)]
    assert len(CocoPanoptic(tmp_path / "out")) == 2


def test_a_sent_picture_is_never_that_of_the_folder(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    """Of one name, or of one but for the suffix: both are kept, each with its boxes, whichever came first."""
    jobs, _ = plan_images([photos], None)
    out, chosen = tmp_path / "out", {job.name: job.path for job in jobs}
    browser = client(studio(maker, jobs, Annotations(out, maker.categories, chosen)))
    for seed, name in ((5, "a.png"), (6, "a.jpg")):
        sent = browser.post("/api/scenes", content=png(seed=seed), headers={"x-name": name}).json()
        assert accept(browser, sent)["name"] == ("a_2.png" if seed == 5 else "a_3.png")
    assert not any(each["accepted"] for each in browser.get("/api/overview").json()["images"])
    opened = browser.post("/api/images/0").json()
    assert opened["kept"] is None
    assert accept(browser, opened) == {"name": "a.png", "accepted": 3}
    data = CocoPanoptic(out)
    assert sorted(data.file_names) == ["a.png", "a_2.png", "a_3.png"]
    assert (out / "images" / "a.png").read_bytes() == (photos / "a.png").read_bytes()
    assert main(["data", "check", str(out)]) == 0


def test_a_folder_that_gets_the_name_of_a_sent_picture_later(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    browser = client(studio(maker, annotations=Annotations(out, maker.categories)))
    accept(browser, browser.post("/api/scenes", content=png(seed=5), headers={"x-name": "a.png"}).json())
    before = (out / "images" / "a.png").read_bytes()
    jobs, _ = plan_images([photos], None)
    again = Annotations(out, maker.categories, {job.name: job.path for job in jobs})
    browser = client(studio(maker, jobs, again))
    assert not browser.get("/api/overview").json()["images"][0]["accepted"]
    opened = browser.post("/api/images/0").json()
    assert opened["kept"] is None
    assert accept(browser, opened) == {"name": "a_2.png", "accepted": 2}
    assert browser.get("/api/overview").json()["images"][0]["accepted"]
    assert (out / "images" / "a.png").read_bytes() == before
    assert (out / "images" / "a_2.png").read_bytes() == (photos / "a.png").read_bytes()


def test_where_the_folder_is_that_of_the_dataset_sent_pictures_become_its_own(maker: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder_of(out / "images", ["a.png"])
    for sent, accepted in ((True, [False]), (False, [False, True])):
        jobs, _ = plan_images([out / "images"], None)
        annotations = Annotations(out, maker.categories, {job.name: job.path for job in jobs})
        browser = client(studio(maker, jobs, annotations))
        assert [each["accepted"] for each in browser.get("/api/overview").json()["images"]] == accepted
        if sent:
            accept(browser, browser.post("/api/scenes", content=png(seed=5), headers={"x-name": "b.png"}).json())
    kept = browser.post("/api/images/1").json()
    assert kept["name"] == "b.png"
    assert kept["kept"] == kept["found"]
    assert accept(browser, kept) == {"name": "b.png", "accepted": 1}


def test_the_page_is_told_what_is_accepted(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    jobs, _ = plan_images([photos], None)
    annotations = Annotations(tmp_path / "out", maker.categories)
    browser = client(studio(maker, jobs, annotations))
    found = browser.post("/api/images/2").json()
    assert found["kept"] is None
    boxes = [{"box": [1, 2, 20, 30], "label": 0, "score": 0.5, "tint": 7}]
    answer = browser.post(f"/api/scenes/{found['key']}/accept", json={"boxes": boxes, "fusions": ["heuristic"]})
    assert answer.json() == {"name": "deep/b.jpg", "accepted": 1}
    images = browser.get("/api/overview").json()["images"]
    assert [each["name"] for each in images if each["accepted"]] == ["deep/b.jpg"]
    assert browser.post("/api/images/2").json()["kept"] == boxes
    without = client(studio(maker, jobs)).post("/api/images/0").json()
    refused = client(studio(maker, jobs))
    key = refused.post("/api/images/0").json()["key"]
    assert without["kept"] is None
    assert "--out" in refused.post(f"/api/scenes/{key}/accept", json={"boxes": []}).json()["error"]


def test_other_classes_and_damage_are_refused(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    accept_all(maker, photos, out)
    content = json.loads((out / "panoptic.json").read_text())
    write_json(out / "panoptic.json", {**content, "annotations": content["annotations"][1:]})
    with pytest.raises(ValueError, match="has no annotation"):
        Annotations(out, maker.categories)
    content["categories"][0]["name"] = "tractor"
    write_json(out / "panoptic.json", content)
    with pytest.raises(ValueError, match="other classes"):
        Annotations(out, maker.categories)


@pytest.mark.parametrize("part", ["images", "annotations"])
@pytest.mark.parametrize("name", [None, 7, "", "../../photos/a.png", "/photos/a.png"])
def test_names_that_are_none_or_lead_out_are_refused_before_anything_is_made(
    maker: Segmenter, photos: Path, tmp_path: Path, part: str, name: object
) -> None:
    accept_all(maker, photos, out := tmp_path / "out")
    content = json.loads((out / "panoptic.json").read_text())
    content[part][0]["file_name"] = name
    write_json(out / "panoptic.json", content)
    for path in (out / "boxes").rglob("*.json"):
        path.unlink()
    (out / "boxes" / "deep").rmdir()
    (out / "boxes").rmdir()
    with pytest.raises(ValueError, match=r"panoptic\.json: "):
        Annotations(out, maker.categories)
    assert not (out / "boxes").exists()
    assert (photos / "a.png").is_file()


def test_what_another_wrote_is_not_touched(maker: Segmenter, photos: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    write_json(taken / "panoptic.json", {"images": []})
    with pytest.raises(ValueError, match=r"panoptic\.json"):
        claim_annotations(taken, photos)
    with pytest.raises(ValueError, match="which is read"):
        claim_annotations(photos, photos)
    other = folder_of(tmp_path / "other" / "images", ["a.png"])
    with pytest.raises(ValueError, match="images"):
        claim_annotations(other.parent, photos)
    outputs = claim_annotations(tmp_path / "fresh", photos)
    outputs.start_folder(tmp_path / "fresh", WRITTEN)
    Image.new("RGB", (8, 8)).save(tmp_path / "fresh" / "images.png")
    (tmp_path / "fresh" / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "fresh" / "images" / "a.png")
    annotations = Annotations(tmp_path / "fresh", maker.categories)
    before = (tmp_path / "fresh" / "images" / "a.png").read_bytes()
    result = maker.scene(photos / "a.png").result()
    assert annotations.accept("a.png", photos / "a.png", result, []) == "a_2.png"
    assert (tmp_path / "fresh" / "images" / "a.png").read_bytes() == before
    claim_annotations(tmp_path / "fresh", photos)  # the next start


def test_photographs_may_already_be_in_the_dataset(maker: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    photos = folder_of(out / "images", ["a.png", "b.png"])
    before = (photos / "a.png").stat().st_mtime_ns
    claim_annotations(out, photos).start_folder(out, WRITTEN)
    accept_all(maker, photos, out)
    assert (photos / "a.png").stat().st_mtime_ns == before
    assert len(CocoPanoptic(out)) == 2
    jobs, _ = plan_images([photos], None)  # they are still photographs
    assert len(jobs) == 2


def test_boxes_have_colours_of_their_own_within_a_class(maker: Segmenter, photos: Path) -> None:
    found = found_boxes(maker.scene(photos / "a.png"))
    assert len({(each.label, each.tint) for each in found}) == len(found) > 1
