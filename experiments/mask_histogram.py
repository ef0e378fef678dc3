"""Where sigmoid(M) lies inside and outside objects: does the Lovasz hinge, whose gradient ends at a margin of 1, keep
sigmoid(M) near 0.27 and 0.73 and so weaken V * M?

    python experiments/mask_histogram.py CHECKPOINT... --json experiments/results/mask_histogram.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import index_maps, target_of
from unipan.inference import Segmenter
from unipan.models.matching import match
from unipan.ops.boxes import inside
from unipan.ops.masks import paste, reduce_labels

SEEDS = range(990_000, 990_060)
BINS = 10


@torch.inference_mode()
def histogram(segmenter: Segmenter, size: tuple[int, int]) -> dict[str, object]:
    """Shares of the 1/4 cells in each box by sigmoid(M), inside the true object and outside, and the medians."""
    values: dict[str, list[np.ndarray]] = {"inside": [], "outside": []}
    data = Scenes(SEEDS, size)
    for sample in (data[i] for i in range(len(data))):
        scene = segmenter.scene(sample.image)
        target = target_of(*index_maps(sample.truth, data.categories))
        found, rows = match(scene.network_detections, target)
        found, rows = found[rows >= 0], rows[rows >= 0]
        if len(found) == 0:
            continue
        height, width = scene.potential.shape[-2:]
        masks = paste(found.masks.sigmoid(), found.boxes, height, width, scene.geometry.stride)
        truth = reduce_labels(target.instances, height, width)
        box = inside(found.boxes, height, width, scene.geometry.stride)
        own = truth == rows[:, None, None]
        values["inside"].append(masks[box & own].numpy())
        values["outside"].append(masks[box & ~own].numpy())
    row: dict[str, object] = {}
    for side, parts in values.items():
        together = np.concatenate(parts)
        counts, _ = np.histogram(together, BINS, (0, 1))
        row[side] = {
            "share_per_tenth": [round(float(c), 4) for c in counts / counts.sum()],
            "quartiles": [round(float(q), 3) for q in np.percentile(together, (25, 50, 75))],
        }
    return row


def main() -> None:
    """One row per checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 256))
    parser.add_argument("--json", type=Path, default=Path("experiments/results/mask_histogram.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(args.json.read_text()) if args.json.exists() else {}
    for path in args.checkpoints:
        segmenter = Segmenter.load(path)
        name = path.parent.name if path.stem in ("last", "best") else path.stem
        rows[name] = {"mask_kind": segmenter.config.loss.mask_kind} | histogram(segmenter, tuple(args.size))
        print(name, rows[name])
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
