"""Score a model that is not ours: PQ in a loop, then as files with a page of the worst images.

The "model" here spoils the ground truth of drawn scenes and returns it as `post_process_panoptic_segmentation` of
transformers does; put your own in its place.

    python examples/evaluate_any_model.py [FOLDER]
"""

import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

import unipan
from unipan.cli import main as command
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.panoptic.given_maps import as_map
from unipan.panoptic.maps import Sample


def model(sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
    """Your model goes here: it gets `sample.image` and returns a map of ids and its segments."""
    lost = {segment.id for segment in sample.truth if rng.random() < 0.1}
    ids = np.roll(sample.truth.ids, int(rng.integers(4)), axis=1)
    ids[np.isin(ids, list(lost))] = 0
    rows = [{"id": each.id, "label_id": each.category.id, "score": 0.9} for each in sample.truth if each.id not in lost]
    return {"segmentation": ids, "segments_info": rows}


def main() -> None:
    """In a loop, and as files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp(prefix="unipan-example-"))
    samples, rng = list(Scenes(range(5_000_000, 5_000_006))), np.random.default_rng(0)

    # 1. In a validation loop: no files, any arrays or tensors.
    metric = unipan.PanopticQuality(SCENE_CATEGORIES)
    outputs = [model(sample, rng) for sample in samples]
    for sample, output in zip(samples, outputs, strict=True):
        metric.update(sample.truth, output, sample.name)
    scores = metric.compute()["All"]
    assert scores is not None
    print(f"PQ {100 * scores.pq:.2f}, SQ {100 * scores.sq:.2f}, RQ {100 * scores.rq:.2f} of {len(metric)} images")

    # 2. As files, which everybody can score again, with intervals and a page.
    write_coco_panoptic(folder / "truth", samples, SCENE_CATEGORIES)
    with unipan.PanopticWriter(folder / "prediction", SCENE_CATEGORIES, scores=True) as writer:
        for sample, output in zip(samples, outputs, strict=True):
            writer.add(sample.name, sample.image_id, as_map(output, SCENE_CATEGORIES, sample.name))
    command(["pq", str(folder / "truth"), str(folder / "prediction"), "--html", str(folder / "report")])


if __name__ == "__main__":
    main()
