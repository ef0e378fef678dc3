"""Pages of pictures and figures: every value in its place, every word escaped, nothing from outside."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.html_pages import parse, table, words
from unipan.evaluation.bootstrap import Interval
from unipan.visualization.flat import IndexedPicture
from unipan.visualization.pages import (
    CaptionedImage,
    FigureEntry,
    FiguresPage,
    GalleryPage,
    ImageRow,
    ScoreRow,
    data_uri,
    render,
    write_page,
)

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
SCORES = {"All": {"pq": Interval(0.7512, 0.7, 0.8), "sq": Interval(0.9, 0.88, 0.92)}, "Things": None}
GALLERY = GalleryPage(
    title="A <title> & more",
    kicker="demo",
    lead=["One.", "Two."],
    scores=[ScoreRow("heuristic", "rules", {}), ScoreRow("argmax P", "ours", SCORES)],
    scores_note="95 % intervals",
    rows=[
        ImageRow('scene "1"', [CaptionedImage("image", data_uri(PICTURE), "4 x 4"), CaptionedImage("P", "p.png")], "<")
    ],
    legend=[("car", (1, 2, 3))],
    scale=data_uri(PICTURE),
    colophon="the end",
)


def decoded(uri: str, kind: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(f"data:image/{kind};base64,"))))


def test_photographs_survive() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(coarse, (140, 100)), np.uint8)
    found = np.asarray(decoded(data_uri(picture), "webp"), int)
    assert np.abs(found - picture).mean() < 4


@pytest.mark.parametrize("colors", [3, 256, 300])
def test_flat_pictures_are_exact(colors: int) -> None:
    rng = np.random.default_rng(colors)
    index = rng.integers(0, colors, (30, 40)).astype(np.uint8 if colors <= 256 else np.int32)
    picture = IndexedPicture(index, rng.integers(0, 256, (colors, 3), dtype=np.uint8))
    assert np.array_equal(np.asarray(decoded(data_uri(picture), "png").convert("RGB")), picture.rgb())


def test_a_gallery_shows_scores_in_percent_and_dashes_for_missing_ones() -> None:
    root = parse(render(GALLERY))
    assert words(root.find(".//h1")) == "A <title> & more"
    assert table(root, "scores") == [
        ["heuristicrules", *["–"] * 9],
        ["argmax Pours", "75.170.0–80.0", "90.088.0–92.0", *["–"] * 7],
    ]
    assert [row.get("class") for row in root.findall(".//tbody/tr")] == [None, "result"]


def test_a_gallery_shows_its_pictures_and_legend() -> None:
    root = parse(render(GALLERY))
    images = root.findall(".//article//img")
    assert [image.get("src") for image in images] == [data_uri(PICTURE), "p.png"]
    assert [image.get("alt") for image in images] == ['scene "1": image', 'scene "1": P']
    assert [words(caption) for caption in root.findall(".//figcaption")] == ["image 4 x 4", "P"]
    assert words(root.find(".//article/p")) == "<"
    legend = root.findall(".//*[@class='legend']//li")
    assert [(words(entry), entry[0].get("style")) for entry in legend] == [
        ("car", "background:rgb(1,2,3)"),
        ("void", "background:rgb(0,0,0)"),
    ]


def test_the_first_pictures_stand_above_the_scores_and_the_long_text_below_them() -> None:
    text = render(replace(GALLERY, rows=[*GALLERY.rows, *GALLERY.rows], reading=["What they show."]))
    parse(text)
    assert (
        text.index("<article>") < text.index('id="scores"') < text.index("What they show.") < text.rindex("<article>")
    )
    assert table(parse(render(replace(GALLERY, rows=()))), "scores")


def test_a_gallery_without_scores_and_scale() -> None:
    root = parse(render(replace(GALLERY, scores=(), scale="")))
    assert root.find(".//table") is None
    assert root.find(".//*[@class='scale']") is None
    assert parse(render(GALLERY)).find(".//*[@class='scale']/img") is not None


def test_writing_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_page(tmp_path / "deep" / "index.html", GALLERY)
    assert [found.name for found in (tmp_path / "deep").iterdir()] == ["index.html"]


def figures(*numbers: str, left_out: tuple[str, ...] = ()) -> str:
    entries = [
        FigureEntry(n, f"Sec. {n}", f"title <{n}>", "text & more", f"figure-{n}.png", (80, 40), [("a.png", "5 < 6")])
        for n in numbers
    ]
    legend = [("car", (1, 2, 3))]
    return render(
        FiguresPage(
            title="F", kicker="k", lead=["l"], left_out=left_out, figures=entries, legend=legend, colophon="end"
        )
    )


def test_figures_stand_in_order_with_caption_and_counts() -> None:
    root = parse(figures("1", "K"))
    assert [words(head) for head in root.findall(".//h2")] == ["Figure 1title <1>", "Figure Ktitle <K>"]
    images = [(image.get("src"), image.get("width"), image.get("height")) for image in root.findall(".//img")]
    assert images == [("figure-1.png", "80", "40"), ("figure-K.png", "80", "40")]
    assert words(root.find(".//article/p")) == "text & more (Sec. 1)"
    assert [words(row) for row in root.findall(".//article/ol/li")] == ["a.png 5 < 6"] * 2


def test_the_page_of_figures_says_what_is_left_out() -> None:
    root = parse(figures("7", left_out=("Figure 1: <no masks>.",)))
    assert [words(item) for item in root.findall(".//header//li")] == ["Figure 1: <no masks>."]
    assert parse(figures("7")).findall(".//header//li") == []
