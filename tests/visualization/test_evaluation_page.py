"""The page of `unipan pq --html`, as text and in a real browser."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from tests.html_pages import CHROMIUM, dom_of, parse, table, words
from unipan.evaluation.bootstrap import Interval
from unipan.visualization.pages import (
    LONGEST_CONFUSION,
    CaptionedImage,
    ClassRow,
    ConfusionTable,
    ErrorCostRow,
    EvaluationPage,
    ImageCard,
    ScoreRow,
    render,
)


def page(images: int = 3, classes: int = 3) -> EvaluationPage:
    names = [f"class {position}" for position in range(classes)]
    rows = [
        ClassRow(name, (10, 20, 30), position < 2, 0.9 - 0.3 * position, 0.9, 1.0, 5, position, 1)
        for position, name in enumerate(["car <red>", *names[1:]])
    ]
    rows.append(ClassRow("never <seen>", (1, 2, 3), False, None, None, None, 0, 0, 0))
    pixels = np.eye(classes + 1, dtype=np.int64) * 100
    pixels[0, 1] = 25
    pixels[-1] = 0
    cards = [
        ImageCard(f"street {n}.png", 0.2 + n / 10, 3, 9 - n, n, names[: n + 1], [CaptionedImage("truth", "t.png")])
        for n in range(images)
    ]
    return EvaluationPage(
        title="a & b",
        kicker="unipan pq",
        lead=["One."],
        scores=[ScoreRow("strict", "", {"All": {"pq": Interval(0.75, 0.7, 0.8)}})],
        scores_note="95 %",
        costs=[ErrorCostRow("missed", "no prediction", 7, 0.12), ErrorCostRow("split", "in parts", 1, 0.03)],
        costs_note="They do not add up.",
        classes=rows,
        confusion=ConfusionTable.of([*names, "void"], pixels),
        cards=cards,
        cards_note="Lowest PQ first.",
        legend=[("false negative", (200, 0, 0))],
        colophon="end",
    )


def test_every_table_shows_its_values() -> None:
    root = parse(render(page()))
    assert table(root, "scores") == [["strict", "75.070.0–80.0", *["–"] * 8]]
    assert table(root, "costs") == [["missedno prediction", "12.0", "7"], ["splitin parts", "3.0", "1"]]
    assert table(root, "classes") == [
        ["car <red>", "thing", "90.0", "90.0", "100.0", "5", "0", "1"],
        ["class 1", "thing", "60.0", "90.0", "100.0", "5", "1", "1"],
        ["class 2", "stuff", "30.0", "90.0", "100.0", "5", "2", "1"],
    ]
    cards = root.findall(".//article")
    assert [words(card.find("h2")) for card in cards] == ["20.0street 0.png", "30.0street 1.png", "40.0street 2.png"]
    assert cards[2].get("data-classes") == "class 0|class 1|class 2"


def test_confusion_is_in_percent_of_the_true_class_and_large_tables_are_cut() -> None:
    root = parse(render(page()))
    # void is predicted only: a column without a row
    assert table(root, "confusion") == [
        ["class 0", "80", "20", ""],
        ["class 1", "", "100", ""],
        ["class 2", "", "", "100"],
    ]
    cell = root.find(".//*[@id='confusion']//td[@class='other']")
    assert cell is not None
    assert "25 pixels" in cell.get("title", "")
    many = page(classes=LONGEST_CONFUSION + 9).confusion
    assert many is not None
    assert many.total == LONGEST_CONFUSION + 9
    assert [*many.names] == [f"class {n}" for n in range(LONGEST_CONFUSION)]
    assert many.rows[0][1][:2] == [("class 0", 80.0, 100), ("class 1", 20.0, 25)]


def test_a_perfect_result_without_errors_still_makes_a_page() -> None:
    root = parse(render(replace(page(images=0), costs=[], confusion=None)))
    for name in ("costs", "confusion", "gallery"):
        assert root.find(f".//*[@id='{name}']") is None
    assert {link.get("href") for link in root.findall(".//nav/a")} == {"#scores", "#per-class"}


def in_browser(folder: Path, state: str) -> Element:
    """The made-up page, opened in a state."""
    if not CHROMIUM:
        pytest.skip("no Chromium is installed here: the page's script is not tested")
    file = folder / "index.html"
    file.write_text(render(page()))
    return parse(dom_of(file, folder / "profile", state))


def names(root: Element, condition: str = "") -> list[str]:
    return [card.get("data-name", "") for card in root.findall(f".//article{condition}")]


def test_the_browser_sorts_filters_and_remembers(tmp_path: Path) -> None:
    root = in_browser(tmp_path, "order=name&class=class+1&classes=2")
    assert names(root) == ["street 0.png", "street 1.png", "street 2.png"]
    assert names(root, "[@hidden]") == ["street 0.png"]
    assert words(root.find(".//*[@id='shown']")) == "2 of 3 shown"
    assert [row[0] for row in table(root, "classes")] == ["class 2", "class 1", "car <red>"]  # PQ, ascending
    assert root.find(".//th[@aria-sort='ascending']") is not None

    root = in_browser(tmp_path, "order=fn&text=STREET+1&costs=1-")
    assert names(root) == ["street 2.png", "street 1.png", "street 0.png"]
    assert words(root.find(".//*[@id='shown']")) == "1 of 3 shown"
    assert [row[2] for row in table(root, "costs")] == ["7", "1"]
    assert root.find(".//th[@aria-sort='descending']") is not None


def test_paths_and_names_break_where_they_may() -> None:
    root = parse(render(replace(page(), title="coco/pred/panoptic.json <b> against a_long_name")))
    heading = root.find(".//h1")
    assert words(heading) == "coco/pred/panoptic.json <b> against a_long_name"
    assert heading is not None
    paths = heading.findall("span[@class='path']")  # each goes to the next line before it breaks
    assert [words(path) for path in paths] == ["coco/pred/panoptic.json", "a_long_name"]
    assert [len(path.findall("wbr")) for path in paths] == [2, 2]


def test_the_legends_stand_with_the_pictures_and_one_error_is_not_several() -> None:
    made = page()
    root = parse(render(made))
    keys = [words(key) for key in root.findall(".//*[@id='images']//*[@class='key']")]
    assert keys[1] == "classescar <red>class 1class 2"
    assert words(root.findall(".//article/p")[1]) == "3 matched, 1 false negative, 8 false positives"
    many = parse(render(replace(made, classes=[replace(made.classes[0], name=f"class {n}") for n in range(30)])))
    folded = many.find(".//*[@id='images']/details")
    assert folded is not None
    assert words(folded.find("summary")) == "colours of the 30 classes"
    assert len(folded.findall(".//li")) == 30


def test_kinds_of_errors_that_cost_nothing_are_folded() -> None:
    made = replace(
        page(), costs=[*page().costs, ErrorCostRow("tiny", "small", 2, 0.0004), ErrorCostRow("m", "n", 0, 0.0)]
    )
    root = parse(render(made))
    assert [row[0] for row in table(root, "costs")] == ["missedno prediction", "splitin parts"]
    assert table(root, "costless") == [["tinysmall", "0.0", "2"], ["mn", "0.0", "0"]]
    assert words(root.find(".//*[@id='errors']/details/summary")) == "2 other kinds of error that cost nothing: tiny, m"
    perfect = parse(render(replace(made, costs=made.costs[-1:])))
    assert perfect.find(".//*[@id='costs']") is None
    assert words(perfect.find(".//*[@id='errors']/details/summary")) == "1 kind of error that costs nothing: m"


def test_a_few_of_the_worst_images_are_shown_until_more_are_wanted(tmp_path: Path) -> None:
    if not CHROMIUM:
        pytest.skip("no Chromium is installed here: the page's script is not tested")
    file = tmp_path / "index.html"
    file.write_text(render(page(images=9)))
    for state, shown in (("", 4), ("all=1", 9), ("class=class+1", 8)):
        root = parse(dom_of(file, tmp_path / "profile", state))
        assert len(names(root)) - len(names(root, "[@hidden]")) == shown
        more = root.find(".//button[@id='more']")
        assert more is not None
        assert ("hidden" in more.attrib) == (state != "")
        assert words(root.find(".//*[@id='shown']")) == f"{shown} of 9 shown"


def test_the_worst_images_come_first_whatever_worst_means(tmp_path: Path) -> None:
    if not CHROMIUM:
        pytest.skip("no Chromium is installed here: the page's script is not tested")
    made, file = page(images=9), tmp_path / "index.html"
    mixed = [made.cards[position] for position in (4, 8, 0, 6, 2, 7, 3, 1, 5)]
    file.write_text(render(replace(made, cards=[replace(card, fp=card.fn % 5) for card in mixed])))
    upward = [f"street {number}.png" for number in range(9)]
    for order, wanted in (
        ("", upward),
        ("order=pq", upward),
        ("order=name", upward),
        ("order=fn", None),
        ("order=fp", None),
    ):
        root = parse(dom_of(file, tmp_path / "profile", order))
        found = root.findall(".//article")
        if wanted is None:
            counts = [int(card.get(f"data-{order[-2:]}", "")) for card in found]
            assert counts == sorted(counts, reverse=True)
            assert len(set(counts)) > 4
        else:
            assert names(root) == wanted
        assert [("hidden" in card.attrib) for card in found] == [False] * 4 + [True] * 5


MEASURE = """<iframe id="f" src="page.html" style="width:WIDTHpx;height:900px"></iframe><p id="out"></p><script>
f.onload = () => {
  const d = f.contentDocument, h = d.querySelector("h1"), cells = [...d.querySelectorAll("#classes tbody th")];
  const lines = (word) => {
    const text = [...cells.find((c) => c.textContent.includes(word)).childNodes].find((n) => n.nodeType === 3);
    const range = d.createRange(), start = text.data.indexOf(word);
    range.setStart(text, start);
    range.setEnd(text, start + word.length);
    return new Set([...range.getClientRects()].map((r) => r.top)).size;
  };
  const most = Math.max(...["building", "merged", "traffic", "light", "skateboard"].map(lines));
  out.textContent = JSON.stringify([d.documentElement.scrollWidth, most, h.scrollWidth <= h.clientWidth]);
};
</script>"""
"""Writes how wide the page is, over how many lines a word of a class name goes at most, and whether the title fits."""


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_cut_off_and_no_name_breaks_in_the_middle(width: int, tmp_path: Path) -> None:
    if not CHROMIUM:
        pytest.skip("no Chromium is installed here: the page's layout is not tested")
    made, classes = page(), ("building-other-merged", "traffic light", "skateboard")
    rows = [replace(each, name=name) for each, name in zip(made.classes, classes, strict=False)]
    title = "runs/a_rather_long_folder_name/predictions/panoptic.json against data/panoptic_val2017.json"
    (tmp_path / "page.html").write_text(render(replace(made, title=title, classes=rows)))
    (tmp_path / "measure.html").write_text(MEASURE.replace("WIDTH", str(width)))
    found = re.search(r'<p id="out">(.*?)</p>', dom_of(tmp_path / "measure.html", tmp_path / "profile"))
    assert found is not None
    wide, lines, whole = json.loads(found[1])
    assert wide <= width
    assert lines == 1
    assert whole
