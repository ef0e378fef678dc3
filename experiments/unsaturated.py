"""Why C2 loses to C1 here but wins in the paper: the argmax of Psi with factors of s V M saturated or left out.

C is trained on V, boxes and masks only: no loss tells it that s, V and M will be multiplied and compared with the
plain V of stuff (Eq. 2). Each variant removes one possible cause, at test time, on validation scenes.

    python experiments/unsaturated.py runs/reproduce/scenes/C-s?-i600/last.safetensors --json FILE
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from unipan.datasets.scenes.generator import Scenes
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS
from unipan.evaluation.trimming import trim_stuff
from unipan.fusion.argmax import decode
from unipan.inference import Segmenter
from unipan.ops.boxes import inside
from unipan.ops.masks import paste
from unipan.panoptic.maps import PanopticMap
from unipan.reproduction.ablations import SCENE_SIZE, TRIMMED_SHARE
from unipan.scene import Scene

SEEDS = range(990_000, 990_120)


def argmax(scene: Scene, things: Callable[[Tensor, Tensor, Tensor], Tensor]) -> PanopticMap:
    """The map whose thing channels `things` makes of s (D, 1, 1), V_k (D, h, w) and M_k (D, h, w)."""
    found, v = scene.network_detections, scene.semantic.softmax(0)
    size = v.shape[-2:]
    v_k = v[found.classes] * inside(found.boxes, *size, scene.geometry.stride)
    m_k = paste(found.masks.sigmoid(), found.boxes, *size, scene.geometry.stride)
    channels = torch.cat([things(found.scores[:, None, None], v_k, m_k), v[len(scene.categories.things) :]])
    return decode(channels, found, scene.categories, scene.geometry)


def trimmed(scene: Scene) -> PanopticMap:
    """C2 without small stuff, which the heuristic fusion removes too."""
    return trim_stuff(scene.result("potential"), round(TRIMMED_SHARE * scene.size[0] * scene.size[1]))


VARIANTS: dict[str, Callable[[Scene], PanopticMap]] = {
    "C1: heuristic": lambda scene: scene.result("heuristic"),
    "C2: s V M": lambda scene: argmax(scene, lambda s, v, m: s * v * m),
    "V M (s = 1)": lambda scene: argmax(scene, lambda _, v, m: v * m),
    "s V, M 0 or 1": lambda scene: argmax(scene, lambda s, v, m: s * v * (m > 0.5)),
    "V, M 0 or 1": lambda scene: argmax(scene, lambda _, v, m: v * (m > 0.5)),
    "s M": lambda scene: argmax(scene, lambda s, _, m: s * m),
    "C2, small stuff trimmed": trimmed,
}


@torch.inference_mode()
def measure(checkpoint: Path) -> dict[str, dict[str, float]]:
    """PQ in percent by variant and group."""
    segmenter, data = Segmenter.load(checkpoint), Scenes(SEEDS, SCENE_SIZE)
    found = {name: PanopticQuality(data.categories) for name in VARIANTS}
    for sample in (data[index] for index in range(len(data))):
        scene = segmenter.scene(sample.image)
        for name, quality in found.items():
            quality.update(sample.truth, VARIANTS[name](scene), sample.name)
    return {name: {group: 100 * quality.compute()[group].pq for group in GROUPS} for name, quality in found.items()}


def main() -> None:
    """One line per variant: means over the checkpoints, and the PQ of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = {path.parent.name: measure(path) for path in args.checkpoints}
    print("| variant | PQ | things | stuff | each network |\n|---|---|---|---|---|")
    for name in VARIANTS:
        rows = [each[name] for each in found.values()]
        means = " | ".join(f"{mean(row[group] for row in rows):.1f}" for group in GROUPS)
        print(f"| {name} | {means} | {', '.join(format(row['All'], '.1f') for row in rows)} |")
    if args.json:
        args.json.write_text(json.dumps({"seeds": [SEEDS.start, SEEDS.stop], "pq": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
