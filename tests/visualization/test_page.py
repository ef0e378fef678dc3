"""The page: one file, nothing from outside, every word escaped."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from unipan.visualization.page import Figure, Page, Panel, SceneRow, ScoreRow, data_uri, render, write_report

VOID_TAGS = {"meta", "img", "link", "br", "hr", "input"}


def page() -> Page:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    figures = {"All": {"PQ": Figure(0.7512, 0.7, 0.8), "SQ": Figure(0.9, 0.88, 0.92)}}
    return Page(
        title="A <title> & more",
        kicker="demo",
        lead=["One.", "Two."],
        scores=[ScoreRow("heuristic", "merger", {}), ScoreRow("argmax P", "ours", figures)],
        scores_note="95 % intervals",
        scenes=[SceneRow('scene "1"', [Panel("image", picture, "4 x 4"), Panel("P", picture)], "a note")],
        legend=[("car", (1, 2, 3))],
        scale=picture,
        colophon="the end",
    )


class Balance(HTMLParser):
    """Fails on tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_pictures_survive() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(coarse, (140, 100)), np.uint8)
    encoded = base64.b64decode(data_uri(picture).removeprefix("data:image/webp;base64,"))
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded[:, :, ::-1].astype(int) - picture).mean() < 4


def test_nothing_comes_from_outside() -> None:
    text = render(page())
    assert "://" not in text
    assert "<script" not in text
    assert all(source.startswith("data:image/webp") for source in re.findall(r'src="([^"]*)"', text))
    assert not re.search(r"url\(|@import|<link", text)


def test_the_page_is_well_formed_and_escaped() -> None:
    text = render(page())
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert "<h1>A &lt;title&gt; &amp; more</h1>" in text
    assert "scene &quot;1&quot;" in text
    assert "prefers-color-scheme: dark" in text


def test_figures_are_percent_with_intervals_and_missing_ones_dashes() -> None:
    text = render(page())
    assert "<b>75.1</b><small>70.0&ndash;80.0</small>" in text
    assert text.count("&ndash;</td>") == 9 + 7


def test_writing_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_report(tmp_path / "deep" / "index.html", page())
    assert [found.name for found in (tmp_path / "deep").iterdir()] == ["index.html"]


def test_a_page_without_scores_or_scale() -> None:
    text = render(replace(page(), scores=[], scale=None))
    assert "<table" not in text
    assert "colour scale" not in text
    assert "<h2>" in text
