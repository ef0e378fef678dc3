"""Is the merger ahead because of what was not detected? Argmax and merger on a network's own boxes and on true ones.

An argmax gives the pixels of an object without detection to something else, a merger may leave them void. With the
truth's boxes (score 1, masks by the network's own mask head) nothing is undetected.

    python benchmarks/merger_recall.py runs/reproduce/nuclei/D-s0-i300/last.safetensors DATA/val
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from unipan.commands.sources import open_photos
from unipan.engine.evaluate import with_categories
from unipan.engine.oracles import revise, true_detections
from unipan.inference import Scene, Segmenter
from unipan.metrics.bootstrap import paired_bootstrap_pq
from unipan.metrics.panoptic_quality import GROUPS, PanopticQuality
from unipan.structures import PanopticMap, Sample

FUSIONS = ("affinity", "potential", "heuristic")


@torch.no_grad()
def with_true_boxes(segmenter: Segmenter, scene: Scene, sample: Sample) -> Scene:
    """The scene as if the detector had found the truth's boxes."""
    boxes = true_detections(segmenter, scene, sample.truth)
    potential = segmenter.network.potential(scene.semantic, boxes)
    panoptic = revise(segmenter, scene, potential)
    output = replace(scene.output, detections=[boxes], candidates=[boxes], potentials=[potential], panoptic=[panoptic])
    return replace(scene, output=output)


def main() -> None:
    """One JSON line: PQ of every fusion under both, the differences to the merger, and the recall at the cut-off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data")
    parser.add_argument("--every", type=int, default=1)
    args = parser.parse_args()
    data = open_photos(args.data)
    segmenter = with_categories(Segmenter.load(args.checkpoint), data.categories)
    found = {(boxes, f): PanopticQuality(data.categories) for boxes in ("own", "true") for f in FUSIONS}
    for index in range(0, len(data), args.every):
        sample = data[index]
        scene = segmenter.scene(sample.image)
        for boxes, each in (("own", scene), ("true", with_true_boxes(segmenter, scene, sample))):
            for fusion in FUSIONS:
                result = each.result(fusion)
                found[boxes, fusion].update(sample.truth, PanopticMap(result.ids, result.segments), sample.name)
    row: dict[str, object] = {"checkpoint": args.checkpoint.parent.name, "images": len(range(0, len(data), args.every))}
    for (boxes, fusion), quality in found.items():
        scores = quality.compute()
        groups = {name.lower(): round(100 * q.pq, 1) for name in GROUPS if (q := scores[name]) is not None}
        row[f"{boxes} boxes, {fusion}"] = groups
        if fusion != "heuristic":
            gain = paired_bootstrap_pq(quality, found[boxes, "heuristic"])["All"]
            assert gain is not None
            row[f"{boxes} boxes, {fusion} over merger"] = [
                round(100 * value, 2) for value in (gain.value, gain.low, gain.high)
            ]
    print(json.dumps(row))


if __name__ == "__main__":
    main()
