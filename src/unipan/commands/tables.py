"""Scores as tables for the terminal and as JSON."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unipan.metrics.bootstrap import METRICS, bootstrap_quality
from unipan.metrics.panoptic_quality import GROUPS, PanopticQuality
from unipan.ops.files import write_atomically


def quality_table(quality: PanopticQuality) -> Table:
    """PQ, SQ and RQ with their 95 % intervals over images, and the number of classes, by group."""
    scores, intervals = quality.compute(), bootstrap_quality(quality)
    table = Table("", *(metric.upper() for metric in METRICS), "classes", caption="in brackets: 95 % intervals")
    for group in GROUPS:
        found, each = scores[group], intervals[group]
        if found is None or each is None:
            table.add_row(group, *["-"] * len(METRICS), "0")
            continue
        table.add_row(group, *(str(each[metric]) for metric in METRICS), str(found.n))
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
