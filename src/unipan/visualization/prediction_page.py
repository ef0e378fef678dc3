"""The page of `unipan predict`: every image with its files, in a table that can be sorted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from unipan.visualization.pages import Page
from unipan.visualization.palette import Color


def address(name: str) -> str:
    """A file name as a relative address: what has a meaning in addresses (#, ?, %, :) is escaped."""
    return quote(name)


@dataclass(frozen=True)
class PredictedImage:
    """One image of the table.

    Attributes:
        name: its file name.
        size: width and height.
        things, stuff: how many segments.
        lowest: the lowest score of its things; None without things.
        void: share of pixels without a segment.
        found: the things in words.
        thumbnail: name of a small picture next to the page.
        files: what is linked -> its name.
    """

    name: str
    size: tuple[int, int]
    things: int
    stuff: int
    lowest: float | None
    void: float
    found: str
    thumbnail: str
    files: Mapping[str, str]

    @property
    def picture(self) -> str:
        """The address of the small picture."""
        return address(self.thumbnail)

    @property
    def enlarged(self) -> str:
        """The address of what the small picture leads to: the overlay, or itself where there is none."""
        return address(self.files.get("overlay", self.thumbnail))

    @property
    def links(self) -> list[tuple[str, str]]:
        """What is linked, with its address."""
        return [(name, address(file)) for name, file in self.files.items()]


@dataclass(frozen=True, kw_only=True)
class PredictionPage(Page):
    """All images, the legend of the classes, and links to the files of them all.

    Attributes:
        images: in the order of the run.
        legend: name, colour and whether it is a thing, of every class.
        files: what is linked above the table -> its name.
    """

    template = "predictions.html"
    images: Sequence[PredictedImage]
    legend: Sequence[tuple[str, Color, bool]]
    files: Mapping[str, str]

    def classes(self, things: bool) -> list[tuple[str, Color]]:
        """Name and colour of the things, or of the stuff."""
        return [(name, color) for name, color, isthing in self.legend if isthing == things]

    @property
    def links(self) -> list[tuple[str, str]]:
        """What is linked above the table, with its address."""
        return [(name, address(file)) for name, file in self.files.items()]
