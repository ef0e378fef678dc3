"""What a mouse does in `test_browser.py`, done with keys alone, with the wheel, and with one or two fingers."""

import re

import pytest

from tests.server.browsing import Page, Serve, Visit, at, drag, eventually, rows, values
from tests.server.clients import studio
from unipan.inference import Segmenter

expect = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"').expect
Point = tuple[float, float]


def pixel_at(page: Page, u: float, v: float) -> tuple[int, int]:
    """The pixel of the image under a place of the picture, as the page says it."""
    page.mouse.move(*at(page, u, v))
    page.wait_for_timeout(100)
    found = re.search(r"at \((\d+), (\d+)\)", page.locator("#readout").inner_text())
    assert found is not None
    return int(found[1]), int(found[2])


def move_fingers(page: Page, *steps: list[Point]) -> None:
    """Fingers touch the picture at the places of the first step, slide through the others, and are lifted."""
    touch = page.context.new_cdp_session(page)
    names = ["touchStart", *["touchMove"] * (len(steps) - 1)]
    for name, places in zip(names, steps, strict=True):
        points = [dict(zip("xy", at(page, *place), strict=True), id=finger) for finger, place in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": name, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_keys_alone_show_affinities_compare_them_and_hide_a_class(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")  # from the middle, (128, 64)
    expect(page.locator("#readout")).to_contain_text("at (129, 64)")
    page.keyboard.press("Enter")
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel (129, 64)")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#scale-note")).to_contain_text("2 (129, 74)")
    page.keyboard.press("Escape")
    page.locator("#legend input").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#legend input").first).not_to_be_checked()
    expect(page.locator("#segments tr.off").first).to_be_visible()


def test_the_wheel_enlarges_around_the_pointer_and_a_drag_moves_the_picture(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    middle, whole = pixel_at(page, 0.5, 0.5), pixel_at(page, 0.25, 0.5)
    page.mouse.move(*at(page, 0.5, 0.5))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    enlarged = pixel_at(page, 0.25, 0.5)
    assert pixel_at(page, 0.5, 0.5) == middle
    assert middle[0] - enlarged[0] == pytest.approx((middle[0] - whole[0]) / 2.718, abs=2)
    page.mouse.move(*at(page, 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 0.7, 0.5), steps=5)
    page.mouse.up()
    assert pixel_at(page, 0.7, 0.5) == pytest.approx(middle, abs=1)
    expect(page.locator("#layer-map")).to_be_checked()  # a drag is no click
    page.keyboard.press("0")
    assert pixel_at(page, 0.25, 0.5) == whole


def test_one_finger_draws_and_moves_boxes_and_two_enlarge(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)), 400, 800, has_touch=True, is_mobile=True)
    move_fingers(page, [(0.45, 0.5), (0.55, 0.5)], [(0.35, 0.5), (0.65, 0.5)], [(0.25, 0.5), (0.75, 0.5)])
    left, right = pixel_at(page, 0.1, 0.5)[0], pixel_at(page, 0.9, 0.5)[0]
    assert right - left == pytest.approx(0.8 * 256 / 5, abs=6)  # the fingers are five times as far apart
    page.locator("#zoom-fit").tap()
    page.locator("label[for=mode-edit]").tap()
    before = rows(page)
    move_fingers(page, [(0.4, 0.3)], [(0.5, 0.5)], [(0.55, 0.7)])
    drawn = values(page)
    assert drawn == pytest.approx([0.4 * 256, 0.3 * 128, 0.55 * 256, 0.7 * 128], abs=2)
    move_fingers(page, [(0.48, 0.5)], [(0.5, 0.5)], [(0.58, 0.5)])
    eventually(
        page, lambda: values(page) == pytest.approx([drawn[0] + 25.6, drawn[1], drawn[2] + 25.6, drawn[3]], abs=2)
    )
    page.locator("#undo").tap()
    page.locator("#undo").tap()
    eventually(page, lambda: rows(page) == before)


