"""What the affinities of the paper are, on one drawn scene: who attracts whom, and what this does to the map.

python examples/affinities.py [PICTURE.png]
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import unipan
from unipan.evaluation.matching import match_segments
from unipan.panoptic.png import png_of_rgb
from unipan.visualization.heatmap import affinity_picture
from unipan.visualization.regions import deepest


def main() -> None:
    """One pixel, then all of them."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp(prefix="unipan-example-")) / "affinities.png"
    sample = unipan.draw_scene(4_000_000)
    scene = unipan.Segmenter.load("scenes").scene(sample.image)  # the network runs once

    # 1. A pixel in the middle of the largest car, and what it is attracted to (Sec. 3.4.2).
    car = max((each for each in sample.truth if each.category.name == "car"), key=lambda each: each.area)
    x, y = deepest(sample.truth.ids == car.id)
    affinity = scene.affinity(x, y)  # (H, W); above 0 belongs together more than two average pixels do
    print(f"mean affinity of pixel ({x}, {y}), in a car, to the pixels of each segment of the truth:")
    means = [(float(affinity[sample.truth.ids == each.id].mean()), each) for each in sample.truth]
    for mean, each in sorted(means, key=lambda row: -row[0]):
        print(f"  {mean:8.2f}  {each.category.name} {each.id}{'  <- its own' if each.id == car.id else ''}")
    path.write_bytes(png_of_rgb(affinity_picture(affinity, (x, y), sample.image, float(np.abs(affinity).max()))))
    print(f"picture: {path}")

    # 2. P = Psi + A Psi: each pixel hears what the pixels that it is attracted to are, and decides again.
    for fusion, words in (("potential", "argmax of Psi"), ("affinity", "argmax of P")):
        result = scene.result(fusion)
        found = match_segments(sample.truth, result)
        pixels = sum(
            int(((sample.truth.ids == sample.truth.segments[t].id) & (result.ids == result.segments[p].id)).sum())
            for t, p in zip(found.truth.tolist(), found.prediction.tolist(), strict=True)
        )
        print(f"{words:<14}{len(found.truth)} of {len(sample.truth)} segments, {pixels:,} pixels right")


if __name__ == "__main__":
    main()
