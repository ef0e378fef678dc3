"""PQ and what comes with it as text for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unipan.evaluation.bootstrap import METRICS, Intervals, paired_bootstrap_pq
from unipan.evaluation.extra_metrics import ExtraMetric
from unipan.evaluation.folder_quality import Problem
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS, percent

_LISTED_PROBLEMS = 10
"""How many problems are listed; the others are counted."""


def summarize(quality: PanopticQuality, intervals: Intervals) -> list[str]:
    """Strict PQ, SQ and RQ with their intervals (of `bootstrap_quality`), the official figures, and PQ by size."""
    return [
        *_aligned(_score_rows(quality, intervals)),
        "in brackets: 95 % intervals",
        size_line(quality),
        official_line(quality),
    ]


def _score_rows(quality: PanopticQuality, intervals: Intervals) -> list[list[str]]:
    scores, official = quality.compute(), quality.official()
    rows = [["", *(metric.upper() for metric in METRICS), "classes"]]
    for group in GROUPS:
        found, each = scores[group], intervals[group]
        figures = ["-"] * len(METRICS) if each is None else [str(each[metric]) for metric in METRICS]
        rows.append([group, *figures, str(found.n if found else 0)])
    if official is not None and official != scores:
        for group in GROUPS:
            other = official[group]
            figures = ["-"] * len(METRICS) if other is None else [percent(getattr(other, key)) for key in METRICS]
            rows.append([f"{group}, official", *figures, str(other.n if other else 0)])
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose columns are as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def size_line(quality: PanopticQuality) -> str:
    """PQ by the size of the segments."""
    found = {size: scores["All"] for size, scores in quality.by_size().items()}
    figures = (
        f"{size} {percent(each.pq if each else None)} ({each.n if each else 0} classes)" for size, each in found.items()
    )
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
        f"official (panopticapi) counts {count} image{'s' * (count != 1)} differently: it trusts the areas in the "
        "ground truth's JSON and knows one crowd per class"
    )


@dataclass(frozen=True)
class OtherPrediction:
    """What a prediction is compared with: its name, and PQ on the same images."""

    name: str
    quality: PanopticQuality


def content_and_lines(
    quality: PanopticQuality,
    name: object,
    other: OtherPrediction | None,
    metrics: dict[str, ExtraMetric],
    explain: bool,
) -> tuple[dict[str, Any], list[str]]:
    """All scores for a JSON, and what stands on the terminal below PQ.

    Args:
        quality: of the prediction.
        name: of the prediction.
        other: that it is compared with.
        metrics: those of `extra_metrics`; "trim_stuff" is taken out.
        explain: whether the others are shown.
    """
    content, lines = quality.to_json(), list[str]()
    if other is not None:
        content["difference"], lines = paired_difference(quality, other.quality, f"{name} - {other.name}")
    if (trimmed := metrics.pop("trim_stuff", None)) is not None:
        content["trim_stuff"] = trimmed.to_json()
        lines += trimmed.lines()
    if explain:
        content["extra_metrics"] = {name: metric.to_json() for name, metric in metrics.items()}
        lines += [line for metric in metrics.values() for line in metric.lines()]
    return content, lines


def paired_difference(
    quality: PanopticQuality, other: PanopticQuality, what: str
) -> tuple[dict[str, dict[str, float] | None], list[str]]:
    """PQ of one prediction minus that of another (`paired_bootstrap_pq`), for a JSON and as lines for the terminal."""
    found = paired_bootstrap_pq(quality, other)
    lines = [f"{what}, paired over the images (95 % interval):"]
    for group, each in found.items():
        if each is not None:
            value, low, high = (100 * v for v in (each.value, each.low, each.high))
            clear = "clear of zero" if each.excludes_zero else "not clear of zero"
            lines.append(f"  {group}: PQ {value:+.1f} ({low:+.1f} to {high:+.1f}), {clear}")
    return {group: None if each is None else vars(each) for group, each in found.items()}, lines


def problem_lines(problems: Sequence[Problem], lenient: bool) -> list[str]:
    """What is wrong with the files: what forbids a score or, where nothing does, what --lenient ignored."""
    wrong = [problem for problem in problems if not (lenient and problem.pardonable)]
    shown, prefix = wrong or list(problems), "" if wrong else "lenient: "
    lines = [f"{prefix}{' '.join(problem.text.split())}" for problem in shown[:_LISTED_PROBLEMS]]
    if len(shown) > _LISTED_PROBLEMS:
        count = sum(problem.count for problem in shown)
        lines.append(f"{prefix}and {len(shown) - _LISTED_PROBLEMS} more such lines, {count} faults in all")
    if wrong and not lenient and all(problem.pardonable for problem in wrong):
        remedy = "fix the files (`unipan data check` helps), or score them as they are with --lenient"
        lines = [f"{lines[0]}; {remedy}"] if len(lines) == 1 else [*lines, remedy]
    return lines
