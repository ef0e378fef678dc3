"""`unipan pq GT.json PREDICTIONS.json`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from unipan.commands.options import JsonFile, OptionalFolder

if TYPE_CHECKING:
    from unipan.data.coco import CocoPanoptic
    from unipan.metrics.panoptic_quality import PanopticQuality


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    tyro.cli(pq, prog="unipan pq", args=arguments)
    return 0


def pq(
    truth: Annotated[Positional[Path], arg(metavar="GT.json")],
    predictions: Annotated[Positional[Path], arg(metavar="PREDICTIONS.json")],
    /,
    gt_folder: OptionalFolder = None,
    pred_folder: OptionalFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Panoptic quality of predictions in COCO panoptic format, images matched by id.

    Args:
        truth: the ground truth's JSON.
        predictions: the predictions' JSON, as `unipan predict --like GT.json` writes it.
        gt_folder: PNGs of the truth; by default the JSON's path without .json.
        pred_folder: PNGs of the predictions; by default the JSON's path without .json.
        json_file: write {"official", "strict"} here, as fractions.
    """
    from unipan.commands.tables import print_scores, write_json
    from unipan.data.coco import CocoPanoptic
    from unipan.ops.files import require_file

    if json_file is not None:
        require_file(json_file, "--json")
    gt = CocoPanoptic.of(truth, None, gt_folder or truth.with_suffix(""))
    found = CocoPanoptic.of(predictions, None, pred_folder or predictions.with_suffix(""))
    quality = compare(gt, found)
    print_scores(quality, f"{predictions} against {truth}, {len(gt)} images; percent", [])
    if json_file is not None:
        scores = quality.compute().to_json()
        write_json(json_file, {"official": scores, "strict": scores})


def compare(truth: "CocoPanoptic", found: "CocoPanoptic") -> "PanopticQuality":
    """PQ over all images of the truth.

    Raises:
        ValueError: an image without a prediction, or other categories.
    """
    from unipan.metrics.panoptic_quality import PanopticQuality

    ours, theirs = ({(c.id, c.name) for c in side.categories} for side in (truth, found))
    if ours != theirs:
        odd = ", ".join(f"{number} {name}" for number, name in sorted(ours ^ theirs)[:6])
        raise ValueError(
            f"{found.source}: its categories are not those of {truth.source} ({odd} only in one of them); "
            "predict with --like GT.json, which takes them over"
        )
    index = {image_id: position for position, image_id in enumerate(found.image_ids)}
    missing = [name for name, key in zip(truth.names, truth.image_ids, strict=True) if key not in index]
    if missing:
        raise ValueError(
            f"{found.source}: no prediction for {missing[0]} and {len(missing) - 1} more; predict them all"
        )
    quality = PanopticQuality(truth.categories)
    for position, (image_id, name) in enumerate(zip(truth.image_ids, truth.names, strict=True)):
        quality.update(truth.truth(position), found.truth(index[image_id]), name)
    return quality
