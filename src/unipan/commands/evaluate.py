"""`unipan evaluate CHECKPOINT DATA`."""

from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import (
    CheckpointChoice,
    Device,
    Flag,
    FusionChoice,
    JsonFile,
    Overwrite,
    PrecisionChoice,
    entry,
)

if TYPE_CHECKING:
    from unipan.datasets.panoptic_data import PanopticData
    from unipan.inference import Segmenter


def evaluate_checkpoint(
    checkpoint: CheckpointChoice,
    data: Annotated[Positional[str], arg(metavar="DATA")] = "scenes",
    /,
    *,
    fusion: FusionChoice = None,
    json_file: JsonFile = None,
    limit: Annotated[int, arg(metavar="N")] = 0,
    detections: Annotated[int, arg(metavar="N")] = 100,
    trim_stuff: Annotated[int, arg(metavar="AREA")] = 0,
    oracles: Flag = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: PrecisionChoice = "32",
) -> Outcome:
    """Score a checkpoint on a dataset: PQ, SQ and RQ with intervals, mean IoU, AP, and things and stuff confused by V.

    Args:
        checkpoint: see `options.CheckpointChoice`.
        data: A folder with images/, panoptic/ and panoptic.json; `scenes`, 200 held-out scenes (seeds 1000000 to
            1000199); or `scenes:FIRST-LAST`.
        fusion: see `options.FusionChoice`.
        json_file: see `options.JsonFile`.
        limit: Score only the first N images; 0 scores all.
        detections: AP counts at most N detections per image and class.
        trim_stuff: Also score without stuff segments of fewer pixels (Table I: 4096 on COCO, 2048 on Cityscapes).
        oracles: Also score with perfect boxes, semantics, potential or P, to show which part limits the model.
        overwrite: see `options.Overwrite`.
    """
    from unipan.commands.progress import progress_bar
    from unipan.commands.tables import print_scores
    from unipan.datasets.sources import open_data, paths_read
    from unipan.evaluation.score_files import SCORES_HEADER
    from unipan.files import checkpoint_path
    from unipan.outputs import Outputs

    _check_numbers(trim_stuff, limit, detections)
    reads = [checkpoint_path(checkpoint), *paths_read(data)]
    Outputs("evaluate", reads, overwrite).claim_optional(json_file, "--json", SCORES_HEADER)
    images, note = open_data(data)
    from unipan.analysis.evaluate import evaluate
    from unipan.analysis.evaluation_lines import describe
    from unipan.evaluation.bootstrap import bootstrap_quality
    from unipan.inference import open_segmenter

    segmenter = open_segmenter(checkpoint, device, precision)
    (chosen, note), fusion = _first_images(limit, len(images), note), fusion or segmenter.config.inference.fusion
    with progress_bar("evaluating", len(chosen)) as step:
        found = evaluate(segmenter, images, [fusion], chosen, detections, step, trim_stuff or None)
    lines = describe(found, scores := found.to_json(fusion))
    if oracles:
        scores["oracles"], more = _with_one_part_true(segmenter, images, chosen)
        lines += more
    quality, title = found.quality[fusion], f"{checkpoint}, fusion {fusion}, on {note}; percent"
    print_scores(quality, bootstrap_quality(quality), title, lines)
    return Outcome(scores, signed=False)


def _check_numbers(trim_stuff: int, limit: int, detections: int) -> None:
    from unipan.config_values import AMOUNT, COUNT, check_value

    check_value("--trim-stuff", trim_stuff, int, AMOUNT)
    check_value("--limit", limit, int, AMOUNT)
    check_value("--detections", detections, int, COUNT)


def _first_images(limit: int, count: int, note: str) -> tuple[range, str]:
    """Which images are scored, and the sentence about the data."""
    chosen = range(min(limit, count) if limit > 0 else count)
    return chosen, note + (f", the first {len(chosen)}" if len(chosen) < count else "")


def _with_one_part_true(
    segmenter: "Segmenter", images: "PanopticData", chosen: range
) -> tuple[dict[str, Any], list[str]]:
    """Scores with one part of the network swapped for the truth, and the lines that show them."""
    from unipan.analysis.oracles import describe_oracles, oracle_swaps
    from unipan.commands.progress import progress_bar

    with progress_bar("swapping parts for the truth", len(chosen)) as step:
        swaps = oracle_swaps(segmenter, images, chosen, step)
    lines = ["argmax of P with one part swapped for the truth:", *(f"  {row}" for row in describe_oracles(swaps))]
    return {swap: quality.to_json()["strict"] for swap, quality in swaps.items()}, lines


main = entry(evaluate_checkpoint, "evaluate")
