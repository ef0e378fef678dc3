"""Does P depend on how an image is brought to a multiple of 32? Padding below and to the right against resizing.

Every image is segmented in both ways by the same network. Scenes can be drawn at any size; `--cut` takes the last rows
and columns of each image away first, another number for each.

    python experiments/padding.py CHECKPOINT --data DIR [--images 24] [--cut]
    python experiments/padding.py scenes --data scenes --size 117 226
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.datasets.sources import is_scenes, open_photos, seeds_of
from unipan.evaluation.bootstrap import bootstrap_pq, paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map


def cut(sample: Sample, index: int) -> Sample:
    """Without its last 1 to 31 rows and columns."""
    rows, columns = 1 + 7 * index % 31, 1 + 11 * index % 31
    ids = np.ascontiguousarray(sample.truth.ids[:-rows, :-columns])
    present = set(np.unique(ids).tolist())
    kept = {segment.id: segment.category for segment in sample.truth if segment.id in present}
    crowds = {segment.id for segment in sample.truth if segment.id in present and segment.iscrowd}
    image = np.ascontiguousarray(sample.image[:-rows, :-columns])
    return replace(sample, image=image, truth=panoptic_map(ids, kept, crowds=crowds))


def main() -> None:
    """Segment, score, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", required=True, help="a folder with panoptic.json, or scenes:FIRST-LAST")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of scenes")
    parser.add_argument("--cut", action="store_true")
    args = parser.parse_args()
    resized = Segmenter.load(args.checkpoint)
    if is_scenes(args.data):
        data: PanopticData = Scenes(seeds_of(args.data, VALIDATION_SEEDS), **({"size": args.size} if args.size else {}))
    else:
        data = open_photos(args.data)
    resized = resized.with_categories(data.categories)
    config = replace(resized.config, data=replace(resized.config.data, pad=True))
    ways = {"resized": resized, "padded": replace(resized, config=config)}
    found = {way: PanopticQuality(data.categories) for way in ways}
    for index in np.linspace(0, len(data) - 1, min(args.images, len(data))).astype(int).tolist():
        sample = data[index]
        if args.cut:
            sample = cut(sample, index)
        for way, segmenter in ways.items():
            result = segmenter(sample.image)
            found[way].update(sample.truth, PanopticMap(result.ids, result.segments), sample.name)
    report = {
        "checkpoint": Path(args.checkpoint).name,
        "data": Path(args.data).name,
        "size": args.size,
        "cut": args.cut,
    }
    report["images"] = len(found["padded"])
    for way, quality in found.items():
        interval = bootstrap_pq(quality)["All"]
        report[way] = str(interval)
    difference = paired_bootstrap_pq(found["resized"], found["padded"])["All"]
    report["resized - padded"] = str(difference)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
