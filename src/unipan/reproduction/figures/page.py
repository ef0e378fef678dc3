"""The files of `unipan figures`: a picture for each figure and a page with their captions."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from unipan import __version__
from unipan.files import write_atomically
from unipan.outputs import signature
from unipan.panoptic.categories import Categories
from unipan.reproduction.figures.draw import FigureSheet
from unipan.reproduction.figures.names import figure_file
from unipan.visualization.pages import FigureEntry, FiguresPage, write_page

JPEG_QUALITY = 75
METHOD = (
    "No example was picked by hand. Each image was measured against its truth, and the figures show the images with "
    "the largest effect: gains only, except for Figure K, which shows losses too. The counts stand below each picture. "
    "A pixel of an object is right if it lies in the predicted segment of the object’s class that shares most pixels "
    "with the object."
)


@dataclass(frozen=True)
class FigureFolder:
    """Where the figures go, as PNG or as the smaller JPEG."""

    path: Path
    jpeg: bool

    def name(self, sheet: FigureSheet) -> str:
        """File name of a figure's picture."""
        return figure_file(sheet.plan.number, self.jpeg)

    def write(self, sheets: Sequence[FigureSheet]) -> list[Path]:
        """Write the figures' pictures, once all of them are made; returns their paths."""
        pictures = {self.path / self.name(sheet): self._picture(sheet) for sheet in sheets}
        for path, content in pictures.items():
            write_atomically(path, content)
        return list(pictures)

    def _picture(self, sheet: FigureSheet) -> bytes:
        buffer, picture, by = io.BytesIO(), Image.fromarray(sheet.picture), signature("figures")
        if self.jpeg:
            picture.save(buffer, "JPEG", optimize=True, quality=JPEG_QUALITY, progressive=True, comment=by)
        else:
            information = PngInfo()
            information.add_text("Software", by)
            picture.save(buffer, "PNG", optimize=True, pnginfo=information)
        return buffer.getvalue()

    def write_page(
        self, sheets: Sequence[FigureSheet], left_out: Sequence[str], subject: str, categories: Categories
    ) -> Path:
        """Write index.html: every figure with its caption, what was left out and why; returns its path."""
        page = FiguresPage(
            title="The paper’s figures, from this checkpoint",
            kicker="unipan figures",
            verb="figures",
            lead=(f"Drawn from {subject}. The figures have the paper’s numbers and show the same things.", METHOD),
            left_out=left_out,
            figures=[self._entry(sheet) for sheet in sheets],
            legend=[(category.name, category.color) for category in categories],
            colophon=(
                f"Written by unipan {__version__}. The page needs nothing but the pictures next to it. After Q. Li, X. "
                "Qi, P. H. S. Torr, Unifying Training and Inference for Panoptic Segmentation, CVPR 2020."
            ),
        )
        path = self.path / "index.html"
        write_page(path, page)
        return path

    def _entry(self, sheet: FigureSheet) -> FigureEntry:
        plan, (height, width) = sheet.plan, sheet.picture.shape[:2]
        rows = [(example.name, example.words.replace("Psi", "Ψ")) for example in sheet.examples]
        return FigureEntry(plan.number, plan.section, plan.title, plan.text, self.name(sheet), (width, height), rows)