def test_a_pixel_is_asked_about_once_and_before_the_finger_goes_up(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/affinity?" in request.url else None)
    page.mouse.move(*at(page, 0.5, 0.5))
    page.mouse.down()
    eventually(page, lambda: len(asked) == 1)
    expect(page.locator("#layer-map")).to_be_checked()  # nothing has been clicked yet
    page.mouse.up()
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel (128, 64)")
    assert len(asked) == 1


def test_a_resting_mouse_is_asked_about_before_its_button_goes_down(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/affinity?" in request.url else None)

    def is_asked_about() -> bool:
        page.mouse.move(*at(page, 0.5, 0.5), steps=20)  # again if the picture has moved, as the page was still growing
        page.wait_for_timeout(150)  # longer than a mouse has to rest
        return any(each.endswith("x=128&y=64") for each in asked)

    eventually(page, is_asked_about)
    before = len(asked)
    expect(page.locator("#layer-map")).to_be_checked()  # nothing has been clicked yet
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel (128, 64)")
    assert len(asked) == before
    page.mouse.move(*at(page, 0.5, -0.2))
    page.wait_for_timeout(300)
    page.locator("label[for=mode-edit]").click()  # where a click selects a box
    page.mouse.move(*at(page, 0.3, 0.3))
    page.wait_for_timeout(300)
    assert len(asked) == before


def test_a_moving_mouse_and_slow_answers_ask_nothing_before_a_click(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    found = page.evaluate(
        """async () => { const { Early } = await import("/page/early.js"), asked = [], one = {};
        const wait = (time) => new Promise((done) => setTimeout(done, time));
        let slow = 0;
        const ask = async (x) => { asked.push(x); await wait(slow); return x; }, early = new Early(ask, ask);
        for (let x = 0; x < 30; x++) { early.rest(one, x, 0); await wait(2); }
        early.leave(); await wait(200);
        const moving = asked.length;
        slow = 200; early.rest(one, 40, 0); await wait(100); early.rest(one, 41, 0); await wait(100);
        const waited = [...asked]; // 41 waits for the answer about 40
        await wait(600); early.rest(one, 42, 0); await wait(200);
        const answer = await early.answer(one, 43, 0);
        return { moving, waited, asked, answer }; }"""
    )
    assert found == {"moving": 0, "waited": [40], "asked": [40, 43], "answer": 43}


def test_a_drag_and_another_picture_show_nothing_of_what_was_asked_before(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    drag(page, (0.5, 0.5), (0.7, 0.5))
    page.wait_for_timeout(300)
    expect(page.locator("#layer-map")).to_be_checked()
    found = page.evaluate(
        """async () => { const { Early } = await import("/page/early.js"), asked = [], one = {}, other = {};
        const ask = async (x, y) => { asked.push([x, y]); return x; }, early = new Early(ask, ask);
        early.press(one, 1, 2); const pressed = await early.answer(one, 1, 2), again = await early.answer(one, 1, 2);
        early.press(one, 3, 4); await early.answer(other, 3, 4);
        early.press(one, 5, 6); await early.answer(one, 5, 7);
        return { asked, pressed, again }; }"""
    )
    assert found["asked"] == [[1, 2], [1, 2], [3, 4], [3, 4], [5, 6], [5, 7]]


def test_what_failed_before_the_click_is_asked_again(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))  # which would complain of an error that nobody catches
    told = page.evaluate(
        """async () => { const { Early } = await import("/page/early.js"), picture = {};
        const early = new Early(async () => { throw new Error("gone"); }, async () => "asked again");
        early.press(picture, 1, 2);
        await new Promise((done) => setTimeout(done, 50));
        return early.answer(picture, 1, 2); }"""
    )
    assert told == "asked again"


def slow_affinities(page: Page, milliseconds: int, failures: int = 0) -> None:
    """Answers come later, and the first ones not at all."""
    page.evaluate(
        """([wait, failures]) => { const ask = window.fetch; window.fetch = async (address, ...more) => {
        if (String(address).includes("/affinity?")) {
          await new Promise((done) => setTimeout(done, wait));
          if (failures-- > 0) throw new TypeError("no answer");
        }
        return ask(address, ...more); }; }""",
        [milliseconds, failures],
    )


def test_what_takes_long_is_shown_as_begun(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    slow_affinities(page, 1500)
    page.evaluate(
        """() => { const stage = document.getElementById("stage"), layer = document.getElementById("layer-affinity");
        const note = document.getElementById("scale-note");
        window.frames = []; stage.addEventListener("pointerup", () => { const start = performance.now();
        const look = () => { window.frames.push([performance.now() - start, layer.checked, note.textContent]);
          requestAnimationFrame(look); }; look(); }); }"""
    )
    page.mouse.click(*at(page, 0.5, 0.5))
    page.mouse.move(*at(page, 0.6, 0.6))  # draws the stage
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel (128, 64)")
    frames = page.evaluate("() => window.frames")
    begun = next(time for time, checked, _ in frames if checked)
    done = next(time for time, _, note in frames if "Affinity of pixel" in note)
    assert 70 < begun < done


def test_a_click_without_an_answer_leaves_no_pixel_behind(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    slow_affinities(page, 300, failures=2)  # the guess, and the question
    page.mouse.click(*at(page, 0.5, 0.5))
    expect(page.locator("#alert")).to_contain_text("does not answer")
    expect(page.locator("#layer-map")).to_be_checked()
    page.mouse.click(*at(page, 0.25, 0.5))
    expect(page.locator("#scale-note")).to_contain_text("Affinity of pixel (64, 64)")
    page.mouse.click(*at(page, 0.75, 0.5))
    expect(page.locator("#scale-note")).to_contain_text("2 (192, 64)")
