"""Scores on the terminal."""

from unipan.evaluation.bootstrap import Intervals
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.summary import summarize
from unipan.terminal import tell


def print_scores(quality: PanopticQuality, intervals: Intervals, title: str, lines: list[str]) -> None:
    """A title, the table and some lines below it, on standard output."""
    tell("\n".join([title, *summarize(quality, intervals), *lines]))
