"""Pages of HTML that open offline: what each shows, as plain values, and `render`, which fills in its template.

A page is one file: styles, scripts and pictures are inside it (the figures' pictures may be files next to it).
Templates escape all text.
"""

import base64
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np

from unipan.arrays import Integer
from unipan.files import write_atomically
from unipan.outputs import signature
from unipan.visualization.flat import IndexedPicture, Picture
from unipan.visualization.palette import Color

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LONGEST_CONFUSION = 40
"""The confusion matrix shows at most this many classes: those with the most confused pixels."""
WEBP_QUALITY = 90
SMALLEST_COST = 0.0005
"""Of errors, as a fraction: less is 0.0 in percent."""


@runtime_checkable  # for beartype in the tests
class Estimate(Protocol):
    """A value with its confidence interval, as fractions; `evaluation.bootstrap.Interval` is one."""

    @property
    def value(self) -> float:
        """The value itself."""

    @property
    def low(self) -> float:
        """Lower end of the interval."""

    @property
    def high(self) -> float:
        """Upper end of the interval."""


@dataclass(frozen=True)
class ScoreRow:
    """One method in the table: group ("All", ...) -> metric ("pq", ...) -> estimate; missing ones show as dashes."""

    name: str
    note: str
    scores: Mapping[str, Mapping[str, Estimate] | None]


@dataclass(frozen=True)
class CaptionedImage:
    """An image on a page; `source` is a file's name or a `data_uri`."""

    name: str
    source: str
    detail: str = ""


