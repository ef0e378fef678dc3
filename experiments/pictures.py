"""Draw the committed pictures: scenes with their image, real data as colour maps only.

A picture of real data shows truth, result and affinities of one crossed pixel; no pixel of a photograph is in it.

    python experiments/pictures.py scenes scenes --out docs/images/scenes.png
    python experiments/pictures.py runs/nuclei/best.safetensors ../shared/data/nuclei/val --images 3 --out ...
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.scenes.generator import Scenes
from unipan.demo.run import SHOWN_FUSIONS, pixel_to_mark, scene_pictures
from unipan.inference import Segmenter
from unipan.panoptic.maps import Sample
from unipan.scene import Scene
from unipan.visualization.flat import color_map
from unipan.visualization.heatmap import affinity_picture
from unipan.visualization.palette import colors_like, segment_colors

WIDTH = 480
GAP = 10


def row(scene: Scene, sample: Sample, with_image: bool) -> np.ndarray:
    """Scenes: boxes, affinities, heuristic fusion, argmax of P. Real data: truth, argmax of P, affinities."""
    if with_image:
        results = {fusion: scene.result(fusion) for fusion in SHOWN_FUSIONS}
        pictures = scene_pictures(sample, scene, results)
        names = ("Image and boxes", "Affinities of the crossed pixel", "Heuristic fusion", "Argmax of P")
        return side_by_side([fit(pictures[name][0], smooth=True) for name in names])
    truth = sample.truth
    x, y, _ = pixel_to_mark(truth, scene.detections)
    affinity = scene.affinity(x, y)
    limit = float(np.quantile(np.abs(affinity), 0.995))
    result = scene.result("affinity")
    colors = colors_like(result, truth)
    panels = [
        color_map(truth, segment_colors(truth)),
        color_map(result, colors),
        affinity_picture(affinity, (x, y), None, limit),
    ]
    return side_by_side([fit(panel, smooth=False) for panel in panels])


def fit(panel: np.ndarray, smooth: bool) -> np.ndarray:
    """A panel at the common width."""
    height = round(panel.shape[0] * WIDTH / panel.shape[1])
    return cv2.resize(panel, (WIDTH, height), interpolation=cv2.INTER_CUBIC if smooth else cv2.INTER_AREA)


def side_by_side(panels: list[np.ndarray]) -> np.ndarray:
    """Panels with white between them."""
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)]
    return np.hstack(parts[:-1])


def main() -> None:
    """Segment some images and write one PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("data", help="`scenes`, or a folder in COCO panoptic format")
    parser.add_argument("--images", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter.load(args.checkpoint)
    drawn = args.data == "scenes"
    data = Scenes(range(2_000_000, 2_001_000)) if drawn else CocoPanoptic(args.data)
    rows = []
    for index in args.images:
        sample = data[index]
        rows.append(row(segmenter.scene(sample.image), sample, drawn))
        rows.append(np.full((GAP, rows[0].shape[1], 3), 255, np.uint8))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out), np.vstack(rows[:-1])[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(args.out, args.out.stat().st_size // 1024, "KiB")


if __name__ == "__main__":
    main()
