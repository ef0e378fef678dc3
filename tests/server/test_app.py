"""The addresses: what the page asks for, and what happens to requests that no page would send."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image

from tests.server.clients import client, folder_of, png, studio, unpack
from unipan.config import LossConfig
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.inference import Segmenter
from unipan.prediction.images import plan_images
from unipan.presets import scenes, scenes_mask_free
from unipan.server.app import ARRIVALS
from unipan.server.guard import Guard
from unipan.server.scenes import MOST_BOXES, possible_fusions
from unipan.server.uploads import Limits, read_limited


def opened(browser: Any, content: bytes | None = None, name: str = "a.png") -> dict[str, Any]:
    answer = browser.post("/api/scenes", content=content or png(), headers={"x-name": name})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_image_comes_back_with_its_maps_and_affinities(maker: Segmenter) -> None:
    browser = client(studio(maker))
    found = opened(browser)
    assert (found["name"], found["width"], found["height"], found["kept"]) == ("a.png", 56, 40, None)
    scene = maker.scene(np.array(Image.open(io.BytesIO(png()))))
    np.testing.assert_allclose([each["box"] for each in found["found"]], scene.detections.boxes, atol=1e-4)
    key = found["key"]
    sent = np.array(Image.open(io.BytesIO(browser.get(f"/api/scenes/{key}/image").content)))
    assert np.array_equal(sent, scene.image)
    wanted = {"boxes": found["found"], "fusions": ["affinity", "heuristic"], "margin": True}
    header, arrays = unpack(browser.post(f"/api/scenes/{key}/maps", json=wanted).content)
    for fusion in ("affinity", "heuristic"):
        assert np.array_equal(arrays[fusion], scene.result(fusion).ids)
        rows = header["maps"][fusion]
        assert [row["area"] for row in rows] == [segment.area for segment in scene.result(fusion)]
    margin = scene.result().margin
    np.testing.assert_allclose(arrays["margin"] / 255 * header["margin"], margin.clip(0, header["margin"]), atol=1e-2)
    header, arrays = unpack(browser.get(f"/api/scenes/{key}/affinity?x=5&y=7").content)
    np.testing.assert_allclose(arrays["affinity"] * header["scale"], scene.affinity(5, 7), atol=header["scale"])


def test_an_edited_box_changes_the_map_as_scene_edit_does(maker: Segmenter) -> None:
    browser = client(studio(maker))
    found = opened(browser)
    boxes = [{"box": [4, 4, 30, 30], "label": 2, "score": 1.0, "tint": 5}]
    content = browser.post(f"/api/scenes/{found['key']}/maps", json={"boxes": boxes, "fusions": ["potential"]}).content
    _, arrays = unpack(content)
    wanted = maker.scene(np.array(Image.open(io.BytesIO(png())))).edit([[4, 4, 30, 30]], [1.0], [2])
    assert np.array_equal(arrays["potential"], wanted.result("potential").ids)


def test_the_page_and_its_parts_are_whole(maker: Segmenter) -> None:
    browser = client(studio(maker))
    page = browser.get("/").text
    parts = [part for part in page.split('"') if part.startswith("/page/")]
    assert len(parts) == 3
    for part in [*parts, "/page/api.js", "/page/stage.js", "/page/paint.js", "/page/boxes.js", "/page/panel.js"]:
        answer = browser.get(part)
        assert answer.status_code == 200, part
        assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "")  # nothing from elsewhere
    assert "://" not in page


def test_samples_are_drawn_for_a_network_that_knows_them(maker: Segmenter) -> None:
    browser = client(studio(maker))
    assert browser.get("/api/overview").json()["samples"] > 0
    first, again = (browser.post("/api/samples/0").json() for _ in range(2))
    assert first["name"] == again["name"]
    assert first["key"] != again["key"]
    assert first["name"] != browser.post("/api/samples/1").json()["name"]


def test_images_of_the_folder_open_by_position_and_no_other_file_does(maker: Segmenter, tmp_path: Path) -> None:
    jobs, _ = plan_images([folder_of(tmp_path / "photos", ["b.png", "deep/a.png"])], None)
    (tmp_path / "secret.txt").write_text("secret")
    browser = client(studio(maker, jobs))
    names = [each["name"] for each in browser.get("/api/overview").json()["images"]]
    assert names == ["b.png", "deep/a.png"]
    assert browser.post("/api/images/1").json()["name"] == "deep/a.png"
    assert browser.post("/api/images/2").status_code == 404
    for path in ("/api/images/-1", "/page/../guard.py", "/page/%2e%2e/guard.py", "/page/..%2fguard.py", "/secret.txt"):
        assert browser.get(path).status_code in (404, 405), path
    (tmp_path / "photos" / "b.png").unlink()
    answer = browser.post("/api/images/0")
    assert answer.status_code == 404
    assert "b.png" in answer.text
    assert str(tmp_path) not in answer.text


def test_pictures_that_are_too_large_are_refused_before_they_are_decoded(maker: Segmenter) -> None:
    limits = Limits(megabytes=0.02, megapixels=0.002)
    browser = client(studio(maker, limits=limits))
    assert browser.post("/api/scenes", content=b"x" * 20_001).status_code == 413
    answer = browser.post("/api/scenes", content=png(50, 60), headers={"x-name": "big.png"})
    assert answer.status_code == 413
    assert "60 x 50" in answer.json()["error"]
    assert browser.post("/api/scenes", content=png(40, 50)).status_code == 200
    bomb = io.BytesIO()
    Image.new("1", (30000, 30000)).save(bomb, "png")  # 900 million pixels; the file is small
    browser = client(studio(maker))
    answer = browser.post("/api/scenes", content=bomb.getvalue())
    assert answer.status_code == 400, answer.text
    assert "too many pixels" in answer.text


def test_a_body_without_a_length_is_cut_off_as_well() -> None:
    taken = []

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            taken.append(1)
            yield b"x" * 100

    assert anyio.run(read_limited, chunks(), 1000) is None
    assert len(taken) == 11


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"%!PS-Adobe-3.0", png()[:200], b"<svg/>"])
def test_what_is_no_picture_is_refused_by_its_name(maker: Segmenter, content: bytes) -> None:
    answer = client(studio(maker)).post("/api/scenes", content=content, headers={"x-name": "..%2Fmy%20photo.png"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("my photo.png: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"boxes": 3}',
        b'{"boxes": [{"box": [1, 2, 3], "label": 0, "score": 1}]}',
        b'{"boxes": [{"box": [1, 2, 30, 30], "label": 0, "score": 1.5}]}',
        b'{"boxes": [{"box": [1, 2, 30, 30], "label": 99, "score": 1}]}',
        b'{"boxes": [{"box": [1, 2, NaN, 30], "label": 0, "score": 1}]}',
        b'{"boxes": [{"box": [1, 2, 1e999, 30], "label": 0, "score": 1}]}',
        b'{"boxes": [{"box": [9, 2, 9, 30], "label": 0, "score": 1}]}',
        b'{"boxes": [], "fusions": ["upsnet"]}',
        b'{"boxes": [], "other": 1}',
        json.dumps({"boxes": [{"box": [1, 2, 30, 30], "label": 0, "score": 1}] * (MOST_BOXES + 1)}).encode(),
    ],
)
def test_requests_that_no_page_sends_are_one_sentence(maker: Segmenter, body: bytes) -> None:
    browser = client(studio(maker))
    key = opened(browser)["key"]
    for verb in ("maps", "download"):
        answer = browser.post(f"/api/scenes/{key}/{verb}", content=body)
        assert answer.status_code == 400, answer.text
        assert len(answer.json()["error"]) > 20
    assert browser.post(f"/api/scenes/{key}/maps", content=b" " * 300_000).status_code == 413


@pytest.mark.parametrize("query", ["", "x=1", "x=-1&y=0", "x=56&y=0", "x=0&y=40", "x=a&y=1", "x=1e1&y=1", "x=²&y=1"])
def test_a_pixel_that_is_none(maker: Segmenter, query: str) -> None:
    browser = client(studio(maker))
    answer = browser.get(f"/api/scenes/{opened(browser)['key']}/affinity?{query}")
    assert answer.status_code == 400
    assert "pixel" in answer.json()["error"]


def test_sessions_are_apart(maker: Segmenter) -> None:
    made = studio(maker)
    one, other = client(made), client(made)
    key = opened(one)["key"]
    assert one.get(f"/api/scenes/{key}/image").status_code == 200
    for address in ("image", "affinity?x=1&y=1"):
        assert other.get(f"/api/scenes/{key}/{address}").status_code == 410
    assert other.post(f"/api/scenes/{key}/maps", json={"boxes": []}).status_code == 410
    other.delete(f"/api/scenes/{key}")
    assert one.get(f"/api/scenes/{key}/image").status_code == 200
    assert one.delete(f"/api/scenes/{key}").status_code == 204
    assert one.get(f"/api/scenes/{key}/image").status_code == 410


def test_memory_is_bounded(maker: Segmenter) -> None:
    made = studio(maker, memory=700_000)
    browsers = [client(made) for _ in range(3)]
    for number in range(24):
        opened(browsers[number % 3], png(seed=number))
    assert made.shelf.nbytes <= 700_000
    assert 0 < len(made.shelf) < 24


def test_a_download_is_a_dataset_of_one_image(maker: Segmenter, tmp_path: Path) -> None:
    browser = client(studio(maker))
    found = opened(browser, name="my street.jpeg")
    answer = browser.post(f"/api/scenes/{found['key']}/download", json={"boxes": found["found"]})
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    [sample] = list(CocoPanoptic(tmp_path))
    assert sample.name == "my street.png"
    assert all(segment.score == 1 for segment in sample.truth)
    assert np.array_equal(sample.image, np.array(Image.open(io.BytesIO(png()))))


def test_errors_of_our_own_are_no_traceback_for_the_page(maker: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = client(studio(maker))
    key = opened(browser)["key"]

    def broken(*_: object) -> None:
        raise TypeError("a secret of the machine")

    monkeypatch.setattr("unipan.server.app.maps_message", broken)
    answer = browser.post(f"/api/scenes/{key}/maps", json={"boxes": []})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    monkeypatch.setattr("unipan.server.app.maps_message", lambda *_: (_ for _ in ()).throw(MemoryError()))
    assert browser.post(f"/api/scenes/{key}/maps", json={"boxes": []}).status_code == 507


def test_more_boxes_than_memory_are_refused(maker: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = client(studio(maker))
    key, box = opened(browser)["key"], {"box": [1, 2, 30, 30], "label": 0, "score": 1}
    monkeypatch.setattr("unipan.server.scenes.available_memory", lambda: 3 * 56 * 40 * 5)
    for count, status in ((5, 200), (6, 400)):
        answer = browser.post(f"/api/scenes/{key}/maps", json={"boxes": [box] * count})
        assert answer.status_code == status, answer.text


def test_the_fusions_are_those_that_the_network_can_do(maker: Segmenter) -> None:
    assert possible_fusions(maker.config) == ["affinity", "potential", "heuristic"]
    assert possible_fusions(scenes_mask_free()) == ["affinity", "potential"]
    without = replace(scenes(), affinity=replace(scenes().affinity, enabled=False), loss=LossConfig(potential=0.0))
    assert possible_fusions(without) == ["potential", "heuristic"]


def asked_by_hand(made: Any, messages: list[dict[str, Any]]) -> list[int]:
    """The status of the answers to an upload whose body comes in these messages, as uvicorn would give them."""
    headers = [(b"host", b"127.0.0.1:8350"), (b"x-unipan", b"1"), (b"x-name", b"a.png")]
    scope = {"type": "http", "method": "POST", "path": "/api/scenes", "headers": headers, "query_string": b""}
    scope |= {"server": ("127.0.0.1", 8350), "client": ("127.0.0.1", 1), "scheme": "http", "http_version": "1.1"}
    sent: list[int] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await anyio.sleep(60)
        raise AssertionError

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    anyio.run(Guard(made.app(), "127.0.0.1"), scope, receive, send)
    return sent


def test_a_browser_that_goes_away_or_stalls_is_no_error(maker: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipan.server.uploads.IDLE_SECONDS", 0.05)
    begun = {"type": "http.request", "body": b"\x89PNG", "more_body": True}
    assert asked_by_hand(studio(maker), [begun, {"type": "http.disconnect"}]) == [400]
    made = studio(maker)
    for _ in range(2 * ARRIVALS):  # none of them keeps its place
        assert asked_by_hand(made, [begun]) == [408]


def test_what_is_said_of_the_network(maker: Segmenter, tmp_path: Path) -> None:
    """The last part of its name; and that the bundled one has seen drawings alone, where there are photographs."""
    photos, _ = plan_images([folder_of(tmp_path / "photos", ["a.png"])], None)
    drawn, _ = plan_images([folder_of(tmp_path / "drawn", ["scene_4000000.png"])], None)
    told = []
    for checkpoint, jobs in (("scenes", photos), ("scenes", drawn), ("run/best.safetensors", photos), ("scenes", [])):
        found = client(studio(maker, jobs, checkpoint=checkpoint)).get("/api/overview").json()
        told.append((found["network"], found["drawings"]))
    assert told == [("scenes", True), ("scenes", False), ("best", False), ("scenes", False)]
