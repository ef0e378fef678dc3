"""`unipan pq GT.json PREDICTIONS.json`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Flag, JsonFile, OptionalFolder

if TYPE_CHECKING:
    from unipan.engine.folder_quality import FolderScores, Problem

LISTED = 10
"""Faults that are spelt out; the rest is counted."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    return tyro.cli(pq, prog="unipan pq", args=arguments)


def pq(
    truth: Annotated[Positional[Path], arg(metavar="GT.json")],
    predictions: Annotated[Positional[Path], arg(metavar="PREDICTIONS.json")],
    /,
    gt_folder: OptionalFolder = None,
    pred_folder: OptionalFolder = None,
    json_file: JsonFile = None,
    lenient: Flag = False,
    threads: Annotated[int, arg(metavar="N")] = 0,
) -> int:
    """Panoptic quality of predictions in COCO panoptic format, images matched by id.

    Args:
        truth: the ground truth's JSON.
        predictions: the predictions' JSON, as `unipan predict --like GT.json` writes it.
        gt_folder: PNGs of the truth; by default the JSON's path without .json.
        pred_folder: PNGs of the predictions; by default the JSON's path without .json.
        json_file: write {"official", "strict"} here, as fractions.
        lenient: go on where files disagree: ids that a JSON does not declare are void, segments without pixels are
            ignored, a missing prediction is an empty map.
        threads: how many at once; 0 takes all cores.
    """
    from rich.console import Console
    from rich.progress import Progress

    from unipan.commands.tables import print_scores, write_json
    from unipan.engine.folder_quality import score_folders
    from unipan.engine.folders import PanopticFolders
    from unipan.ops.files import require_file

    if json_file is not None:
        require_file(json_file, "--json")
    folders = PanopticFolders(truth, predictions, gt_folder, pred_folder)
    if len(folders) == 0:
        raise ValueError(f"{truth}: it has no annotations; nothing can be scored")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=len(folders))
        found = score_folders(folders, lenient, threads or None, lambda: progress.advance(task))
    if not report(found, lenient):
        return 1
    print_scores(found.quality, f"{predictions} against {truth}, {len(folders)} images; percent", [])
    if json_file is not None:
        write_json(json_file, found.quality.to_json())
    return 0


def report(found: "FolderScores", lenient: bool) -> bool:
    """Tell on standard error what is wrong with the files; whether scores may be shown all the same."""
    wrong = [problem for problem in found.problems if not (lenient and problem.pardonable)]
    _print(wrong or found.problems, "" if wrong else "lenient: ")
    if wrong and not lenient and all(problem.pardonable for problem in wrong) and len(wrong) > 1:
        print("unipan: --lenient scores such files all the same", file=sys.stderr)
    return not wrong


def _print(problems: "Sequence[Problem]", prefix: str) -> None:
    for problem in problems[:LISTED]:
        print(f"unipan: {prefix}{' '.join(problem.text.split())}", file=sys.stderr)
    if len(problems) > LISTED:
        count = sum(problem.count for problem in problems)
        print(f"unipan: {prefix}and {len(problems) - LISTED} more such lines, {count} faults in all", file=sys.stderr)
