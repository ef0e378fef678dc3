"""What others do to the photographs and the dataset while a page is open, or between two of them, loses nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.clients import accept, client, folder_of, png, studio
from unipan.cli import main
from unipan.files import write_json
from unipan.inference import Segmenter
from unipan.prediction.images import plan_images
from unipan.server.annotations import Annotations


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", ["a.png", "c.png"])


def open_two(maker: Segmenter, photos: Path, out: Path) -> tuple[TestClient, dict[str, Any]]:
    """A browser that has accepted the first image and has opened the second."""
    jobs, _ = plan_images([photos], None)
    browser = client(studio(maker, jobs, Annotations(out, maker.categories)))
    accept(browser, browser.post("/api/images/0").json())
    return browser, browser.post("/api/images/1").json()


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_photograph_that_was_replaced_since_it_was_opened_is_not_stored_with_the_map_of_the_old_one(
    maker: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    jobs, _ = plan_images([photos], None)
    browser = client(studio(maker, jobs, Annotations(out, maker.categories)))
    first = browser.post("/api/images/0").json()
    for size in ((40, 56), (64, 80)):
        before = bytes_below(out)
        (photos / "a.png").write_bytes(png(*size, seed=9))
        answer = browser.post(f"/api/scenes/{first['key']}/accept", json={"boxes": first["found"]})
        assert answer.status_code == 409
        assert answer.json()["error"] == "a.png has changed since it was opened; open it again"
        assert bytes_below(out) == before
        again = browser.post("/api/images/0").json()
        assert again["version"] != first["version"]
        name = accept(browser, again)["name"]
        assert (out / "images" / name).read_bytes() == (photos / "a.png").read_bytes()
        first = again
    assert main(["data", "check", str(out)]) == 0


@pytest.mark.parametrize("gone", ["", "images", "panoptic", "boxes", "panoptic.json"])
def test_a_dataset_that_is_moved_meanwhile_is_not_begun_anew(
    maker: Segmenter, photos: Path, tmp_path: Path, gone: str
) -> None:
    out = tmp_path / "out"
    browser, opened = open_two(maker, photos, out)
    (out / gone).rename(tmp_path / "moved")
    before = bytes_below(tmp_path)
    answer = browser.post(f"/api/scenes/{opened['key']}/accept", json={"boxes": opened["found"]})
    assert answer.status_code == 409
    assert "was moved or removed" in answer.json()["error"]
    assert bytes_below(tmp_path) == before
    assert not (out / gone).exists()
    (tmp_path / "moved").rename(out / gone)
    assert accept(browser, opened) == {"name": "c.png", "accepted": 2}
    assert main(["data", "check", str(out)]) == 0


def test_a_folder_that_is_removed_before_the_first_image_is_not_made_anew(
    maker: Segmenter, photos: Path, tmp_path: Path
) -> None:
    jobs, _ = plan_images([photos], None)
    browser = client(studio(maker, jobs, Annotations(tmp_path / "out", maker.categories)))
    opened = browser.post("/api/images/0").json()
    (tmp_path / "out").rename(tmp_path / "moved")
    assert "was moved or removed" in accept(browser, opened)["error"]
    assert not (tmp_path / "out").exists()


def test_what_others_write_into_the_json_is_not_overwritten_and_stays(
    maker: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    browser, opened = open_two(maker, photos, out)
    content = json.loads((out / "panoptic.json").read_text())
    content["info"], content["licenses"] = {"year": 2026}, [{"id": 1, "name": "mine"}]
    for rows in ("images", "annotations", "categories"):
        content[rows][0]["note"] = rows
    write_json(out / "panoptic.json", content)
    before = bytes_below(out)
    answer = browser.post(f"/api/scenes/{opened['key']}/accept", json={"boxes": opened["found"]})
    assert answer.status_code == 409
    assert "somebody else has changed it" in answer.json()["error"]
    assert bytes_below(out) == before
    browser, opened = open_two(maker, photos, out)  # the next start: the first is accepted once more
    assert accept(browser, opened) == {"name": "c.png", "accepted": 2}
    after = json.loads((out / "panoptic.json").read_text())
    assert {key: after[key] for key in ("info", "licenses", "categories")} == {
        key: content[key] for key in ("info", "licenses", "categories")
    }
    assert [after[rows][0]["note"] for rows in ("images", "annotations")] == ["images", "annotations"]
    assert main(["data", "check", str(out)]) == 0


def test_photographs_of_two_folders_with_the_same_names_are_all_kept(maker: Segmenter, tmp_path: Path) -> None:
    """Cameras count from one again: a name is no photograph. Each folder is gone through twice."""
    out, days = tmp_path / "out", [tmp_path / "day1", tmp_path / "day2", tmp_path / "day3"]
    for seed, (day, name) in enumerate(zip(days, ["a.png", "a.png", "a.jpg"], strict=True)):
        day.mkdir()
        (day / name).write_bytes(png(seed=seed))
    names = ["a.png", "a_2.png", "a_3.jpg"]
    for again in (False, True):
        for number, day in enumerate(days):
            before = bytes_below(out) if out.exists() else {}
            jobs, _ = plan_images([day], None)
            annotations = Annotations(out, maker.categories, {job.name: job.path for job in jobs})
            browser = client(studio(maker, jobs, annotations))
            [image] = browser.get("/api/overview").json()["images"]
            opened = browser.post("/api/images/0").json()
            assert image["accepted"] == (opened["kept"] is not None) == again
            own = [{"box": [4, 4, 20 + number, 30], "label": 1, "score": 0.5, "tint": 0}]
            assert opened["kept"] in (None, own)
            accepted = {"name": names[number], "accepted": 3 if again else number + 1}
            assert accept(browser, opened | {"found": own}) == accepted
            kept = {name: data for name, data in before.items() if name.startswith(("images/", "boxes/"))}
            assert kept.items() <= bytes_below(out).items()
    for name, day in zip(names, days, strict=True):
        assert (out / "images" / name).read_bytes() == next(day.iterdir()).read_bytes()
    assert main(["data", "check", str(out)]) == 0
