"""What the page says and shows: hints, notes, headings, what is disabled, and what fits on which screen."""

import re
from pathlib import Path

import pytest

from tests.server.browsing import Serve, Visit, at, drag, eventually, picture
from tests.server.clients import folder_of, png, studio
from unipan.inference import Segmenter
from unipan.prediction.images import plan_images
from unipan.scene import Scene
from unipan.server.annotations import Annotations

expect = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"').expect


def test_the_page_says_what_can_be_done(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    readout = page.locator("#readout")
    expect(readout).to_contain_text("Click a pixel: which others does it attract?")
    page.mouse.click(*at(page, 0.25, 0.6))
    page.mouse.move(2, 2)
    expect(readout).to_contain_text("Click another pixel to compare.")
    page.keyboard.press("e")
    expect(readout).to_contain_text("Drag to draw a box, click one to change it.")
    page.keyboard.press("]")
    expect(readout).to_contain_text("Drag the box or its handles")
    titles = page.locator("#layers label").evaluate_all("(all) => all.map((each) => each.title)")
    assert len(set(titles)) == 4
    assert all(title.endswith(".") for title in titles)
    for fusion, words in (("affinity", "revised by affinities"), ("potential", "without"), ("heuristic", "Rules")):
        page.locator("#fusion").select_option(fusion)
        expect(page.locator("#fusion-note")).to_contain_text(words)
        expect(page.locator("#segments-title")).to_contain_text({"heuristic": "heuristic"}.get(fusion, "argmax of"))
    assert re.fullmatch(r"shown in \d+ ms", page.locator("#timing").inner_text())


def test_controls_without_effect_are_disabled(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    names = ["opacity", "outlines", "fusion", "other", "show-all"]
    expected = {"map": "", "affinity": "opacity show-all", "margin": "show-all", "differ": " ".join(names)}
    for key, layer in enumerate(expected, 1):
        page.keyboard.press(str(key))
        expect(page.locator(f"#layer-{layer}")).to_be_checked()
        assert " ".join(name for name in names if page.locator(f"#{name}").is_disabled()) == expected[layer]
        assert page.locator("#legend input").first.is_disabled() == (layer != "map")


def test_void_and_the_side_of_the_table_are_named(
    segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene
) -> None:
    assert (sample.result("heuristic").ids == 0).any()
    assert (sample.result("affinity").ids != 0).all()
    page = visit(serve(studio(segmenter)))
    expect(page.locator("#legend .void")).to_have_count(0)
    expect(page.locator("#table-title")).to_have_text("Segments of argmax of P")
    page.locator("#other").select_option("heuristic")
    expect(page.locator("#legend .void")).to_have_text("void: of no class")
    expect(page.locator("#table-title")).to_have_text("Segments of argmax of P (left)")
    page.locator("#fusion").select_option("heuristic")
    page.locator("#other").select_option("")
    expect(page.locator("#table-title")).to_have_text("Segments of heuristic")
    expect(page.locator("#legend .void")).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator("#legend .void")).to_have_count(0)


def test_a_box_that_wins_no_pixel_says_why(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    note = page.locator("#box-note")
    page.keyboard.press("e")
    page.locator("#box-class").select_option("bus")
    drag(page, (0.05, 0.02), (0.2, 0.12))  # in the sky
    expect(page.locator("#box-title")).to_have_text("Box: bus")
    expect(note).to_contain_text("The network sees no bus here, so the box wins no pixel; fit it closer, or")
    page.locator("#box-score").fill("0.1")
    page.locator("#box-score").press("Enter")
    expect(note).to_contain_text("With a score of 0.1 the box wins no pixel; raise it")
    page.locator("#fusion").select_option("heuristic")
    expect(note).to_have_text("The box wins no pixel in the map of heuristic.")
    page.locator("#fusion").select_option("affinity")
    page.locator("#box-delete").click()
    expect(note).to_be_hidden()
    page.keyboard.press("]")  # a rider that wins some
    page.wait_for_timeout(400)
    expect(page.locator("#segments tr.selected")).to_contain_text("rider")
    expect(note).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(400, 800), (800, 900)])
def test_on_narrow_screens_the_picture_stays_above_the_form(
    segmenter: Segmenter, serve: Serve, visit: Visit, width: int, height: int
) -> None:
    page = visit(serve(studio(segmenter)), width, height, has_touch=True)
    page.keyboard.press("]")
    script = (
        "(id) => { const box = document.getElementById(id).getBoundingClientRect(); return [box.top, box.bottom]; }"
    )
    page.evaluate("() => document.getElementById('box-slider').scrollIntoView({ block: 'end' })")
    top, bottom = page.evaluate(script, "stage")
    assert bottom - top <= 0.45 * height + 1
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate(script, "frame")[0] == 0  # wherever one is
    slider = page.locator("#box-slider")
    slider.scroll_into_view_if_needed()
    assert page.evaluate(script, "stage")[0] >= -1
    assert page.evaluate(script, "box-slider")[0] >= page.evaluate(script, "stage")[1] - 1
    tools = page.evaluate("() => document.querySelector('.tools').getBoundingClientRect().bottom")
    assert 0 <= page.evaluate(script, "box-card")[0] - tools <= 20
    assert page.evaluate("() => document.documentElement.scrollWidth") == width


