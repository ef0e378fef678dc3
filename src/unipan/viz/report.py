"""One self-contained HTML page: a table of scores, then rows of pictures. Opens offline, in light and in dark."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from unipan.ops.files import write_atomically
from unipan.viz.palette import Color

GROUPS = ("All", "Things", "Stuff")
METRICS = ("PQ", "SQ", "RQ")
QUALITY = 92


@dataclass(frozen=True)
class Figure:
    """A measured share with its interval, all in 0..1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table: a method and its figures by group, then metric; a missing figure shows as a dash."""

    name: str
    note: str
    figures: Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True)
class Panel:
    """A picture with its caption; a `wide` detail stands after the caption's name."""

    name: str
    picture: UInt8[np.ndarray, "H W 3"]
    detail: str = ""


@dataclass(frozen=True)
class SceneRow:
    """The panels of one image, and a sentence about it."""

    name: str
    panels: Sequence[Panel]
    note: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that the page shows; all words are plain text and get escaped.

    Attributes:
        lead: paragraphs under the title.
        scores: the table, its last row set off as the result.
        scores_note: what the figures and intervals are.
        legend: names and colours of the classes.
        scale: a picture of the affinities' colour scale, without words.
        colophon: small print at the end.
    """

    title: str
    kicker: str
    lead: Sequence[str]
    scores: Sequence[ScoreRow]
    scores_note: str
    scenes: Sequence[SceneRow]
    legend: Sequence[tuple[str, Color]]
    scale: UInt8[np.ndarray, "H W 3"]
    colophon: str


def data_uri(picture: UInt8[np.ndarray, "H W 3"]) -> str:
    """An RGB picture inside its own address, as WebP: a tenth of a PNG's bytes where there is texture."""
    pixels = np.ascontiguousarray(picture[:, :, ::-1])
    done, encoded = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"report: a picture of shape {picture.shape} cannot be written as WebP")
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode()


def render(page: Page) -> str:
    """The page as HTML."""
    lead = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in page.lead)
    scenes = "".join(_scene(scene) for scene in page.scenes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(page.title)}</title><style>{STYLE}</style></head><body><main>"
        f'<header><p class="kicker">{html.escape(page.kicker)}</p><h1>{html.escape(page.title)}</h1>'
        f'<div class="lead">{lead}</div></header>'
        f'<section class="scores">{_table(page.scores)}<p class="note">{html.escape(page.scores_note)}</p></section>'
        f"<section>{_legend(page)}{scenes}</section>"
        f"<footer>{html.escape(page.colophon)}</footer></main></body></html>\n"
    )


def write_report(path: Path, page: Page) -> None:
    """Write the page; its folder is made, and an interrupted run leaves the old page as it was."""
    write_atomically(path, render(page).encode())


