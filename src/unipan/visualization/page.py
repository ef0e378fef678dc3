"""One self-contained HTML page: a table of scores, then rows of pictures. Opens offline, in light and in dark."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from unipan.files import write_atomically
from unipan.visualization.palette import Color

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
        scores: the table, its last row set off as the result; without rows there is none.
        scores_note: what the figures and intervals are.
        legend: names and colours of the classes.
        scale: a picture of the affinities' colour scale, without words; None where nothing is drawn in it.
        colophon: small print at the end.
    """

    title: str
    kicker: str
    lead: Sequence[str]
    scores: Sequence[ScoreRow]
    scores_note: str
    scenes: Sequence[SceneRow]
    legend: Sequence[tuple[str, Color]]
    scale: UInt8[np.ndarray, "H W 3"] | None
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
    body = (
        f'<header><p class="kicker">{html.escape(page.kicker)}</p><h1>{html.escape(page.title)}</h1>'
        f'<div class="lead">{lead}</div></header>'
        f"{score_table(page.scores, page.scores_note) if page.scores else ''}"
        f"<section>{_legend(page)}{scenes}</section>"
        f"<footer>{html.escape(page.colophon)}</footer>"
    )
    return document(page.title, static("page.css"), body)


def document(title: str, style: str, body: str, script: str = "") -> str:
    """A whole HTML document that needs nothing from outside."""
    end = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>\n{style}</style></head><body><main>{body}</main>{end}</body></html>\n"
    )


def static(name: str) -> str:
    """A style sheet or script of the package."""
    return (resources.files("unipan.visualization") / "static" / name).read_text(encoding="utf-8")


def write_report(path: Path, page: Page) -> None:
    """Write the page; its folder is made, and an interrupted run leaves the old page as it was."""
    write_atomically(path, render(page).encode())


def score_table(rows: Sequence[ScoreRow], note: str) -> str:
    """Methods by groups and metrics, and what the figures are."""
    groups = "".join(f'<th scope="colgroup" colspan="{len(METRICS)}">{group}</th>' for group in GROUPS)
    metrics = "".join(f'<th scope="col"{_first(metric)}>{metric}</th>' for _ in GROUPS for metric in METRICS)
    body = "".join(_table_row(row, position == len(rows) - 1) for position, row in enumerate(rows))
    return (
        f'<section class="scores"><div class="scroll"><table><thead><tr><td></td>{groups}</tr>'
        f"<tr><td></td>{metrics}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="note">{html.escape(note)}</p></section>'
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
    scale = ""
    if page.scale is not None:
        picture = f'<img src="{data_uri(page.scale)}" alt="colour scale from blue over white to red">'
        scale = f'<div class="scale"><span>repels</span>{picture}<span>attracts</span></div>'
    return f'<div class="legend"><ul>{chips}<li><i class="void"></i>void</li></ul>{scale}</div>'


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
