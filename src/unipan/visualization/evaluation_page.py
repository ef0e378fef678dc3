"""The page of `unipan pq --html`: what a prediction scores, what its errors cost, and the worst images to look at.

One file, offline. Tables sort by a click on a column; the pictures sort and filter, and the address keeps the choice.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from unipan.visualization.page import Panel, ScoreRow, data_uri, document, score_table, static
from unipan.visualization.palette import Color

MOST_CONFUSED = 40
"""The confusion matrix shows so many classes: those with the most pixels confused."""


@dataclass(frozen=True)
class CostRow:
    """One kind of error: how often, and what PQ would gain if it alone were repaired (a fraction)."""

    kind: str
    meaning: str
    count: int
    cost: float


@dataclass(frozen=True)
class ClassRow:
    """One class; PQ, SQ and RQ are fractions, or None where the class does not occur."""

    name: str
    color: Color
    isthing: bool
    pq: float | None
    sq: float | None
    rq: float | None
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class Confusion:
    """Where the pixels of each class went.

    Attributes:
        names: of the classes, then void.
        pixels: of truth (rows) by prediction (columns).
    """

    names: Sequence[str]
    pixels: Float64[np.ndarray, "n n"]


@dataclass(frozen=True)
class ImageCard:
    """One of the worst images.

    Attributes:
        name: file name.
        pq: of this image alone, a fraction.
        tp, fp, fn: segments matched, spurious, missed.
        classes: with an error in this image.
        panels: truth, prediction, errors.
    """

    name: str
    pq: float
    tp: int
    fp: int
    fn: int
    classes: Sequence[str]
    panels: Sequence[Panel]


@dataclass(frozen=True)
class EvaluationPage:
    """Everything that the page shows; all words are plain text and get escaped."""

    title: str
    kicker: str
    lead: Sequence[str]
    scores: Sequence[ScoreRow]
    scores_note: str
    costs: Sequence[CostRow]
    costs_note: str
    classes: Sequence[ClassRow]
    confusion: Confusion | None
    images: Sequence[ImageCard]
    images_note: str
    keys: Sequence[tuple[str, Color]]
    colophon: str


def render_evaluation(page: EvaluationPage) -> str:
    """The page as HTML."""
    lead = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in page.lead)
    parts = [
        f'<header><p class="kicker">{html.escape(page.kicker)}</p><h1>{html.escape(page.title)}</h1>'
        f'<div class="lead">{lead}</div></header>',
        score_table(page.scores, page.scores_note),
        _costs(page) if page.costs else "",
        _classes(page.classes),
        _confusion(page.confusion) if page.confusion else "",
        _gallery(page) if page.images else "",
        f"<footer>{html.escape(page.colophon)}</footer>",
    ]
    style = static("page.css") + static("evaluation.css")
    return document(page.title, style, "".join(parts), static("evaluation.js"))


def _section(title: str, note: str, content: str) -> str:
    return f'<section><h2>{html.escape(title)}</h2><p class="note">{html.escape(note)}</p>{content}</section>'


def _costs(page: EvaluationPage) -> str:
    longest = max((row.cost for row in page.costs), default=0.0) or 1.0
    rows = [
        f'<tr><th scope="row">{html.escape(row.kind)}<small>{html.escape(row.meaning)}</small></th>'
        f"{_bar(row.cost, longest)}{_number(row.count)}</tr>"
        for row in page.costs
    ]
    table = _bars("costs", [("kind of error", ""), ("PQ it costs", ""), ("segments", "number")], rows)
    return _section("What the errors cost", page.costs_note, table)


def _classes(classes: Sequence[ClassRow]) -> str:
    occurring = [row for row in classes if row.pq is not None]
    rows = []
    for row in occurring:
        red, green, blue = row.color
        chip = f'<i class="chip" style="background:rgb({red},{green},{blue})"></i>'
        kind = "thing" if row.isthing else "stuff"
        shares = "".join(_number(value, percent=True) for value in (row.sq, row.rq))
        counts = "".join(_number(value) for value in (row.tp, row.fp, row.fn))
        rows.append(
            f'<tr><th scope="row">{chip}{html.escape(row.name)}</th><td>{kind}</td>'
            f"{_bar(row.pq, 1.0)}{shares}{counts}</tr>"
        )
    heads = [("class", ""), ("kind", ""), ("PQ", "")] + [(name, "number") for name in ("SQ", "RQ", "TP", "FP", "FN")]
    note = (
        f"PQ = SQ x RQ. TP, FP and FN count segments. {len(occurring)} of {len(classes)} classes occur in truth or "
        "prediction; the others count nowhere. Click a column to sort."
    )
    return _section("Classes", note, _bars("classes", heads, rows))


def _bars(identity: str, heads: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col" class="{kind}">{html.escape(name)}</th>' for name, kind in heads)
    return (
        f'<div class="scroll"><table class="bars" id="{identity}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bar(value: float | None, longest: float) -> str:
    if value is None:
        return '<td class="bar" data-value="-1">&ndash;</td>'
    width = 70 * max(value, 0.0) / longest  # the rest of the cell is the number's
    return f'<td class="bar" data-value="{value:.6f}"><i style="width:{width:.2f}%"></i><b>{100 * value:.1f}</b></td>'


def _number(value: float | int | None, percent: bool = False) -> str:
    if value is None:
        return '<td class="number" data-value="-1">&ndash;</td>'
    text = f"{100 * value:.1f}" if percent else f"{value:,}"
    return f'<td class="number" data-value="{value}">{text}</td>'


def _confusion(confusion: Confusion) -> str:
    pixels, names = confusion.pixels, list(confusion.names)
    wrong = pixels.sum(0) + pixels.sum(1) - 2 * np.diag(pixels)
    seen = np.flatnonzero(pixels.sum(0) + pixels.sum(1) > 0)
    shown = np.sort(seen[np.argsort(-wrong[seen], kind="stable")][:MOST_CONFUSED]).tolist()
    head = "".join(f'<th scope="col">{html.escape(names[column])}</th>' for column in shown)
    # The truth's own void is counted nowhere, so it has no row.
    rows = "".join(_confusion_row(pixels, names, row, shown) for row in shown if pixels[row].any())
    table = (
        f'<div class="scroll"><table class="confusion"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    note = "Of the pixels of each true class (rows), the percentage that the prediction gives to each class (columns)."
    if len(shown) < len(seen):
        note += f" Shown are the {len(shown)} of {len(seen)} classes with the most pixels confused."
    return _section("Which class passes for which", note, table)


def _confusion_row(pixels: np.ndarray, names: Sequence[str], row: int, shown: Sequence[int]) -> str:
    total = pixels[row].sum()
    cells = []
    for column in shown:
        share = 100 * pixels[row, column] / total
        kind = "same" if row == column else "other"
        text = f"{share:.0f}" if share >= 0.5 else ""
        title = html.escape(f"{names[row]} taken for {names[column]}: {share:.2f} %, {pixels[row, column]:,.0f} pixels")
        cells.append(f'<td class="{kind}" style="--share:{share:.1f}" title="{title}">{text}</td>')
    return f'<tr><th scope="row">{html.escape(names[row])}</th>{"".join(cells)}</tr>'


def _gallery(page: EvaluationPage) -> str:
    classes = sorted({name for card in page.images for name in card.classes})
    options = "".join(f'<option value="{html.escape(name)}">{html.escape(name)}</option>' for name in classes)
    keys = "".join(
        f'<span><i class="chip" style="background:rgb({red},{green},{blue})"></i>{html.escape(name)}</span>'
        for name, (red, green, blue) in page.keys
    )
    controls = (
        '<div class="controls"><label>errors in <select id="by-class"><option value="">any class</option>'
        f"{options}</select></label>"
        '<label>order <select id="by-order"><option value="pq">lowest PQ</option>'
        '<option value="fn">most missed</option>'
        '<option value="fp">most spurious</option><option value="name">name</option></select></label>'
        '<label>name <input id="by-text" type="search" placeholder="part of a file name"></label>'
        f'<span id="shown"></span><span class="key">{keys}</span></div>'
    )
    cards = "".join(_card(card) for card in page.images)
    return _section("The worst images", page.images_note, f'{controls}<div class="gallery" id="gallery">{cards}</div>')


def _card(card: ImageCard) -> str:
    panels = "".join(
        f'<figure><img loading="lazy" src="{data_uri(panel.picture)}" '
        f'alt="{html.escape(card.name)}: {html.escape(panel.name)}">'
        f"<figcaption><b>{html.escape(panel.name)}</b> {html.escape(panel.detail)}</figcaption></figure>"
        for panel in card.panels
    )
    name = html.escape(card.name)
    return (
        f'<article data-name="{name}" data-pq="{card.pq:.6f}" data-fp="{card.fp}" data-fn="{card.fn}" '
        f'data-classes="{html.escape("|".join(card.classes))}"><h2><b>{100 * card.pq:.1f}</b>{name}</h2>'
        f'<p class="note">{card.tp} matched, {card.fn} missed, {card.fp} spurious</p>'
        f'<div class="panels">{panels}</div></article>'
    )
