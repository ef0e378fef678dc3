"""The page of `unipan pq --html`, as text and in a real browser."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.viz.test_report import Balance
from unipan.visualization.evaluation_page import (
    MOST_CONFUSED,
    ClassRow,
    Confusion,
    CostRow,
    EvaluationPage,
    ImageCard,
    render_evaluation,
)
from unipan.visualization.page import Figure, Panel, ScoreRow

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


def page(images: int = 3, classes: int = 3) -> EvaluationPage:
    picture = np.full((8, 12, 3), 90, np.uint8)
    names = [f"class {position}" for position in range(classes)]
    rows = [
        ClassRow(name, (10, 20, 30), position < 2, 0.9 - 0.3 * position, 0.9, 1.0, 5, position, 1)
        for position, name in enumerate(["car <red>", *names[1:]])
    ]
    rows.append(ClassRow("never <seen>", (1, 2, 3), False, None, None, None, 0, 0, 0))
    pixels = np.eye(classes + 1) * 100
    pixels[0, 1] = 25
    cards = [
        ImageCard(f"street {n}.png", 0.2 + n / 10, 3, 9 - n, n, names[: n + 1], [Panel("truth", picture)])
        for n in range(images)
    ]
    figures = {"All": {"PQ": Figure(0.75, 0.7, 0.8)}}
    costs = [CostRow("missed", "no prediction", 7, 0.12), CostRow("split", "in parts", 1, 0.03)]
    return EvaluationPage(
        title="a & b",
        kicker="unipan pq",
        lead=["One."],
        scores=[ScoreRow("strict", "", figures)],
        scores_note="95 %",
        costs=costs,
        costs_note="They do not add up.",
        classes=rows,
        confusion=Confusion([*names, "void"], pixels),
        images=cards,
        images_note="Lowest PQ first.",
        keys=[("missed", (200, 0, 0))],
        colophon="end",
    )


def test_one_file_that_closes_its_tags_and_asks_for_nothing_outside() -> None:
    text = render_evaluation(page())
    balance = Balance()
    balance.feed(re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL))
    assert not balance.open
    assert "://" not in text
    assert all(source.startswith("data:image/webp") for source in re.findall(r'src="([^"]*)"', text))
    assert "never" not in text
    assert "3 of 4 classes occur" in text
    assert "car &lt;red&gt;" in text
    assert "<b>75.0</b>" in text


def test_confusion_is_in_percent_of_the_true_class_and_large_ones_are_cut() -> None:
    assert "class 0 taken for class 1: 20.00 %, 25 pixels" in render_evaluation(page())
    many = render_evaluation(page(classes=MOST_CONFUSED + 9))
    assert f"{MOST_CONFUSED} of {MOST_CONFUSED + 10} classes with the most pixels confused" in many
    assert "class 0 taken for class 1" in many


def test_a_perfect_result_without_errors_still_makes_a_page() -> None:
    found = page(images=0)
    text = render_evaluation(EvaluationPage(**{**vars(found), "costs": [], "confusion": None}))
    assert "The worst images" not in text
    assert 'id="gallery"' not in text


def dom_of(file: Path, profile: Path, state: str = "") -> str:
    """The document as Chromium has it once the script has run."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command = [CHROMIUM, *flags, "--virtual-time-budget=2000", "--dump-dom", f"{file.resolve().as_uri()}#{state}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def in_browser(folder: Path, state: str) -> str:
    """The made-up page, opened in a state."""
    if not CHROMIUM:
        pytest.skip("no Chromium is installed here: the page's script is not tested")
    file = folder / "index.html"
    file.write_text(render_evaluation(page()))
    return dom_of(file, folder / "profile", state)


def names(dom: str) -> list[str]:
    return re.findall(r"street \d\.png(?=</h2>)", dom)


def test_the_browser_sorts_filters_and_remembers(tmp_path: Path) -> None:
    dom = in_browser(tmp_path, "order=name&class=class+1&classes=2")
    assert names(dom) == ["street 0.png", "street 1.png", "street 2.png"]
    assert re.findall(r'<article data-name="(street \d\.png)"[^>]* hidden', dom) == ["street 0.png"]
    assert "2 of 3 shown" in dom
    rows = re.findall(r"</i>((?:class \d|car)[^<]*)</th><td>", dom)
    assert rows == ["class 2", "class 1", "car &lt;red&gt;"]  # PQ, ascending
    assert 'aria-sort="ascending"' in dom

    dom = in_browser(tmp_path, "order=fn&text=STREET+1&costs=1-")
    assert names(dom) == ["street 2.png", "street 1.png", "street 0.png"]
    assert "1 of 3 shown" in dom
    assert re.findall(r'row">(missed|split)', dom) == ["missed", "split"]
    assert 'aria-sort="descending"' in dom
