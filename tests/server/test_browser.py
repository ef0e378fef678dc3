"""The page in headless Chromium, from a click to a dataset. Skipped, with the reason, where there is no Chromium."""

import re
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.server.browsing import Browser, Page, Serve, Visit, at, drag, eventually, name_of, picture, rows, values
from tests.server.clients import OURS, png, studio
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.scenes.generator import draw_scene, scene_file
from unipan.inference import Segmenter
from unipan.panoptic.png import png_of_rgb
from unipan.prediction.images import plan_images
from unipan.scene import Scene
from unipan.server.annotations import Annotations
from unipan.server.uploads import Limits

expect = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"').expect


def test_a_click_shows_affinities_and_a_second_one_compares(
    segmenter: Segmenter, serve: Serve, visit: Visit, announce: Callable[[str], None]
) -> None:
    page = visit(serve(studio(segmenter)))
    plain = picture(page)
    page.mouse.click(*at(page, 0.25, 0.6))
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel (64, 76)")
    expect(page.locator("#layer-affinity")).to_be_checked()
    low, high = (page.locator(f"#tick-{side}").inner_text() for side in ("low", "high"))
    assert re.fullmatch(r"[0-9.]+ and more", high)  # the limit is a quantile
    assert low == f"−{high.replace('more', 'less')}"
    first = picture(page)
    assert first != plain
    expect(page.locator("#wipe-row")).to_be_hidden()
    page.mouse.click(*at(page, 0.75, 0.5))
    expect(page.locator("#scale-note")).to_contain_text("From 1 to 2:")
    expect(page.locator("#scale-note")).to_contain_text("not symmetric")
    page.mouse.move(*at(page, 0.6, 0.9))
    expect(page.locator("#readout")).to_have_text(
        re.compile(r"^road at \(153, 115\): .*; affinity to pixel 1: [−0-9.]+, to pixel 2: ")
    )
    expect(page.locator("#wipe-row")).to_be_visible()
    assert picture(page) != first
    assert page.locator("#wipe-left").inner_text() == "pixel 1"
    page.mouse.click(*at(page, 0.5, 0.9))  # begins anew
    expect(page.locator("#scale-note")).to_contain_text("Another click compares")
    page.keyboard.press("Escape")
    expect(page.locator("#layer-map")).to_be_checked()
    key = page.evaluate(
        """async () => { const api = await import("/page/api.js");
        window.opened = await api.open({ kind: "sample", index: 0 }); return window.opened.key; }"""
    )
    spans = page.evaluate(
        """async (key) => { const api = await import("/page/api.js"); const found = { affinity: [], map: [] };
        const boxes = window.opened.found;
        for (let i = 0; i < 12; i++) { let start = performance.now(); await api.affinity(key, 20 + 5 * i, 70);
          found.affinity.push(performance.now() - start); start = performance.now();
          boxes[0].box = boxes[0].box.map((side) => side + 0.3);
          await api.maps(key, { boxes, fusions: ["affinity"], margin: false });
          found.map.push(performance.now() - start); } return found; }""",
        key,
    )
    medians = {name: statistics.median(each) for name, each in spans.items()}
    announce(
        f"serve, in the browser: affinities {medians['affinity']:.0f} ms, map of an edited box {medians['map']:.0f} ms"
    )
    assert medians["affinity"] < 1000  # a machine with more to do; the figures are in docs/serve.md
    assert medians["map"] < 1500


