"""The pages in headless Chromium: nothing is cut off at any width, and the enlarged picture leads to its neighbours."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.html_pages import CHROMIUM
from tests.visualization.test_evaluation_page import page
from tests.visualization.test_pages import GALLERY, SCORES
from unipan.evaluation.bootstrap import Interval
from unipan.visualization.pages import ComparisonRow, GalleryPage, Page, ScoreRow, render
from unipan.visualization.prediction_page import PredictedImage, PredictionPage

sync_api = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"')

ALL_SCORES = {group: {metric: Interval(0.9785, 0.9661, 0.9871) for metric in ("pq", "sq", "rq")} for group in SCORES}
METHODS = [
    ScoreRow(f"Fusion {n}", "rules of Panoptic FPN", ALL_SCORES | {"Stuff": ALL_SCORES["All"]}) for n in range(3)
]
DIFFERENCE = ComparisonRow("Things", 0.9, 0.8, Interval(0.106, -0.105, 0.174), False)
IMAGE = PredictedImage(
    "a/rather/long_name_of_an_image.png", (256, 128), 6, 5, 0.997, 0.25, "person × 3, car", "p.webp", {"ids": "p.png"}
)
PAGES: dict[str, Page] = {
    "evaluation": replace(page(), scores=METHODS[:1], comparison=[DIFFERENCE], other="b.json"),
    "gallery": replace(GALLERY, scores=METHODS),
    "predictions": PredictionPage(
        title="2 images", kicker="k", lead=["By a."], colophon="end", images=[IMAGE, replace(IMAGE, name="b.png")],
        legend=[("car", (1, 2, 3), True)], files={"panoptic.json": "panoptic.json"},
    ),
}  # fmt: skip
CUT_OFF = """() => [...document.querySelectorAll(".scroll, dialog, html")]
  .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.outerHTML.slice(0, 80))"""
OVERLAPS = """() => {
  const box = (cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return [cell, range.getBoundingClientRect()];
  };
  const meet = ([a, p], [b, q]) => a !== b && !a.contains(b) && !b.contains(a) &&
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
  return [...document.querySelectorAll("tbody tr")].some((row) => {
    const shown = [...row.querySelectorAll("td b, td.number, td small, tbody th")].filter((each) => each.offsetWidth);
    const boxes = shown.map(box);
    return boxes.some((one) => boxes.some((other) => meet(one, other)));
  });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


def opened(browser: Any, folder: Path, made: Page, width: int) -> Any:
    (folder / "index.html").write_text(render(made))
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto((folder / "index.html").as_uri())
    return tab


@pytest.mark.parametrize("width", [400, 800, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_no_table_is_cut_off_and_no_figure_lies_on_another(name: str, width: int, browser: Any, tmp_path: Path) -> None:
    tab = opened(browser, tmp_path, PAGES[name], width)
    assert tab.evaluate(CUT_OFF) == []
    assert not tab.evaluate(OVERLAPS)
    tab.close()


def test_groups_of_scores_stand_below_each_other_on_a_narrow_page(browser: Any, tmp_path: Path) -> None:
    tab = opened(browser, tmp_path, PAGES["gallery"], 800)
    tops = [head.bounding_box()["y"] for head in tab.locator("#scores th[scope=colgroup]").all()]
    assert tops == sorted(tops)
    assert len({*tops}) == 3
    cells = tab.locator("#scores tbody tr").nth(1).locator("td.pq").all()
    assert [cell.get_attribute("data-method") for cell in cells] == [None, "Fusion 1", "Fusion 1"]
    places = [cell.bounding_box()["y"] for cell in cells]
    assert [sum(top < place for top in tops) for place in places] == [1, 2, 3]
    tab.close()


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_the_enlarged_picture_fits_and_leads_to_its_neighbours(width: int, browser: Any, tmp_path: Path) -> None:
    made = PAGES["gallery"]
    assert isinstance(made, GalleryPage)
    tab = opened(browser, tmp_path, replace(made, rows=[replace(made.rows[0], name=name) for name in "ab"]), width)
    tab.get_by_role("button", name="enlarge b: image").click()
    shown, place = tab.locator("dialog p"), tab.locator("dialog span")
    picture = tab.locator("dialog img").bounding_box()
    assert picture["x"] >= 0
    assert picture["x"] + picture["width"] <= width
    assert tab.evaluate(CUT_OFF) == []
    assert (shown.text_content(), place.text_content()) == ("b: image. 4 x 4", "3 of 4")
    tab.get_by_role("button", name="next picture").click()
    assert shown.text_content() == "b: P"
    tab.keyboard.press("ArrowRight")  # past the last one comes the first
    assert shown.text_content() == "a: image. 4 x 4"
    tab.keyboard.press("ArrowLeft")
    tab.get_by_role("button", name="previous picture").click()
    assert shown.text_content() == "b: image. 4 x 4"
    tab.get_by_role("button", name="close").click()
    assert not tab.locator("dialog").is_visible()
    assert tab.evaluate("document.activeElement.ariaLabel") == "enlarge b: image"
    tab.keyboard.press("Enter")
    assert tab.locator("dialog").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog").is_visible()
    tab.close()


def test_only_pictures_that_are_shown_follow_each_other(browser: Any, tmp_path: Path) -> None:
    tab = opened(browser, tmp_path, page(images=9), 1280)
    tab.locator("figure button").first.click()
    assert tab.locator("dialog span").text_content() == "1 of 4"
    tab.close()


def test_small_pictures_of_a_prediction_open_the_overlay(browser: Any, tmp_path: Path) -> None:
    tab = opened(browser, tmp_path, PAGES["predictions"], 800)
    tab.locator("a.enlarge").first.click()
    assert tab.locator("dialog img").get_attribute("src").endswith("/p.webp")
    assert tab.locator("dialog p").text_content() == f"overlay of {IMAGE.name}"
    assert tab.url.endswith("index.html")
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_use_the_pages(name: str, scheme: str, browser: Any, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="this needs axe-playwright-python").Axe()
    tab = opened(browser, tmp_path, PAGES[name], 1280)
    tab.emulate_media(color_scheme=scheme)
    tab.locator("figure button, a.enlarge").first.click()
    enlarged = axe.run(tab)
    tab.keyboard.press("Escape")
    for found in (enlarged, axe.run(tab)):
        faults = [f"{each['id']}: {each['nodes'][0]['html'][:100]}" for each in found.response["violations"]]
        assert faults == []
    tab.close()