def test_help_opens_at_its_beginning(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)), 400, 500)
    page.locator("#keys").click()
    expect(page.locator("#help-title")).to_be_focused()
    assert page.locator("#help").evaluate("(each) => each.scrollTop") == 0
    expect(page.locator("#help")).to_contain_text("Ctrl and wheel, or two fingers")


@pytest.mark.parametrize("height", [620, 700, 800, 1000])
def test_no_row_of_the_table_is_cut_and_the_classes_are_in_view(
    segmenter: Segmenter, serve: Serve, visit: Visit, height: int
) -> None:
    page = visit(serve(studio(segmenter)), 1280, height)
    shown, whole, head, row = page.evaluate(
        """() => { const tall = (each) => each.getBoundingClientRect().height;
        const table = document.querySelector("#segments"), scroll = document.querySelector(".scroll");
        return [tall(scroll), tall(table), tall(table.tHead),
        tall(table.tBodies[0].rows[0])]; }"""
    )
    assert shown == pytest.approx(whole) or (shown - head) / row == pytest.approx(round((shown - head) / row), abs=0.03)
    if height >= 800:
        assert page.evaluate("() => document.querySelector('.classes').getBoundingClientRect().bottom") <= height


def test_a_photograph_that_is_dropped_on_the_bundled_network_is_told_to_mean_little(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter, checkpoint="scenes")))
    expect(page.locator("#news")).to_be_hidden()
    for name, told in (("street.jpg", True), ("scene_4000000.png", False)):
        page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": png(60, 80)})
        expect(page).to_have_title(f"{name} – unipan")
        expect(page.locator("#busy")).to_be_hidden()
        assert page.locator("#news").is_visible() == told
    page = visit(serve(studio(segmenter, checkpoint="runs/mine.safetensors")))
    page.locator("#file").set_input_files({"name": "street.jpg", "mimeType": "image/png", "buffer": png(60, 80)})
    expect(page).to_have_title("street.jpg – unipan")
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#news")).to_be_hidden()


def test_the_name_of_an_accepted_image_is_not_cut(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    jobs, _ = plan_images([folder_of(tmp_path / "photos", ["scene_4000000.png", "scene_4000001.png"])], None)
    page = visit(serve(studio(segmenter, jobs, Annotations(tmp_path / "out", segmenter.categories))), wait=False)
    page.locator("#segments tbody tr").first.wait_for()
    expect(page.locator("#accept")).to_be_enabled()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#images option").first).to_have_text("✓ scene_4000000.png")
    needed, room = page.locator("#images").evaluate(
        """(list) => { const pen = document.createElement("canvas").getContext("2d"), style = getComputedStyle(list);
        pen.font = style.font; return [pen.measureText(list.options[0].text).width, list.clientWidth
          - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)]; }"""
    )
    assert needed + 20 < room  # and the arrow
    assert page.evaluate("() => document.querySelector('header').offsetHeight") < 60  # all in one line


WORDS_ON_THE_PICTURE = """() => { window.words = []; const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
      const wide = this.measureText(text).width, start = this.textAlign === "center" ? x - wide / 2 : x;
      const { a, e, f } = this.getTransform();
      window.words.push([text, (a * start + e) / this.canvas.width, (a * (start + wide) + e) / this.canvas.width,
        (a * y + f) / this.canvas.height]);
      draw.call(this, text, x, y);
    }; }"""
"""Notes each text that is drawn: its left end, its right end and its middle, as shares of the canvas."""


def test_words_on_the_picture_stay_inside_it(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    """The name of a box at the right edge, that of one whose top is out of view, and the numbers of clicked pixels."""
    page = visit(serve(studio(segmenter)), 400, 800)
    page.evaluate(WORDS_ON_THE_PICTURE)
    page.mouse.click(*at(page, 0.3, 0.5))
    expect(page.locator("#scale-note")).to_contain_text("Another click compares")
    page.mouse.click(*at(page, 0.99, 0.02))
    expect(page.locator("#scale-note")).to_contain_text("From 1 to 2:")
    # They are drawn a frame later, and no more once boxes are edited on the map.
    eventually(page, lambda: {"1", "2"} <= {text for text, *_ in page.evaluate("() => window.words")})
    page.keyboard.press("e")
    page.locator("label[for=layer-map]").click()
    drag(page, (0.9, 0.4), (0.995, 0.9))
    page.wait_for_timeout(300)
    page.locator("#zoom-in").click()
    page.locator("#zoom-in").click()
    page.wait_for_timeout(300)
    page.keyboard.press("n")  # as large as what is in view allows
    for side, number in ((0, 60), (1, 0), (2, 200), (3, 120)):
        page.locator(f"#box-{side}").fill(str(number))
        page.locator(f"#box-{side}").press("Enter")
    eventually(page, lambda: {"1", "2"} < {text for text, *_ in page.evaluate("() => window.words")})
    drawn = page.evaluate("() => window.words")
    assert [each for each in drawn if not (each[1] >= 0 and each[2] <= 1 and 0 < each[3] < 1)] == []


def test_a_window_of_no_height_is_no_error(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    """Split screens have one for a moment; `visit` fails where the page complains."""
    page = visit(serve(studio(segmenter)), 400, 800)
    before = picture(page)
    page.set_viewport_size({"width": 400, "height": 1})
    page.wait_for_timeout(300)
    page.set_viewport_size({"width": 400, "height": 800})
    eventually(page, lambda: picture(page) == before)
