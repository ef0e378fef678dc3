"""The files that `unipan pq` writes, claimed before anything is scored."""

from collections.abc import Iterable
from pathlib import Path

from unipan.evaluation.per_image import csv_header
from unipan.outputs import Outputs

SCORES_HEADER = b'{\n "official": '
"""How a JSON of scores begins, that of `unipan evaluate` too."""


def claim_score_files(
    outputs: Outputs, json_file: Path | None, csv_file: Path | None, page: Path | None, images: Path | None = None
) -> None:
    """Say which of its files `unipan pq` will write; None leaves one out. `images` are photographs for the page.

    Raises:
        ValueError: one of them is an input, another of them, or a file that unipan did not write; or photographs
            without a page.
    """
    if images is not None and page is None:
        raise ValueError("--images: the photographs are for the page; give --html DIR too")
    outputs.claim_optional(json_file, "--json", SCORES_HEADER)
    if csv_file is not None:
        outputs.claim(csv_file, "--csv", csv_header())
    if page is not None:
        outputs.claim(page / "index.html", "--html")
        outputs.claim(page / "images.csv", "--html", csv_header())


def png_folders(json_files: Iterable[Path], given: Iterable[Path | None]) -> list[Path]:
    """The folder of PNGs of each JSON: the one given in its place, or its path without .json."""
    return [folder or path.with_suffix("") for path, folder in zip(json_files, given, strict=False)]
