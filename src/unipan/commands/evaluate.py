"""`unipan evaluate CHECKPOINT DATA`."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Checkpoint, Device, Flag, FusionChoice, JsonFile

if TYPE_CHECKING:
    from unipan.datasets.panoptic_data import PanopticData
    from unipan.inference import Segmenter


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    tyro.cli(evaluate, prog="unipan evaluate", args=arguments)
    return 0


def evaluate(
    checkpoint: Checkpoint,
    data: Annotated[Positional[str], arg(metavar="DATA")] = "scenes",
    /,
    *,
    fusion: FusionChoice = None,
    json_file: JsonFile = None,
    limit: Annotated[int, arg(metavar="N")] = 0,
    detections: Annotated[int, arg(metavar="N")] = 100,
    oracles: Flag = False,
    device: Device = "auto",
) -> None:
    """Score a checkpoint on a dataset: PQ, SQ, RQ with intervals, mean IoU, AP, things and stuff confused by V.

    Args:
        checkpoint: see `options.Checkpoint`.
        data: a folder with images/, panoptic/ and panoptic.json; or `scenes`, which is 200 held-out ones (seeds
            1000000..1000199); or `scenes:FIRST-LAST`.
        fusion: see `options.FusionChoice`.
        json_file: write {"official", "strict", "ap", "iou", "thing_stuff"} here, as fractions.
        limit: only the first so many images; 0 takes all.
        detections: AP counts at most so many an image and class.
        oracles: also PQ with perfect boxes, semantics, potential or P: which part of the model is to blame?
        device: see `options.Device`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from unipan.analysis.evaluate import evaluate as score
    from unipan.commands.tables import print_scores, write_json
    from unipan.datasets.sources import open_data
    from unipan.files import require_file
    from unipan.inference import open_segmenter

    if json_file is not None:
        require_file(json_file, "--json")
    segmenter = open_segmenter(checkpoint, device)
    images, note = open_data(data)
    chosen = range(min(limit, len(images)) if limit > 0 else len(images))
    fusion = fusion or segmenter.config.inference.fusion
    counted = detections if find_spec("faster_coco_eval") is not None else None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluating", total=len(chosen))
        found = score(segmenter, images, [fusion], chosen, counted, lambda *_: progress.advance(task))
    scores = found.to_json(fusion)
    first = f", the first {len(chosen)}" if len(chosen) < len(images) else ""
    title = f"{checkpoint}, fusion {fusion}, on {note}{first}; percent"
    lines = [describe(scores), describe_confusion(scores)]
    if oracles:
        lines += _swap(segmenter, images, chosen, scores)
    print_scores(found.quality[fusion], title, lines)
    if json_file is not None:
        write_json(json_file, scores)


def _swap(segmenter: "Segmenter", images: "PanopticData", chosen: range, content: dict[str, Any]) -> list[str]:
    """PQ with one part swapped for the truth, in words; `content` gets it too."""
    from rich.console import Console
    from rich.progress import Progress

    from unipan.analysis.oracles import describe_oracles, oracle_swaps

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("swapping parts for the truth", total=len(chosen))
        found = oracle_swaps(segmenter, images, chosen, lambda _: progress.advance(task))
    content["oracles"] = {swap: quality.to_json()["strict"] for swap, quality in found.items()}
    return ["argmax of P with one part swapped for the truth:", *(f"  {line}" for line in describe_oracles(found))]


def describe(scores: dict[str, Any]) -> str:
    """IoU and AP as one line below the table."""
    from unipan.evaluation.pq_scores import percent

    iou, ap = scores["iou"], scores["ap"]
    line = f"mean IoU: {percent(iou['panoptic']['mean'])} of the map, {percent(iou['semantic']['mean'])} of V alone; "
    if ap is None:
        return line + 'no AP without faster-coco-eval (pip install "unipan[eval]")'
    return line + f"AP: boxes {percent(ap['box'])}, masks {percent(ap['mask'])}"


def describe_confusion(scores: dict[str, Any]) -> str:
    """Table G as one line below the table: which share of the truth's pixels V takes for what."""
    from unipan.evaluation.pq_scores import percent

    parts = [
        f"of {side} {percent(shares['things'])} as things, {percent(shares['stuff'])} as stuff"
        for side, shares in scores["thing_stuff"].items()
    ]
    return f"things and stuff confused by V (Table G): {'; '.join(parts)}"
