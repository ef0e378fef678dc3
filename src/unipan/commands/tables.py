"""Scores on the terminal and in JSON files."""

import json
from pathlib import Path
from typing import Any

from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.summary import summarize
from unipan.files import write_atomically


def print_scores(quality: PanopticQuality, title: str, lines: list[str]) -> None:
    """A title, the table and some lines below it, on standard output."""
    print("\n".join([title, *summarize(quality), *lines]))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file, whole or not at all."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
