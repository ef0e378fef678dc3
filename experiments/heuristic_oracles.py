"""Why is the heuristic fusion ahead? All fusions, each with one output of the network replaced by the truth.

The heuristic fusion pastes masks whatever V says; in Psi a thing is s V M, so that a V that sees background loses the
thing. The heuristic fusion may also leave undetected things void, whereas an argmax assigns their pixels to another
channel. With true boxes nothing is undetected; with a true V nothing is taken for background; with coarse masks the
outlines must come from V, as on large things.

    python experiments/heuristic_oracles.py runs/reproduce/nuclei/D-s0-i300/last.safetensors DATA/val
    python experiments/heuristic_oracles.py runs/longer/C-lovasz-both-s0-i3600/last.safetensors scenes:990000-990099
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from unipan.analysis.ceiling import perfect_panoptic
from unipan.analysis.oracles import perfect_semantic, revise, true_detections
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import TEST_SEEDS
from unipan.datasets.sources import is_scenes, open_photos, seeds_of
from unipan.evaluation.bootstrap import paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap, Sample
from unipan.reproduction.ablations import SCENE_SIZE
from unipan.scene import Scene
from unipan.structures import Detections

FUSIONS = ("affinity", "potential", "heuristic")
COARSE = (14, 7, 4)
"""Cells a side; the network's masks have 28."""


@torch.no_grad()
def with_truth(segmenter: Segmenter, scene: Scene, sample: Sample) -> dict[str, Scene]:
    """The scene as it is, with the truth's boxes (masks by the network's own mask head), a true V, and coarse masks."""
    boxes = true_detections(segmenter, scene, sample.truth)
    perfect, _ = perfect_panoptic(sample.truth, scene.categories, scene.geometry)
    v = perfect_semantic(perfect.to(scene.potential), boxes, scene.semantic)
    own = scene.output.candidates[0]
    return {
        "as it is": scene,
        "true boxes": _swapped(segmenter, scene, scene.semantic, boxes, boxes),
        "true V": _swapped(segmenter, scene, v, scene.network_detections, own),
    } | {
        f"masks of {cells} x {cells}": _swapped(
            segmenter, scene, scene.semantic, coarse(scene.network_detections, cells), coarse(own, cells)
        )
        for cells in COARSE
    }


def coarse(found: Detections, cells: int) -> Detections:
    """The detections with masks of so many cells a side, each the mean of what it covers."""
    assert found.masks is not None
    means = F.adaptive_avg_pool2d(found.masks.sigmoid()[:, None], cells)[:, 0]
    return replace(found, masks=means.logit(eps=1e-4))


def _swapped(
    segmenter: Segmenter, scene: Scene, semantic: torch.Tensor, found: Detections, candidates: Detections
) -> Scene:
    potential = segmenter.network.potential(semantic, found)
    panoptic = revise(segmenter, scene, potential) if segmenter.config.affinity.enabled else potential
    output = replace(
        scene.output,
        semantic=semantic[None],
        detections=[found],
        candidates=[candidates],
        potentials=[potential],
        panoptic=[panoptic],
    )
    return replace(scene, output=output)


def main() -> None:
    """One JSON line per swap: PQ of every fusion, and how far each argmax leads the heuristic fusion."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", help="photographs, or scenes:FIRST-LAST, drawn at the tables' size")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    args = parser.parse_args()
    drawn = is_scenes(args.data)
    data = Scenes(seeds_of(args.data, TEST_SEEDS), SCENE_SIZE) if drawn else open_photos(args.data)
    segmenter = Segmenter.load(args.checkpoint).with_categories(data.categories)
    fusions = FUSIONS if segmenter.config.affinity.enabled else FUSIONS[1:]
    found: dict[str, dict[str, PanopticQuality]] = {}
    for index in range(args.first, len(data), args.every):
        sample = data[index]
        for swap, scene in with_truth(segmenter, segmenter.scene(sample.image), sample).items():
            for fusion in fusions:
                quality = found.setdefault(swap, {}).setdefault(fusion, PanopticQuality(data.categories))
                result = scene.result(fusion)
                quality.update(sample.truth, PanopticMap(result.ids, result.segments), sample.name)
    for swap, qualities in found.items():
        row: dict[str, object] = {"checkpoint": args.checkpoint.parent.name, "data": args.data, "swap": swap}
        for fusion, quality in qualities.items():
            row["images"] = len(quality.names)
            scores = quality.compute()
            row[fusion] = {name.lower(): round(100 * q.pq, 1) for name in GROUPS if (q := scores[name]) is not None}
            if fusion != "heuristic":
                gain = paired_bootstrap_pq(quality, qualities["heuristic"])["All"]
                assert gain is not None
                lead = [round(100 * value, 2) for value in (gain.value, gain.low, gain.high)]
                row[f"{fusion} over merger"] = lead
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
