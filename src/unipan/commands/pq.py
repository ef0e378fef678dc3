"""`unipan pq GT.json PREDICTIONS.json`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Flag, JsonFile, OptionalFile, OptionalFolder

if TYPE_CHECKING:
    from unipan.evaluation.extra_metrics import BesidePQ
    from unipan.evaluation.folder_quality import FolderScores, Problem
    from unipan.evaluation.folders import PanopticFolders
    from unipan.evaluation.panoptic_quality import PanopticQuality
    from unipan.evaluation.trimming import TrimEffect

Result = TypeVar("Result")
LISTED = 10
"""Faults that are spelt out; the rest is counted."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    return tyro.cli(pq, prog="unipan pq", args=arguments)


def pq(
    truth: Annotated[Positional[Path], arg(metavar="GT.json")],
    predictions: Annotated[Positional[Path], arg(metavar="PREDICTIONS.json")],
    /,
    *,
    gt_folder: OptionalFolder = None,
    pred_folder: OptionalFolder = None,
    json_file: JsonFile = None,
    csv_file: Annotated[OptionalFile, arg(name="csv")] = None,
    html: OptionalFolder = None,
    explain: Flag = False,
    trim_stuff: Annotated[int | None, arg(metavar="AREA", help_behavior_hint="")] = None,
    versus: OptionalFile = None,
    lenient: Flag = False,
    threads: Annotated[int, arg(metavar="N")] = 0,
) -> int:
    """Panoptic quality of predictions in COCO panoptic format, images matched by id.

    Args:
        truth: the ground truth's JSON, or a folder that holds panoptic.json.
        predictions: the predictions' JSON, or such a folder, as `unipan predict --like GT.json` writes it.
        gt_folder: PNGs of the truth; by default the JSON's path without .json.
        pred_folder: PNGs of the predictions; by default the JSON's path without .json.
        json_file: write {"official", "strict"} here, as fractions, and what the other options add.
        csv_file: write the PQ of every image here, worst first.
        html: write a page here: what errors cost, classes, confusion, the worst images. It opens offline.
        explain: also boundary PQ, PQ-dagger, parsing covering, IoU, and the PQ that each kind of error costs.
        trim_stuff: also the PQ without stuff segments of fewer pixels (the paper's Table I; 4096 on COCO).
        versus: another prediction's JSON (PNGs in its path without .json): the difference on the same images.
        lenient: go on where files disagree: ids that a JSON does not declare are void, segments without pixels are
            ignored, a missing prediction is an empty map.
        threads: how many at once; 0 takes all cores.
    """
    from unipan.commands.tables import print_scores
    from unipan.evaluation.folders import PanopticFolders

    truth, predictions, versus = _json_of(truth), _json_of(predictions), versus and _json_of(versus)
    _look_beforehand([truth, predictions, versus], json_file, csv_file, html)
    if (trim_stuff or 0) < 0 or threads < 0:
        raise ValueError("--trim-stuff and --threads: give 0 or more")
    folders = PanopticFolders(truth, predictions, gt_folder, pred_folder)
    quality = _score(folders, lenient, threads)
    other = None if versus is None else _score(PanopticFolders(truth, versus, gt_folder), lenient, threads)
    if quality is None or (versus is not None and other is None):
        return 1
    content, lines = quality.to_json(), []
    if other is not None:
        lines += _difference(quality, other, f"{predictions} - {versus}", content)
    title = f"{predictions} against {truth}"
    if explain or html is not None or trim_stuff is not None:
        beside, trimmed = _look_again(folders, quality, trim_stuff, threads)
        lines += [] if trimmed is None else _trimming(trimmed, content)
        lines += _explanation(beside, content) if explain else []
        lines += [] if html is None else [f"page: {_write_page(html, title, folders, quality, beside)}"]
    print_scores(quality, f"{title}, {len(folders)} images; percent", lines)
    _write_files(json_file, content, csv_file, quality)
    return 0


def _json_of(path: Path) -> Path:
    """The JSON of a dataset's folder; any other path as it is."""
    return path / "panoptic.json" if path.is_dir() else path


def _look_beforehand(
    inputs: Sequence[Path | None], json_file: Path | None, csv_file: Path | None, html: Path | None
) -> None:
    """What cannot work is said before the work, and nothing that is read may be written."""
    from unipan.files import require_file

    page = None if html is None else html / "index.html"
    for path, option in ((json_file, "--json"), (csv_file, "--csv"), (page, "--html")):
        if path is None:
            continue
        require_file(path, option)
        if any(given is not None and path.exists() and given.exists() and path.samefile(given) for given in inputs):
            raise ValueError(f"{option} {path}: that file is read here and would be lost; give another name")


