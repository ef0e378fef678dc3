"""`unipan pq GT.json PREDICTIONS.json`; read by argparse, as importing tyro takes as long as scoring twenty images."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unipan.commands.json_output import json_output, with_json_target
from unipan.commands.progress import progress_bar
from unipan.config_values import AMOUNT, COUNT_OR_NONE, check_value
from unipan.evaluation.score_files import claim_score_files, photographs_read, png_folders, score_json
from unipan.outputs import Outputs
from unipan.processes import keep_freed_memory
from unipan.terminal import tell

if TYPE_CHECKING:
    from unipan.evaluation.extra_metrics import ExtraMetric
    from unipan.evaluation.folder_quality import FolderScores
    from unipan.evaluation.folders import PanopticFolders


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: object = None) -> None:  # noqa: ARG002  argparse's own passes over what it cannot write
        tell(self.format_help().rstrip("\n"))


def _parser() -> argparse.ArgumentParser:
    about = "Panoptic quality of predictions in COCO panoptic format, images matched by id."
    parser = _Parser(prog="unipan pq", description=about, allow_abbrev=False)  # who looks for --json would miss --js
    for name, metavar, text in (
        ("truth", "GT.json", "The ground truth, or a folder with panoptic.json."),
        ("predictions", "PREDICTIONS.json", "The predictions, or such a folder; several if each has some images."),
        ("--gt-folder", "DIR", "PNGs of the ground truth; by default the JSON's path without .json."),
        ("--pred-folder", "DIR", "PNGs of the predictions; by default the JSON's path without .json."),
        ("--json", "[FILE]", "Write the scores as fractions, to FILE or standard output (keys: docs/evaluation.md)."),
        ("--csv", "FILE", "Write the PQ of every image here, worst first."),
        ("--html", "DIR", "Write a page here, with the worst images, the cost of errors, classes and confusion."),
        ("--images", "DIR", "Photographs for the page; by default those beside the ground truth."),
        ("--versus", "FILE", "The JSON of another prediction: print the difference in PQ on the same images."),
    ):
        parser.add_argument(name, type=Path, metavar=metavar, help=text, nargs="+" if name == "predictions" else None)
    trim = "Also print the PQ without stuff segments of fewer pixels (Table I: 4096 on COCO)."
    parser.add_argument("--trim-stuff", type=int, metavar="AREA", help=trim)
    parser.add_argument("--threads", type=int, metavar="N", help="Images compared at once; by default one per core.")
    for name, text in (
        ("--overwrite", "Also replace files that unipan did not write; what is read is never replaced."),
        ("--explain", "Also print boundary PQ, PQ-dagger, parsing covering, IoU, and what each kind of error costs."),
        ("--lenient", "Accept inconsistent files: ids that a JSON does not declare are void, segments without pixels "
         "do not count, a missing prediction is an empty map."),
    ):  # fmt: skip
        parser.add_argument(name, action="store_true", help=text)
    return parser


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    with json_output(given := with_json_target(arguments)) as write:
        return _score_and_show(_checked(_parser().parse_args(given)), write)


def _checked(options: argparse.Namespace) -> argparse.Namespace:
    # Whatever cannot work is reported before anything slow is imported.
    options.truth, *options.predictions = map(score_json, (options.truth, *options.predictions))
    options.versus = None if options.versus is None else score_json(options.versus)
    inputs = [path for path in (options.truth, *options.predictions, options.versus) if path is not None]
    folders = png_folders(inputs, options.gt_folder, options.pred_folder, len(options.predictions))
    read = [*inputs, *folders, *photographs_read(options.truth, options.images, options.html)]
    claim_score_files(Outputs("pq", read, options.overwrite), options.json, options.csv, options.html, options.images)
    check_value("--trim-stuff", options.trim_stuff or 0, int, AMOUNT)
    check_value("--threads", options.threads or 0, int, COUNT_OR_NONE)
    return options


def _score_and_show(options: argparse.Namespace, write: Callable[[dict[str, Any]], object]) -> int:
    from unipan.commands.tables import print_scores
    from unipan.evaluation.bootstrap import bootstrap_quality
    from unipan.evaluation.extra_metrics import extra_metrics
    from unipan.evaluation.folders import PanopticFolders
    from unipan.evaluation.per_image import image_scores, to_csv
    from unipan.evaluation.photographs import find_photographs
    from unipan.evaluation.summary import OtherPrediction, content_and_lines
    from unipan.files import write_atomically

    keep_freed_memory()
    truth, versus, predictions = options.truth, options.versus, ", ".join(map(str, options.predictions))
    folders = PanopticFolders(truth, options.predictions, options.gt_folder, options.pred_folder)
    photos = None if options.html is None else find_photographs(truth, options.images, folders.image_files)
    extra = extra_metrics(folders.categories, options.explain, options.html is not None, options.trim_stuff)
    found = _score(folders, options, list(extra.values()))
    other = None if versus is None else _score(PanopticFolders(truth, versus, options.gt_folder), options)
    if found is None or (versus is not None and other is None):
        return 1
    quality, metrics = found.quality, dict(zip(extra, found.extra, strict=True))
    rival = None if other is None else OtherPrediction(str(versus), other.quality)
    content, lines = content_and_lines(quality, predictions, rival, metrics, options.explain)
    title, intervals = f"{predictions} against {truth}", bootstrap_quality(quality)
    if options.html is not None:
        from unipan.evaluation.report import PageSource, write_evaluation

        source = PageSource(folders.read_named, photos)
        lines.append(f"page: {write_evaluation(options.html, title, quality, intervals, metrics, source, rival)}")
    print_scores(quality, intervals, f"{title}, {len(folders)} image{'s' * (len(folders) != 1)}; percent", lines)
    if options.csv is not None:
        write_atomically(options.csv, to_csv(image_scores(quality)).encode())
    write(content)
    return 0


def _score(
    folders: "PanopticFolders", options: argparse.Namespace, extra: "Sequence[ExtraMetric]" = ()
) -> "FolderScores | None":
    """Scores of one prediction, or None; what is wrong with the files goes to standard error."""
    from unipan.evaluation.folder_quality import score_folders
    from unipan.evaluation.summary import problem_lines

    with progress_bar("comparing", len(folders)) as advance:
        found = score_folders(folders, options.lenient, options.threads or None, advance, extra)
    for line in problem_lines(found.problems, options.lenient):
        tell(f"unipan: {line}", error=True)
    return found if found.usable(options.lenient) else None
