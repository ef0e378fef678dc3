"""`unipan evaluate CHECKPOINT DATA`."""

from importlib.util import find_spec
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import Checkpoint, Device, FusionChoice, JsonFile


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    tyro.cli(evaluate, prog="unipan evaluate", args=arguments)
    return 0


def evaluate(
    checkpoint: Checkpoint,
    data: Annotated[Positional[str], arg(metavar="DATA")] = "scenes",
    /,
    fusion: FusionChoice = None,
    json_file: JsonFile = None,
    limit: Annotated[int, arg(metavar="N")] = 0,
    device: Device = "cpu",
) -> None:
    """Score a checkpoint on a dataset: PQ, SQ, RQ with intervals, mean IoU, AP.

    Args:
        checkpoint: see `options.Checkpoint`.
        data: a folder with images/, panoptic/ and panoptic.json; or `scenes`, which is 200 held-out ones (seeds
            1000000..1000199); or `scenes:FIRST-LAST`.
        fusion: see `options.FusionChoice`.
        json_file: write {"official", "strict", "ap", "iou"} here, as fractions.
        limit: only the first so many images; 0 takes all.
        device: see `options.Device`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from unipan.commands.sources import open_data, open_segmenter
    from unipan.commands.tables import print_scores, write_json
    from unipan.engine.evaluate import evaluate as score
    from unipan.ops.files import require_file

    if json_file is not None:
        require_file(json_file, "--json")
    segmenter = open_segmenter(checkpoint, device)
    images, note = open_data(data)
    chosen = range(min(limit, len(images)) if limit > 0 else len(images))
    fusion = fusion or segmenter.config.inference.fusion
    with_ap = find_spec("faster_coco_eval") is not None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluating", total=len(chosen))
        found = score(segmenter, images, [fusion], chosen, with_ap, lambda *_: progress.advance(task))
    scores = found.to_json(fusion)
    first = f", the first {len(chosen)}" if len(chosen) < len(images) else ""
    title = f"{checkpoint}, fusion {fusion}, on {note}{first}; percent"
    print_scores(found.quality[fusion], title, [describe(scores)])
    if json_file is not None:
        write_json(json_file, scores)


def describe(scores: dict[str, Any]) -> str:
    """IoU and AP as one line below the table."""
    from unipan.commands.tables import percent

    iou, ap = scores["iou"], scores["ap"]
    line = f"mean IoU: {percent(iou['panoptic']['mean'])} of the map, {percent(iou['semantic']['mean'])} of V alone; "
    if ap is None:
        return line + 'no AP without faster-coco-eval (pip install "unipan[eval]")'
    return line + f"AP: boxes {percent(ap['box'])}, masks {percent(ap['mask'])}"