def test_boxes_are_drawn_moved_resized_and_deleted_and_the_map_follows(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    before, untouched = rows(page), picture(page)
    page.locator("label[for=mode-edit]").click()
    page.mouse.click(*at(page, 0.25, 0.65))  # the car on the left
    expect(page.locator("#box-title")).to_have_text("Box: car")
    old = values(page)
    drag(page, (0.25, 0.65), (0.35, 0.60))
    expect(page.locator("#undo")).to_be_enabled()
    moved = values(page)
    assert moved[0] - old[0] == pytest.approx(25.6, abs=1.5)
    assert moved[1] - old[1] == pytest.approx(-6.4, abs=1.5)
    assert moved[2] - moved[0] == pytest.approx(old[2] - old[0], abs=0.2)
    eventually(page, lambda: rows(page) != before)
    drag(page, (moved[2] / 256, moved[3] / 128), (0.55, 0.9))  # its lower right handle
    eventually(page, lambda: values(page)[:2] == pytest.approx(moved[:2], abs=0.2))
    assert values(page)[2] == pytest.approx(0.55 * 256, abs=1.5)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    eventually(page, lambda: values(page) == old)
    eventually(page, lambda: rows(page) == before)
    page.keyboard.press("Control+Shift+z")
    eventually(page, lambda: values(page) == moved)
    page.locator("#reset").click()
    page.keyboard.press("Escape")
    page.locator("label[for=mode-look]").click()
    page.mouse.move(5, 5)
    eventually(page, lambda: rows(page) == before)
    eventually(page, lambda: picture(page) == untouched)
    page.locator("label[for=mode-edit]").click()
    page.mouse.click(*at(page, 0.02, 0.9))
    page.keyboard.press("Delete")
    eventually(page, lambda: len(rows(page)) == len(before) - 1)
    eventually(page, lambda: not any(row.startswith("rider") for row in rows(page)))
    drag(page, (0.4, 0.55), (0.58, 0.9))  # a car where there is none
    expect(page.locator("#box-title")).to_have_text("Box: rider")
    eventually(
        page, lambda: page.locator("#box-note").is_visible() != any(row.startswith("rider") for row in rows(page))
    )


def test_class_score_and_sides_have_a_form(segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene) -> None:
    page = visit(serve(studio(segmenter)))
    page.keyboard.press("e")
    page.keyboard.press("]")
    expect(page.locator("#box-title")).to_have_text(f"Box: {name_of(sample, 0)}")
    other = next(each.name for each in sample.categories.things if each.name != name_of(sample, 0))
    before = rows(page)
    page.locator("#box-class").select_option(other)
    expect(page.locator("#box-title")).to_have_text(f"Box: {other}")
    expect(page.locator("#undo")).to_be_enabled()
    eventually(
        page,
        lambda: sum(row.startswith(other) for row in rows(page)) == 1 + sum(row.startswith(other) for row in before),
    )
    page.locator("#box-score").fill("0.25")
    page.locator("#box-score").press("Enter")
    expect(page.locator("#segments tbody")).to_contain_text("0.250")
    page.locator("#box-score").fill("7")  # is none
    page.locator("#box-score").press("Tab")
    expect(page.locator("#box-score")).to_have_value("0.25")
    page.locator("#undo").click()
    expect(page.locator("#segments tbody")).not_to_contain_text("0.250")
    page.locator("#box-2").fill("20")
    page.locator("#box-2").press("Enter")
    assert values(page)[2] == 20
    page.locator("#box-add").click()
    assert values(page)[2] - values(page)[0] == pytest.approx(64, abs=1)
    corner = values(page)
    page.locator("#stage").press("Shift+ArrowLeft")
    page.locator("#stage").press("ArrowDown")
    page.locator("#stage").press("Alt+ArrowRight")
    assert values(page) == pytest.approx([corner[0] - 10, corner[1] + 1, corner[2] - 9, corner[3] + 1], abs=0.2)
    page.wait_for_timeout(600)
    page.keyboard.press("Control+z")  # the row of strokes is one step
    assert values(page) == corner


def test_fusions_margins_and_differences(segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene) -> None:
    page = visit(serve(studio(segmenter)))
    shown = [picture(page)]
    page.locator("#other").select_option("heuristic")
    expect(page.locator("#wipe-right")).to_have_text("heuristic")
    eventually(page, lambda: picture(page) != shown[0])
    shown.append(picture(page))
    drag(page, (0.5, 0.2), (0.1, 0.2))
    assert int(page.locator("#wipe").input_value()) == pytest.approx(100, abs=8)
    shown.append(picture(page))
    page.keyboard.press("3")
    expect(page.locator("#tick-low")).to_have_text("0: unsure")
    shown.append(picture(page))
    page.keyboard.press("4")
    # Their ids count the channels that win a pixel: the same ones do in both maps of this scene.
    assert len(sample.result("affinity")) == len(sample.result("potential"))
    differ = 100 * (sample.result("affinity").ids != sample.result("potential").ids).mean()
    expect(page.locator("#scale-note")).to_contain_text(f"differ on {differ:.1f} % of the pixels")
    shown.append(picture(page))
    page.keyboard.press("1")
    page.locator("#other").select_option("")
    page.locator("#legend input").first.uncheck()
    shown.append(picture(page))
    page.locator("#outlines").uncheck()
    shown.append(picture(page))
    page.locator("#opacity").fill("5")
    shown.append(picture(page))
    assert len(set(shown)) == len(shown)


def test_the_table_sorts_and_selects_and_hovering_tells(
    segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene
) -> None:
    page = visit(serve(studio(segmenter)))
    page.locator("[data-sort=name]").click()
    names = [row.split(" ")[0] for row in rows(page)]
    assert names == sorted(names)
    page.locator("[data-sort=score]").click()
    scores = [float(row.split(" ")[1]) for row in rows(page)]
    assert scores == sorted(scores, reverse=True)
    expect(page.locator("th[aria-sort=descending]")).to_have_text("score")
    before = picture(page)
    page.locator("#segments tbody button", has_text="bus").click()
    expect(page.locator("#segments tr.selected")).to_contain_text("bus")
    page.mouse.move(*at(page, 0.5, 0.9))
    assert picture(page) != before
    [road] = [each for each in sample.result() if each.category.name == "road"]
    words = f"road at (128, 115): score {road.score:.3f}, {road.area:,} pixels ({100 * road.area / (128 * 256):.1f} %)"
    expect(page.locator("#readout")).to_contain_text(words)


def test_a_folder_becomes_a_dataset(segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for seed in range(1_000_000, 1_000_003):
        (photos / scene_file(seed)).write_bytes(png_of_rgb(draw_scene(seed).image))
    jobs, _ = plan_images([photos], None)
    made = studio(segmenter, jobs, Annotations(out, segmenter.categories))
    address = serve(made)
    page = visit(address)
    expect(page).to_have_title(re.compile("scene_1000000"))
    page.locator("label[for=mode-edit]").click()
    page.keyboard.press("]")
    page.keyboard.press("Delete")
    page.locator("#accept").click()
    expect(page).to_have_title(re.compile("scene_1000001"))
    expect(page.locator("#accept")).to_be_enabled()  # not before its map can be looked at
    page.keyboard.press("Control+Enter")
    expect(page).to_have_title(re.compile("scene_1000002"))
    expect(page.locator("#accept")).to_be_enabled()
    assert len(CocoPanoptic(out)) == 2
    page.keyboard.press("Control+Enter")
    expect(page.locator("#images option").nth(2)).to_contain_text("✓")
    assert main(["data", "check", str(out)]) == 0
    again = visit(address)  # another browser: the corrected boxes are there
    again.locator("#images").select_option(index=0)
    expect(again).to_have_title(re.compile("scene_1000000"))
    found = segmenter.scene(photos / scene_file(1_000_000))
    eventually(again, lambda: len(rows(again)) == len(found.result()) - 1)
    kept_sample = CocoPanoptic(out)[0]
    kept = found.detections[torch.arange(1, len(found.detections))]
    wanted = found.edit(kept.boxes, kept.scores, kept.classes).result()
    assert np.array_equal(kept_sample.truth.ids, wanted.ids)


def test_leaving_changed_boxes_is_asked_about(segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path) -> None:
    page = visit(serve(studio(segmenter, annotations=Annotations(tmp_path / "out", segmenter.categories))))
    title = page.title()
    page.keyboard.press("]")
    page.keyboard.press("Delete")
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", stay)
    page.locator("#sample").click()
    assert "not accepted" in asked[0]
    assert page.title() == title


def test_pictures_are_picked_dropped_and_pasted(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    made = studio(segmenter, limits=Limits(megapixels=0.1))
    page = visit(serve(made))
    (tmp_path / "mine & yours.png").write_bytes(png(60, 80))
    page.locator("#file").set_input_files(tmp_path / "mine & yours.png")
    expect(page).to_have_title("mine & yours.png – unipan")
    for event, target in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """async ([event, target, bytes]) => { const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], `${event}.png`, { type: "image/png" }));
            const made = event === "drop" ? new DragEvent(event, { dataTransfer: carried, cancelable: true })
              : new ClipboardEvent(event, { clipboardData: carried }); window.dispatchEvent(made); }""",
            [event, target, list(png(40, 56, seed=5))],
        )
        expect(page).to_have_title(f"{event}.png – unipan")
    (tmp_path / "big.png").write_bytes(png(400, 300))
    page.locator("#file").set_input_files(tmp_path / "big.png")
    expect(page.locator("#alert")).to_contain_text("300 x 400 pixels")
    expect(page).to_have_title("paste.png – unipan")  # what was there stays
    made.shelf._scenes.clear()  # as if others had pushed it out: it is sent again, unseen
    page.mouse.click(*at(page, 0.5, 0.5))
    expect(page.locator("#scale-note")).to_contain_text("Another click compares")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "paste.zip"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_touch_screen(segmenter: Segmenter, serve: Serve, visit: Visit, scheme: str) -> None:
    page = visit(serve(studio(segmenter)), 400, 800, has_touch=True, is_mobile=True, color_scheme=scheme)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 400
    page.touchscreen.tap(*at(page, 0.25, 0.6))
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel")
    page.locator("label[for=mode-edit]").tap()
    page.touchscreen.tap(*at(page, 0.25, 0.65))
    expect(page.locator("#box-title")).to_have_text("Box: car")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 400
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("header button, header .button, .tools button, .tools label")]
        .filter((each) => each.offsetParent && !each.classList.contains("hidden"))
        .map((each) => each.getBoundingClientRect().height)"""
    )
    assert min(sizes) >= 38  # a finger's


def states(page: Page) -> dict[str, Callable[[], object]]:
    """How the page gets from one state into the next."""

    def click(place: float, answer: str) -> None:
        page.mouse.click(*at(page, place, 0.6))
        expect(page.locator("#scale-note")).to_contain_text(answer)

    def wipe() -> None:
        press("1")
        page.locator("#other").select_option("heuristic")
        expect(page.locator("#legend .void")).to_be_visible()

    def refuse() -> None:
        page.locator("#file").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
        expect(page.locator("#alert")).to_be_visible()

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    def accept() -> None:
        press("Control+Enter")
        expect(page.locator("#news")).to_be_visible()

    return {
        "affinity": partial(click, 0.25, "Another click compares"),
        "two pixels": partial(click, 0.75, "not symmetric"),
        "margin": partial(press, "3"),
        "P against Psi": partial(press, "4"),
        "wipe": wipe,
        "box": partial(press, "]"),
        "alert": refuse,
        "news": accept,
        "help": partial(press, "?"),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_everybody_can_use_it(
    segmenter: Segmenter, serve: Serve, visit: Visit, scheme: str, width: int, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="this needs axe-playwright-python")
    made = studio(segmenter, annotations=Annotations(tmp_path / "out", segmenter.categories))
    page = visit(serve(made), width, color_scheme=scheme, bypass_csp=True)
    found = {}
    for state, lead in states(page).items():
        lead()
        page.wait_for_timeout(400)
        for each in axe.Axe().run(page).response["violations"]:
            if each["impact"] in ("serious", "critical"):
                found[state, each["id"]] = [node["html"][:120] for node in each["nodes"]]
    assert found == {}


def test_the_server_that_is_gone_is_named(segmenter: Segmenter, visit: Visit, serve: Serve) -> None:
    page = visit(serve(studio(segmenter)))
    page.route("**/api/**", lambda route: route.abort())
    page.mouse.click(*at(page, 0.5, 0.5))
    expect(page.locator("#alert")).to_contain_text("unipan serve does not answer")
    page.unroute("**/api/**")


def test_no_script_of_another_place_runs(segmenter: Segmenter, serve: Serve, browser: Browser) -> None:
    """The policy of the page: inline scripts and other sites are blocked; names of files are text."""
    address = serve(studio(segmenter))
    context = browser.new_context(extra_http_headers=OURS)
    page = context.new_page()
    page.goto(address)
    page.evaluate(
        """() => { const script = document.createElement("script"); script.textContent = "window.hit = 1";
        document.body.append(script); document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='hit=1'>"); }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hit") is None
    frame = context.new_page()
    frame.set_content(f"<iframe src='{address}'></iframe>")
    time.sleep(0.5)
    assert all(each.url != address for each in frame.frames if each != frame.main_frame)
    context.close()
