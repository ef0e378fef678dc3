"""What is shown and hidden: classes one by one and all at once, the margin in numbers, where P differs from Psi."""

import re
from typing import Any

import numpy as np
import pytest

from tests.server.browsing import Page, Serve, Visit, at, drag, eventually, picture, rows, values
from tests.server.clients import studio
from tests.server.test_keys_and_fingers import move_fingers
from unipan.inference import Segmenter
from unipan.scene import Scene
from unipan.visualization.margin_picture import margin_limit

expect = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"').expect


def checked(page: Page) -> list[bool]:
    """Of each class of the list, whether it is shown."""
    return list(page.locator("#legend input").evaluate_all("(all) => all.map((each) => each.checked)"))


def point_at(page: Page, x: int, y: int) -> str:
    """Move to the middle of a pixel of the 256 x 128 image; what the page says of it."""
    page.mouse.move(*at(page, (x + 0.5) / 256, (y + 0.5) / 128))
    expect(page.locator("#readout")).to_contain_text(f"at ({x}, {y})")
    return str(page.locator("#readout").inner_text())


def test_a_class_is_hidden_and_shown_again(segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene) -> None:
    page = visit(serve(studio(segmenter)))
    names = [each.name for each in sample.categories]
    plain = picture(page)
    car = page.locator("#legend input").nth(names.index("car"))
    car.uncheck()
    expect(page.locator("#segments tr.off").first).to_contain_text("car")
    assert page.locator("#segments tr.off").count() == sum(row.startswith("car") for row in rows(page))
    without = picture(page)
    assert without != plain
    car.check()
    expect(page.locator("#segments tr.off")).to_have_count(0)
    assert picture(page) == plain


def test_all_classes_are_hidden_and_shown_by_two_buttons(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    page.locator("#outlines").uncheck()
    plain = picture(page)
    page.locator("#opacity").fill("0")
    photograph = picture(page)
    page.locator("#opacity").fill("62")
    assert picture(page) == plain
    page.locator("#show-none").click()
    assert not any(checked(page))
    assert page.locator("#segments tbody tr:not(.off)").count() == 0
    assert picture(page) == photograph
    page.locator("#legend input").nth(0).check()  # one alone
    assert checked(page).count(True) == 1
    assert picture(page) not in (plain, photograph)
    page.locator("#show-all").click()
    assert all(checked(page))
    assert page.locator("#segments tr.off").count() == 0
    assert picture(page) == plain


def test_hovering_tells_the_margin(segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene) -> None:
    page = visit(serve(studio(segmenter)))
    page.locator("label[for=layer-margin]").click()
    expect(page.locator("#tick-low")).to_have_text("0: unsure")
    margin = sample.result("affinity").margin
    limit = margin_limit(margin)
    assert page.locator("#tick-high").inner_text() == f"{limit:.2g} and more"
    order = np.argsort(margin, axis=None)
    places = [order[share * (margin.size - 1) // 100] for share in (0, 10, 50, 90, 100)]
    for y, x in (np.unravel_index(place, margin.shape) for place in places):
        said = re.search(r"margin (≥ )?([0-9.e-]+)$", point_at(page, int(x), int(y)))
        assert said is not None
        wanted = float(min(margin[y, x], limit))
        assert float(said[2]) == pytest.approx(wanted, abs=limit / 510 + 0.05 * wanted)  # 256 steps, two digits
        assert bool(said[1]) == (margin[y, x] > limit * (1 - 1 / 510))
    page.keyboard.press("1")
    assert "margin" not in point_at(page, 9, 9)


def test_where_p_differs_from_psi_has_the_colours_of_p(
    segmenter: Segmenter, serve: Serve, visit: Visit, sample: Scene
) -> None:
    page = visit(serve(studio(segmenter)))
    page.locator("label[for=layer-differ]").click()
    expect(page.locator("#scale-note")).to_contain_text("P and Ψ differ on")
    found: dict[str, Any] = page.evaluate(
        """async () => { const { difference } = await import("/page/overlays.js"), { canvas } = difference();
        const { view } = await import("/page/state.js"), colors = {};
        for (const each of view.maps.affinity.segments) colors[each.id] = each.color;
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return { pixels: [...pixels], size: [canvas.height, canvas.width], colors }; }"""
    )
    shown = np.array(found["pixels"], np.uint8).reshape(*found["size"], 4)
    first, second = sample.result("affinity"), sample.result("potential")
    # Their ids count the channels that win a pixel: the same ones do in both maps of this scene.
    assert [each.category for each in first] == [each.category for each in second]
    differs = first.ids != second.ids
    assert 0 < differs.mean() < 0.5
    assert np.array_equal(shown[..., 3] > 0, differs)
    for segment in first:
        own = shown[differs & (first.ids == segment.id)]
        assert (own == [*found["colors"][str(segment.id)], 255]).all()


def test_undo_and_redo_have_buttons_and_a_new_change_ends_what_can_be_redone(
    segmenter: Segmenter, serve: Serve, visit: Visit
) -> None:
    page = visit(serve(studio(segmenter)))
    undo, redo = page.locator("#undo"), page.locator("#redo")
    before = rows(page)
    page.locator("label[for=mode-edit]").click()
    page.mouse.click(*at(page, 0.25, 0.65))
    sides = [values(page)]
    for start, end in (((0.25, 0.65), (0.3, 0.6)), ((0.3, 0.6), (0.35, 0.6))):
        drag(page, start, end)
        sides.append(values(page))
    expect(redo).to_be_disabled()
    undo.click()
    assert values(page) == sides[1]
    undo.click()
    assert values(page) == sides[0]
    expect(undo).to_be_disabled()
    eventually(page, lambda: rows(page) == before)
    redo.click()
    assert values(page) == sides[1]
    page.keyboard.press("Delete")  # another future
    expect(redo).to_be_disabled()
    undo.click()
    expect(redo).to_be_enabled()
    page.locator("#reset").click()
    eventually(page, lambda: rows(page) == before)
    undo.click()  # a reset is a step as well
    eventually(page, lambda: rows(page) != before)


def test_two_taps_compare_and_a_finger_moves_the_wipe(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)), 400, 800, has_touch=True, is_mobile=True)
    page.touchscreen.tap(*at(page, 0.25, 0.6))
    expect(page.locator("#scale-note")).to_contain_text("Another click compares")
    page.touchscreen.tap(*at(page, 0.75, 0.5))
    expect(page.locator("#scale-note")).to_contain_text("From 1 to 2:")
    split = int(page.locator("#wipe").input_value()) / 1000
    before = picture(page)
    move_fingers(page, [(split, 0.3)], [(split + 0.1, 0.3)], [(0.8, 0.3)])
    assert int(page.locator("#wipe").input_value()) == pytest.approx(800, abs=20)
    assert picture(page) != before
    expect(page.locator("#scale-note")).to_contain_text("From 1 to 2:")  # a drag is no tap
