"""Going through a folder in the browser: what cannot be opened is passed over, and nothing that was done is lost."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.server.browsing import Page, Serve, Visit, at, drag, eventually, rows
from tests.server.clients import png, studio
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.scenes.generator import draw_scene
from unipan.inference import Segmenter
from unipan.panoptic.png import png_of_rgb
from unipan.prediction.images import plan_images
from unipan.server.annotations import Annotations
from unipan.server.app import Studio

expect = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"').expect


def folder_studio(segmenter: Segmenter, tmp_path: Path, names: list[str]) -> Studio:
    """A folder of scenes, with a dataset; names that begin with "bad" are no pictures."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in enumerate(names):
        content = b"no picture" if name.startswith("bad") else png_of_rgb(draw_scene(1_000_000 + number).image)
        (photos / name).write_bytes(content)
    jobs, _ = plan_images([photos], None)
    return studio(segmenter, jobs, Annotations(tmp_path / "my data", segmenter.categories))


def titled(page: Page, name: str) -> None:
    """Wait for a picture and its map."""
    expect(page).to_have_title(f"{name} – unipan")
    expect(page.locator("#accept")).to_be_enabled()


def test_images_that_cannot_be_opened_are_passed_over_by_name(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    page = visit(serve(folder_studio(segmenter, tmp_path, ["a.png", "bad.png", "c.png"])))
    titled(page, "a.png")
    page.locator("#next").click()
    titled(page, "c.png")
    expect(page.locator("#alert")).to_contain_text("Left out: bad.png: not a readable image")
    expect(page.locator("#images option").nth(1)).to_have_text("✗ bad.png, cannot be opened")
    assert page.locator("#images").input_value() == "2"
    page.keyboard.press(".")  # round the end
    titled(page, "a.png")
    expect(page.locator("#alert")).to_be_hidden()  # it is known, and no news
    page.keyboard.press(",")
    titled(page, "c.png")
    page.locator("#images").select_option(index=1)  # somebody insists
    expect(page.locator("#alert")).to_contain_text("bad.png")
    expect(page.locator("#images")).to_have_value("2")
    page.keyboard.press(",")
    titled(page, "a.png")
    page.keyboard.press("Control+Enter")
    titled(page, "c.png")
    page.reload()
    titled(page, "c.png")
    expect(page.locator("#alert")).to_contain_text("bad.png")  # a.png is accepted, so bad.png was tried first
    page.keyboard.press("Control+Enter")
    expect(page.locator("#news")).to_contain_text(
        "All images of the folder that can be opened (1 cannot) are accepted."
    )
    expect(page.locator("#progress")).to_have_text("2 of 3 accepted, 1 left out")


def test_a_mended_image_can_be_chosen_and_a_folder_without_any_says_so(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    page = visit(serve(folder_studio(segmenter, tmp_path, ["bad1.png", "bad2.png"])), wait=False)
    expect(page.locator("#alert")).to_contain_text(re.compile("bad1.png: not .*; bad2.png: not "))
    expect(page.locator("#empty")).to_be_visible()
    page.keyboard.press(".")
    expect(page.locator("#news")).to_have_text("No other image of the folder can be opened.")
    (tmp_path / "photos" / "bad2.png").write_bytes(png_of_rgb(draw_scene(1_000_005).image))
    page.locator("#images").select_option(index=1)
    titled(page, "bad2.png")
    expect(page.locator("#images option").nth(1)).to_have_text("bad2.png")
    expect(page.locator("#progress")).to_have_text("0 of 2 accepted, 1 left out")


def test_a_photograph_that_has_changed_is_told_and_not_accepted(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    """Also where the server has let the picture go, and the page opens it again by itself."""
    made = folder_studio(segmenter, tmp_path, ["a.png", "b.png"])
    page = visit(serve(made))
    titled(page, "a.png")
    words = "a.png has changed since it was opened; open it again"
    for seed, let_go in ((1_000_006, False), (1_000_007, True)):
        (tmp_path / "photos" / "a.png").write_bytes(png_of_rgb(draw_scene(seed).image))
        if let_go:
            for session, key in list(made.shelf._scenes):
                made.shelf.drop(session, key)
        page.locator("#accept").click()
        expect(page.locator("#alert")).to_contain_text(words)
        expect(page.locator("#progress")).to_have_text("0 of 2 accepted")
        for name, pressed in (("b.png", "."), ("a.png", ",")):
            page.keyboard.press(pressed)
            titled(page, name)
        expect(page.locator("#alert")).to_be_hidden()
    page.locator("#accept").click()
    expect(page.locator("#progress")).to_have_text("1 of 2 accepted")


def test_the_confirmation_stays_until_the_next_act_and_the_last_one_tells_what_is_next(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    page = visit(serve(folder_studio(segmenter, tmp_path, ["a.png", "b.png"])))
    titled(page, "a.png")
    page.locator("#accept").click()
    titled(page, "b.png")
    news = page.locator("#news")
    expect(news).to_have_text("a.png is accepted; the dataset has 1 image.")
    page.mouse.move(*at(page, 0.5, 0.5))
    page.wait_for_timeout(500)
    expect(news).to_be_visible()
    page.mouse.click(*at(page, 0.5, 0.5))
    expect(news).to_be_hidden()
    page.locator("#accept").click()
    expect(news).to_contain_text("b.png is accepted; the dataset has 2 images. All images of the folder are accepted.")
    commands = news.locator("code").all_inner_texts()
    out = f"'{tmp_path / 'my data'}'"
    assert commands == [
        f"unipan data check {out}",
        f"unipan train finetune --data {out} --init tiny --data.short-side 0 --minutes 3 --out 'runs/my data'",
    ]
    assert len(CocoPanoptic(tmp_path / "my data")) == 2


def test_what_was_changed_while_an_answer_was_on_its_way_is_kept(
    segmenter: Segmenter, serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    page = visit(serve(folder_studio(segmenter, tmp_path, ["a.png", "b.png"])))
    titled(page, "a.png")
    page.keyboard.press("]")
    page.evaluate(
        """() => { const send = window.fetch; window.fetch = async (address, ...rest) => {
        if (/accept|images/.test(address)) await new Promise((done) => { window.release = done; });
        return send(address, ...rest); }; }"""
    )
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Delete")
    page.evaluate("() => window.release()")
    expect(page.locator("#news")).to_contain_text("The boxes were changed since: accept them again.")
    titled(page, "a.png")
    page.keyboard.press("Control+z")
    page.keyboard.press(".")  # nothing has changed, so nothing is asked
    page.keyboard.press("]")
    page.keyboard.press("Delete")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):
        page.evaluate("() => window.release()")
    page.wait_for_timeout(300)
    titled(page, "a.png")
    assert page.locator("#images").input_value() == "0"


def test_without_a_dataset_changed_boxes_are_asked_about_too(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    title, asked = page.title(), []

    def stay(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", stay)
    page.keyboard.press("]")
    page.keyboard.press("Delete")
    page.locator("#sample").click()
    drop(page, ["a.png"])
    page.wait_for_timeout(300)
    assert page.title() == title
    assert [each.partition(": ")[2] for each in asked] == [
        "the changed boxes are kept nowhere yet; Download keeps them. Leave them?"
    ] * 2
    prevented = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(prevented)
    with page.expect_download():
        page.locator("#download").click()
    eventually(page, lambda: not page.evaluate(prevented))
    page.locator("#sample").click()
    eventually(page, lambda: page.title() != title)
    assert len(asked) == 2


def drop(page: Page, names: list[str]) -> None:
    """Files onto the page; the browser tells their type by their name."""
    kinds = [[name, "image/png" if name.endswith("png") else "text/plain"] for name in names]
    page.evaluate(
        """([kinds, bytes]) => { const carried = new DataTransfer(); for (const [name, type] of kinds)
        carried.items.add(new File([new Uint8Array(bytes)], name, { type }));
        dispatchEvent(new DragEvent("drop", { dataTransfer: carried, cancelable: true })); }""",
        [kinds, list(png(40, 56, seed=5))],
    )


def test_dropped_files_that_are_not_opened_are_named(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter)))
    title = page.title()
    drop(page, ["notes.txt"])
    expect(page.locator("#alert")).to_contain_text("notes.txt does not look like a picture")
    drop(page, [])
    expect(page.locator("#alert")).to_contain_text("What was dropped is no file")
    assert page.title() == title
    drop(page, ["notes.txt", "a.png", "b.png"])
    titled(page, "a.png")
    expect(page.locator("#news")).to_contain_text("a.png is one of 3 files; the others are left out.")
    expect(page.locator("#alert")).to_be_hidden()
    assert rows(page)
    drag(page, (0.3, 0.3), (0.6, 0.6))


def test_a_photograph_among_files_is_told_to_mean_little_too(segmenter: Segmenter, serve: Serve, visit: Visit) -> None:
    page = visit(serve(studio(segmenter, checkpoint="scenes")))
    drop(page, ["a.png", "b.png"])
    titled(page, "a.png")
    expect(page.locator("#news")).to_contain_text("a.png is one of 2 files; the others are left out.")
    expect(page.locator("#news")).to_contain_text("mean little.")
