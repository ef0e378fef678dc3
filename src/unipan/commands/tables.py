"""Scores as tables for the terminal and as JSON."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unipan.data.coco_writer import write_atomically
from unipan.metrics.bootstrap import bootstrap_pq
from unipan.metrics.panoptic_quality import GROUPS, PanopticQuality


def quality_table(quality: PanopticQuality) -> Table:
    """PQ with its 95 % interval over images, SQ, RQ and the number of classes, by group."""
    scores, intervals = quality.compute(), bootstrap_pq(quality)
    table = Table("", "PQ", "95 % interval", "SQ", "RQ", "classes")
    for group in GROUPS:
        found, interval = scores[group], intervals[group]
        if found is None or interval is None:
            table.add_row(group, "-", "-", "-", "-", "0")
            continue
        between = f"{percent(interval.low)} to {percent(interval.high)}"
        table.add_row(group, percent(found.pq), between, percent(found.sq), percent(found.rq), str(found.n))
    return table


def print_scores(quality: PanopticQuality, title: str, lines: list[str]) -> None:
    """A title, the table and some lines below it, on standard output."""
    console = Console()
    console.print(title, highlight=False, soft_wrap=True)
    console.print(quality_table(quality))
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def percent(value: Any) -> str:
    """A fraction as the field writes it; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file, whole or not at all."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