@dataclass(frozen=True)
class ImageRow:
    """Several pictures of one scene or photograph, and a sentence about it."""

    name: str
    images: Sequence[CaptionedImage]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What all pages have.

    Attributes:
        title: also the heading.
        kicker: small line above it.
        lead: paragraphs below it.
        colophon: small print at the end.
        verb: of `unipan`, which the page says has written it.
    """

    template: ClassVar[str]
    title: str
    kicker: str
    lead: Sequence[str]
    colophon: str
    verb: str = ""

    @property
    def generator(self) -> str:
        """What wrote the page."""
        return signature(self.verb)


@dataclass(frozen=True, kw_only=True)
class GalleryPage(Page):
    """Rows of pictures, as of `make demo` and `unipan data show`.

    Attributes:
        rows: the pictures.
        legend: names and colours of the classes.
        scores: the table below the first row, its last row set off as the result; none without rows.
        scores_note: what the scores and intervals are.
        reading: paragraphs below the table, on what the pictures show.
        scale: `data_uri` of the affinities' colour scale; empty where nothing is drawn in it.
    """

    template = "gallery.html"
    rows: Sequence[ImageRow]
    legend: Sequence[tuple[str, Color]]
    scores: Sequence[ScoreRow] = ()
    scores_note: str = ""
    reading: Sequence[str] = ()
    scale: str = ""


@dataclass(frozen=True)
class FigureEntry:
    """One figure of the paper.

    Attributes:
        number, section: of the paper.
        title, text: its caption.
        file: name of its picture, in the page's folder.
        size: width and height of the picture.
        rows: for each row the image and what was measured.
    """

    number: str
    section: str
    title: str
    text: str
    file: str
    size: tuple[int, int]
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class FiguresPage(Page):
    """All figures with their captions, and sentences about those that are left out."""

    template = "figures.html"
    figures: Sequence[FigureEntry]
    left_out: Sequence[str]
    legend: Sequence[tuple[str, Color]]


@dataclass(frozen=True)
class ErrorCostRow:
    """One kind of error: how many segments, and the PQ that repairing it alone would gain (a fraction)."""

    kind: str
    meaning: str
    count: int
    cost: float


@dataclass(frozen=True)
class ClassRow:
    """One class; PQ, SQ and RQ are fractions, None where the class does not occur."""

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
class ConfusionTable:
    """Where the pixels of each class went.

    Attributes:
        names: of the classes shown, in the order of rows and columns.
        rows: the name of a true class, then for each class predicted: its name, share of the pixels in percent, pixels.
        total: how many classes there are to show.
    """

    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[str, float, int]]]]
    total: int

    @classmethod
    def of(cls, names: Sequence[str], pixels: Integer[np.ndarray, "N N"]) -> "ConfusionTable":
        """From pixels of each true class (rows) predicted as each class (columns); classes without pixels are left out.

        At most `LONGEST_CONFUSION` are shown, those with the most confused pixels.
        """
        totals = pixels.sum(0) + pixels.sum(1)
        seen = np.flatnonzero(totals)
        confused = (totals - 2 * np.diag(pixels))[seen]
        shown = np.sort(seen[np.argsort(-confused, kind="stable")][:LONGEST_CONFUSION])
        columns = [names[column] for column in shown.tolist()]
        rows = []
        for row in shown[pixels[shown].any(1)].tolist():  # void of the truth is not counted: it has no row
            shares = 100 * pixels[row, shown] / pixels[row].sum()
            rows.append((names[row], list(zip(columns, shares.tolist(), pixels[row, shown].tolist(), strict=True))))
        return cls(columns, rows, len(seen))


@dataclass(frozen=True)
class MetricRow:
    """Another metric: its name, what it is, and its value for all classes, things and stuff (fractions or None)."""

    name: str
    note: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class ComparisonRow:
    """PQ of a group of classes by this prediction and by another one, and the difference, as fractions.

    Attributes:
        group: All, Things or Stuff.
        ours, theirs: PQ.
        difference: ours minus theirs, paired over the images.
        clear: whether its interval excludes zero.
    """

    group: str
    ours: float
    theirs: float
    difference: Estimate
    clear: bool


@dataclass(frozen=True)
class ImageCard:
    """One of the worst images.

    Attributes:
        name: file name.
        pq: of this image alone, a fraction.
        tp, fp, fn: segments matched, false positives, false negatives.
        classes: with an error in this image.
        images: the photograph if there is one, ground truth, prediction, errors.
    """

    name: str
    pq: float
    tp: int
    fp: int
    fn: int
    classes: Sequence[str]
    images: Sequence[CaptionedImage]


@dataclass(frozen=True, kw_only=True)
class EvaluationPage(Page):
    """What a prediction scores, what its errors cost, and its worst images: the page of `unipan pq --html`."""

    template = "evaluation.html"
    scores: Sequence[ScoreRow]
    scores_note: str
    metrics: Sequence[MetricRow] = ()
    metrics_note: str = ""
    comparison: Sequence[ComparisonRow] = ()
    other: str = ""
    costs: Sequence[ErrorCostRow]
    costs_note: str
    classes: Sequence[ClassRow]
    confusion: ConfusionTable | None
    cards: Sequence[ImageCard]
    cards_note: str
    legend: Sequence[tuple[str, Color]]

    @property
    def occurring(self) -> list[ClassRow]:
        """The classes that have a PQ."""
        return [row for row in self.classes if row.pq is not None]

    @property
    def class_colors(self) -> list[tuple[str, Color]]:
        """Name and colour of each of them."""
        return [(row.name, row.color) for row in self.occurring]

    @property
    def costly(self) -> list[ErrorCostRow]:
        """The kinds of errors that cost something, as far as one decimal shows it."""
        return [row for row in self.costs if row.cost >= SMALLEST_COST]

    @property
    def costless(self) -> list[ErrorCostRow]:
        """The others."""
        return [row for row in self.costs if row.cost < SMALLEST_COST]


def data_uri(picture: Picture | IndexedPicture, quality: int = WEBP_QUALITY, fast: bool = False) -> str:
    """A picture as a `data:` address: WebP for photographs, PNG for flat maps (a twentieth of the time).

    With `fast`, photographs are JPEG: a fifth larger than WebP, in a tenth of the time.
    """
    from PIL import Image

    file = io.BytesIO()
    if not isinstance(picture, IndexedPicture):
        kind = "jpeg" if fast else "webp"
        Image.fromarray(picture).save(file, kind, quality=quality, **({} if fast else {"method": 2}))
    else:
        kind, small = "png", picture.index.dtype == np.uint8
        image = Image.fromarray(picture.index if small else picture.rgb())
        if small:
            image.putpalette(picture.palette.tobytes())
        # Of a flat picture little remains but runs.
        image.save(file, kind, compress_level=3, compress_type=zlib.Z_RLE)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def breakable(text: str) -> "Markup":
    """Text whose paths and names break after a slash or an underscore, and only if they are longer than a line."""
    from markupsafe import Markup, escape  # comes with jinja2

    parts = re.sub(r"([/\\_])(?=\w)", r"\1<wbr>", str(escape(text)))
    return Markup(re.sub(r"\S*<wbr>\S*", r'<span class="path">\g<0></span>', parts))


def render(page: Page) -> str:
    """The page as HTML."""
    return render_template(page.template, page=page)


def render_template(template: str, **values: object) -> str:
    """A template of templates/ with its values filled in; all text is escaped."""
    return jinja_environment().get_template(template).render(**values)


@cache
def jinja_environment() -> "Environment":
    """jinja2's, which keeps the templates that it has compiled."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 0.1 s, for pages only

    loader = PackageLoader("unipan.visualization")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["breakable"] = breakable
    made.filters["percent"] = lambda share: f"{100 * share:.1f}"
    return made


def write_page(path: Path, page: Page) -> None:
    """Write the page, making its folder; an interrupted run leaves an old page as it was. Raises OSError."""
    write_atomically(path, render(page).encode())
