"""The page that shows all figures with their captions; the pictures are files beside it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from unipan.visualization.page import document, static
from unipan.visualization.palette import Color


@dataclass(frozen=True)
class FigureEntry:
    """One figure on the page.

    Attributes:
        number, section: of the paper.
        title, text: its caption.
        file: name of its picture, in the page's folder.
        size: width and height of the picture.
        rows: the image and what was measured, of each row.
    """

    number: str
    section: str
    title: str
    text: str
    file: str
    size: tuple[int, int]
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class FigurePage:
    """Everything that the page shows; all words are plain text and get escaped."""

    title: str
    kicker: str
    lead: Sequence[str]
    left_out: Sequence[str]
    figures: Sequence[FigureEntry]
    legend: Sequence[tuple[str, Color]]
    colophon: str


def render_figures(page: FigurePage) -> str:
    """The page as HTML."""
    lead = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in page.lead)
    left_out = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in page.left_out)
    chips = "".join(
        f'<li><i style="background:rgb({red},{green},{blue})"></i>{html.escape(name)}</li>'
        for name, (red, green, blue) in page.legend
    )
    body = (
        f'<header><p class="kicker">{html.escape(page.kicker)}</p><h1>{html.escape(page.title)}</h1>'
        f'<div class="lead">{lead}</div>{f"<ul class=leave>{left_out}</ul>" if left_out else ""}</header>'
        f'<section><div class="legend"><ul>{chips}</ul></div>{"".join(map(_figure, page.figures))}</section>'
        f"<footer>{html.escape(page.colophon)}</footer>"
    )
    return document(page.title, static("page.css") + static("figures.css"), body)


def _figure(entry: FigureEntry) -> str:
    rows = "".join(f"<li><b>{html.escape(name)}</b> {html.escape(words)}</li>" for name, words in entry.rows)
    width, height = entry.size
    return (
        f'<article class="figure" id="figure-{html.escape(entry.number)}">'
        f"<h2><b>Figure {html.escape(entry.number)}</b>{html.escape(entry.title)}</h2>"
        f'<p class="note">{html.escape(entry.text)} ({html.escape(entry.section)})</p>'
        f'<figure><img src="{html.escape(entry.file)}" width="{width}" height="{height}" '
        f'alt="Figure {html.escape(entry.number)}: {html.escape(entry.title)}"></figure><ol>{rows}</ol></article>'
    )
