"""Scores as tables for the terminal and as JSON."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unipan.evaluation.bootstrap import METRICS, bootstrap_quality
from unipan.evaluation.panoptic_quality import GROUPS, PanopticQuality
from unipan.files import write_atomically


def quality_table(quality: PanopticQuality) -> Table:
    """Strict PQ, SQ and RQ with their 95 % intervals over images, and the number of classes, by group.

    Below them the official figures, where they are others.
    """
    scores, intervals = quality.compute(), bootstrap_quality(quality)
    table = Table("", *(metric.upper() for metric in METRICS), "classes", caption="in brackets: 95 % intervals")
    for group in GROUPS:
        found, each = scores[group], intervals[group]
        if found is None or each is None:
            table.add_row(group, *["-"] * len(METRICS), "0")
            continue
        table.add_row(group, *(str(each[metric]) for metric in METRICS), str(found.n))
    official = quality.official()
    if official is not None and official != scores:
        table.add_section()
        for group in GROUPS:
            other = official[group]
            figures = ["-"] * len(METRICS) if other is None else [percent(getattr(other, key)) for key in METRICS]
            table.add_row(f"{group}, official", *figures, str(other.n if other else 0))
    return table


def size_line(quality: PanopticQuality) -> str:
    """PQ by the size of the segments, in one line."""
    found = {size: scores["All"] for size, scores in quality.by_size().items()}
    figures = (f"{size} {percent(each and each.pq)} ({each.n if each else 0} classes)" for size, each in found.items())
    return "PQ by size (below 32^2 pixels, below 96^2, larger): " + ", ".join(figures)


def official_line(quality: PanopticQuality) -> str:
    """How the official figure relates to the strict one."""
    reason = quality.official_reason
    if reason is not None:
        return f"official: panopticapi raises: {reason}"
    if quality.official() == quality.compute():
        return "official (panopticapi): the same"
    count = len(quality.official_counts)
    return (
        f"official (panopticapi) counts {count} image{'s' * (count != 1)} otherwise: it trusts the areas of the "
        "truth's JSON and knows one crowd per class"
    )


def print_scores(quality: PanopticQuality, title: str, lines: list[str]) -> None:
    """A title, the table and some lines below it, on standard output."""
    console = Console()
    console.print(title, highlight=False, soft_wrap=True)
    console.print(quality_table(quality))
    for line in [size_line(quality), official_line(quality), *lines]:
        console.print(line, highlight=False, soft_wrap=True)


def percent(value: Any) -> str:
    """A fraction as the field writes it; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file, whole or not at all."""
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