def _table(rows: Sequence[ScoreRow]) -> str:
    groups = "".join(f'<th scope="colgroup" colspan="{len(METRICS)}">{group}</th>' for group in GROUPS)
    metrics = "".join(f'<th scope="col"{_first(metric)}>{metric}</th>' for _ in GROUPS for metric in METRICS)
    body = "".join(_table_row(row, position == len(rows) - 1) for position, row in enumerate(rows))
    return (
        f'<div class="scroll"><table><thead><tr><td></td>{groups}</tr><tr><td></td>{metrics}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _table_row(row: ScoreRow, last: bool) -> str:
    cells = "".join(
        f"<td{_first(metric)}>{_figure(row.figures.get(group, {}).get(metric))}</td>"
        for group in GROUPS
        for metric in METRICS
    )
    name = f"{html.escape(row.name)}<small>{html.escape(row.note)}</small>"
    return f'<tr{" class=result" if last else ""}><th scope="row">{name}</th>{cells}</tr>'


def _first(metric: str) -> str:
    return ' class="first"' if metric == METRICS[0] else ""


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "&ndash;"
    low, high = 100 * figure.low, 100 * figure.high
    return f"<b>{100 * figure.value:.1f}</b><small>{low:.1f}&ndash;{high:.1f}</small>"


def _legend(page: Page) -> str:
    chips = "".join(
        f'<li><i style="background:rgb({red},{green},{blue})"></i>{html.escape(name)}</li>'
        for name, (red, green, blue) in page.legend
    )
    scale = f'<img src="{data_uri(page.scale)}" alt="colour scale from blue over white to red">'
    return (
        f'<div class="legend"><ul>{chips}<li><i class="void"></i>void</li></ul>'
        f'<div class="scale"><span>repels</span>{scale}<span>attracts</span></div></div>'
    )


def _scene(scene: SceneRow) -> str:
    panels = "".join(
        f'<figure><img src="{data_uri(panel.picture)}" alt="{html.escape(scene.name)}: {html.escape(panel.name)}">'
        f"<figcaption><b>{html.escape(panel.name)}</b> {html.escape(panel.detail)}</figcaption></figure>"
        for panel in scene.panels
    )
    return (
        f'<article><h2>{html.escape(scene.name)}</h2><p class="note">{html.escape(scene.note)}</p>'
        f'<div class="panels">{panels}</div></article>'
    )


STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #1d1c1a; --soft: #6e6a63; --line: #e3dfd8; --tint: #f1eee8;
  --accent: #9b2c22; --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --paper: #161614; --ink: #ece8e1; --soft: #9d978d; --line: #33312d;
  --tint: #201f1c; --accent: #ef8a62; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--paper); color: var(--ink); font: 16px/1.6 var(--sans); -webkit-font-smoothing: antialiased; }
main { max-width: 1320px; margin: 0 auto; padding: 88px 40px 64px; }
.kicker { color: var(--accent); font-size: 12px; letter-spacing: .14em; text-transform: uppercase; font-weight: 600; }
h1 { font: 400 44px/1.15 var(--serif); letter-spacing: -.01em; margin: 14px 0 28px; max-width: 20em; }
.lead { columns: 2; column-gap: 56px; max-width: 1120px; font: 17px/1.65 var(--serif); }
.lead p { break-inside: avoid; margin-bottom: 14px; }
.scores { margin: 56px 0 80px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
thead th { font-size: 12px; font-weight: 600; text-align: left; padding: 0 0 6px; color: var(--soft); }
thead tr:first-child th { color: var(--ink); font-size: 14px; letter-spacing: 0; padding-left: 28px; }
thead tr:last-child { border-bottom: 1px solid var(--ink); }
tbody tr { border-bottom: 1px solid var(--line); }
tbody th { text-align: left; font-weight: 600; padding: 14px 16px 14px 0; min-width: 190px; }
tbody td { padding: 14px 10px 14px 0; white-space: nowrap; color: var(--soft); }
tbody td b { font-weight: 500; }
td.first, thead th.first { padding-left: 28px; }
td.first { color: var(--ink); font-size: 18px; }
td.first b { font-weight: 650; }
td small, tbody th small { display: block; font-size: 11.5px; line-height: 1.5; font-weight: 400; color: var(--soft); }
tr.result { border-bottom: 1px solid var(--ink); }
tr.result th, tr.result td.first b { color: var(--accent); }
.note { color: var(--soft); font-size: 14px; max-width: 60em; }
.scores .note { margin-top: 16px; }
.legend { display: flex; flex-wrap: wrap; gap: 12px 40px; justify-content: space-between; align-items: center;
  padding: 14px 0; border-bottom: 1px solid var(--line); font-size: 13px; position: sticky; top: 0; z-index: 1;
  background: var(--paper); }
.legend ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 18px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px; }
.legend i.void { background: #000; outline: 1px solid var(--line); }
.scale { display: flex; align-items: center; gap: 10px; color: var(--soft); }
.scale img { width: 150px; height: 10px; border-radius: 3px; }
article { padding: 56px 0 0; }
h2 { font: 400 24px/1.3 var(--serif); }
.panels { display: grid; grid-template-columns: repeat(3, 1fr); gap: 28px 20px; margin-top: 20px; }
figure img { width: 100%; display: block; border-radius: 4px; background: var(--tint); }
figcaption { font-size: 13px; line-height: 1.5; color: var(--soft); padding-top: 8px; }
figcaption b { color: var(--ink); font-weight: 600; margin-right: 4px; }
footer { margin-top: 88px; padding-top: 20px; border-top: 1px solid var(--line); color: var(--soft); font-size: 13px; }
@media (max-width: 900px) { main { padding: 48px 20px; } h1 { font-size: 32px; } .lead { columns: 1; }
  .panels { grid-template-columns: 1fr 1fr; } .legend { position: static; } }
@media (max-width: 560px) { .panels { grid-template-columns: 1fr; } }
"""
