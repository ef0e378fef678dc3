"""The page of figures: captions in order, offline, every word escaped."""

import re

from unipan.visualization.figure_page import FigureEntry, FigurePage, render_figures


def page(*numbers: str, left_out: tuple[str, ...] = ()) -> str:
    entries = [
        FigureEntry(n, f"Sec. {n}", f"title <{n}>", "text & more", f"figure-{n}.png", (80, 40), [("a.png", "5 < 6")])
        for n in numbers
    ]
    return render_figures(FigurePage("A <b>", "unipan", ["lead"], left_out, entries, [("car", (1, 2, 3))], "the end"))


def test_figures_stand_in_order_with_caption_and_counts() -> None:
    text = page("1", "K")
    assert re.findall(r"<h2><b>Figure (\w)</b>title &lt;\w&gt;</h2>", text) == ["1", "K"]
    assert re.findall(r'<img src="([^"]*)" width="80" height="40"', text) == ["figure-1.png", "figure-K.png"]
    assert text.count("text &amp; more (Sec. ") == 2
    assert text.count("<b>a.png</b> 5 &lt; 6") == 2
    assert "A &lt;b&gt;" in text
    assert "rgb(1,2,3)" in text


def test_the_page_needs_nothing_from_outside_and_says_what_is_missing() -> None:
    text = page("7", left_out=("Figure 1 is left out: <no masks>.",))
    assert "://" not in text
    assert "<li>Figure 1 is left out: &lt;no masks&gt;.</li>" in text
    assert "class=leave" not in page("7")