def _score(folders: "PanopticFolders", lenient: bool, threads: int) -> "PanopticQuality | None":
    """PQ of one prediction, or None after its faults were told."""
    from unipan.evaluation.folder_quality import score_folders

    if len(folders) == 0:
        raise ValueError(f"{folders.truth.source}: it has no annotations; nothing can be scored")
    found = _with_bar("comparing", len(folders), lambda each: score_folders(folders, lenient, threads or None, each))
    return found.quality if report(found, lenient) else None


def _look_again(
    folders: "PanopticFolders", quality: "PanopticQuality", trim: int | None, threads: int
) -> "tuple[BesidePQ, TrimEffect | None]":
    from unipan.evaluation.explain import explain_folders

    names = quality.names
    return _with_bar(
        "explaining", len(names), lambda each: explain_folders(folders, names, trim, threads or None, each)
    )


def _with_bar(what: str, total: int, work: Callable[[Callable[[], None]], Result]) -> Result:
    """Show a bar on a terminal while work goes on; `work` is given what it calls after each image."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        return work(lambda: progress.advance(task))


def _difference(one: "PanopticQuality", other: "PanopticQuality", what: str, content: dict[str, Any]) -> list[str]:
    """PQ of one minus PQ of the other, paired over the images; `content` gets it too."""
    from unipan.evaluation.bootstrap import paired_bootstrap_pq

    found = paired_bootstrap_pq(one, other)
    content["difference"] = {group: None if each is None else vars(each) for group, each in found.items()}
    lines = [f"{what}, paired over the images (95 % interval):"]
    for group, each in found.items():
        if each is not None:
            value, low, high = (100 * v for v in (each.value, each.low, each.high))
            clear = "clear of zero" if each.excludes_zero else "not clear of zero"
            lines.append(f"  {group}: PQ {value:+.1f} ({low:+.1f} to {high:+.1f}), {clear}")
    return lines


def _explanation(beside: "BesidePQ", content: dict[str, Any]) -> list[str]:
    """What stands beside PQ, and what the errors cost; `content` gets it too."""
    content["beside"] = beside.to_json()
    return [*beside.describe(), *beside.describe_errors()]


def _trimming(found: "TrimEffect", content: dict[str, Any]) -> list[str]:
    """Stuff before and after trimming; `content` gets it too."""
    from unipan.commands.tables import percent

    table = content["trim_stuff"] = {"area": found.area, **found.compute()}
    lines = [f"stuff, without and with segments below {found.area} pixels trimmed (never in inference):"]
    for key, name in (("pq", "PQ"), ("sq", "SQ"), ("rq", "RQ"), ("iou", "IoU")):
        lines.append(f"  {name}: {percent(table['untrimmed'][key])}, trimmed {percent(table['trimmed'][key])}")
    return lines


def _write_files(
    json_file: Path | None, content: dict[str, Any], csv_file: Path | None, quality: "PanopticQuality"
) -> None:
    from unipan.commands.tables import write_json
    from unipan.evaluation.per_image import image_scores, to_csv
    from unipan.files import write_atomically

    if json_file is not None:
        write_json(json_file, content)
    if csv_file is not None:
        write_atomically(csv_file, to_csv(image_scores(quality)).encode())


def _write_page(
    folder: Path, title: str, folders: "PanopticFolders", quality: "PanopticQuality", beside: "BesidePQ"
) -> Path:
    from unipan.evaluation.report import write_evaluation

    index = {name: position for position, name in enumerate(folders.names)}
    return write_evaluation(folder, title, quality, beside, lambda name: folders.maps(index[name]))


def report(found: "FolderScores", lenient: bool) -> bool:
    """Tell on standard error what is wrong with the files; whether scores may be shown all the same."""
    wrong = [problem for problem in found.problems if not (lenient and problem.pardonable)]
    cure = "mend the files (`unipan data check`), or score them all the same with --lenient"
    curable = bool(wrong) and not lenient and all(problem.pardonable for problem in wrong)
    if curable and len(wrong) == 1:
        print(f"unipan: {' '.join(wrong[0].text.split())}; {cure}", file=sys.stderr)
        return False
    _print(wrong or found.problems, "" if wrong else "lenient: ")
    if curable:
        print(f"unipan: {cure}", file=sys.stderr)
    return not wrong


def _print(problems: "Sequence[Problem]", prefix: str) -> None:
    for problem in problems[:LISTED]:
        print(f"unipan: {prefix}{' '.join(problem.text.split())}", file=sys.stderr)
    if len(problems) > LISTED:
        count = sum(problem.count for problem in problems)
        print(f"unipan: {prefix}and {len(problems) - LISTED} more such lines, {count} faults in all", file=sys.stderr)
