"""P and Psi on corner crops of growing size: do affinities generalise beyond the crop that they were trained on?

python experiments/beyond_crop.py runs/reproduce/nuclei/B-s0-i300/last.safetensors DATA/val
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from unipan.datasets.sources import open_photos
from unipan.evaluation.bootstrap import paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map

EVERY = 2


def corner(sample: Sample, short_side: int, side: int) -> tuple[np.ndarray, PanopticMap]:
    """The upper left side x side pixels of a photograph resized to `short_side`, with its truth."""
    factor = short_side / min(sample.image.shape[:2])
    size = round(sample.image.shape[1] * factor), round(sample.image.shape[0] * factor)
    shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(sample.image, size, interpolation=shrinks)[:side, :side]
    ids = cv2.resize(sample.truth.ids.astype(np.float64), size, interpolation=cv2.INTER_NEAREST)[:side, :side]
    present = {*np.unique(ids).astype(int).tolist()}
    classes = {segment.id: segment.category for segment in sample.truth if segment.id in present}
    return np.ascontiguousarray(image), panoptic_map(ids.astype(np.int32), classes)


def main() -> None:
    """One line per side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data")
    parser.add_argument("--sides", type=int, nargs="+", default=[192, 256, 384], help="pixels of the network's input")
    args = parser.parse_args()
    segmenter, data = Segmenter.load(args.checkpoint), open_photos(args.data)
    short_side = segmenter.config.data.short_side
    for side in args.sides:
        cut = replace(segmenter, config=replace(segmenter.config, data=replace(segmenter.config.data, short_side=side)))
        found = {fusion: PanopticQuality(data.categories) for fusion in ("affinity", "potential")}
        for sample in (data[index] for index in range(0, len(data), EVERY)):
            image, truth = corner(sample, short_side, side)
            scene = cut.scene(image)
            for fusion, quality in found.items():
                quality.update(truth, scene.result(fusion), sample.name)
        gain = paired_bootstrap_pq(found["affinity"], found["potential"])["All"]
        values = f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f}, {100 * gain.high:+.1f})"
        print(f"{side} x {side}, {len(found['affinity'].names)} images: P - Psi {values}", flush=True)


if __name__ == "__main__":
    main()
