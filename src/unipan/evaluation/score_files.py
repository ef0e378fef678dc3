"""The files that `unipan pq` reads and writes, looked at and claimed before anything is scored."""

from collections.abc import Sequence
from pathlib import Path

from unipan.evaluation.per_image import csv_header
from unipan.evaluation.photographs import photograph_folders
from unipan.files import no_file_words
from unipan.outputs import Outputs, written_names

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


def photographs_read(truth: Path, given: Path | None, page: Path | None) -> list[Path]:
    """The folders that the photographs of a page may come from; none without a page."""
    if page is None or given is not None:
        return [] if given is None else [given]
    return [folder for folder in photograph_folders(truth) if not written_names(folder)]


def score_json(path: Path) -> Path:
    """The JSON that `unipan pq` was given, maybe by its folder. Raises FileNotFoundError where there is none."""
    found = path / "panoptic.json" if path.is_dir() else path
    if not found.is_file():
        words = no_file_words(found)
        raise FileNotFoundError(f"{found}: {words}; give a COCO panoptic JSON or a folder with panoptic.json")
    return found


def png_folders(
    json_files: Sequence[Path], of_truth: Path | None, of_predictions: Path | None, predictions: int
) -> list[Path]:
    """The folder of PNGs of each JSON: the one given for it, or its path without .json.

    Args:
        json_files: the truth, then the predictions, then others.
        of_truth, of_predictions: what was given.
        predictions: how many of the JSONs they are.

    Raises:
        ValueError: one folder for several JSONs of predictions.
    """
    if of_predictions is not None and predictions > 1:
        raise ValueError(
            f"--pred-folder {of_predictions}: it is for one PREDICTIONS.json; the PNGs of several are expected in "
            "their paths without .json"
        )
    given = (of_truth, of_predictions, *[None] * len(json_files))
    return [folder or path.with_suffix("") for path, folder in zip(json_files, given, strict=False)]
