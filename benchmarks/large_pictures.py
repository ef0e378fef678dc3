"""Large pictures: the whole at once, `Segmenter.in_tiles`, and independent tiles that are joined at their seams.

A mosaic of scenes, each way in a process of its own: seconds of the processor, peak of its own memory (without files
that are mapped into it) above that after the checkpoint is loaded, things, PQ, and the share of pixels that
differ. The whole finds at most as many things as the checkpoint is made for; `tiles, few things` has the same limit,
the others have none. `alone` is what most tools do: tiles with an overlap are segmented alone, and things of one class
are one where their boxes have an IoU of at least 0.5 in the overlap and the affinity of their means is
positive. `tiles, few things` is compared with the whole, the other ways with `tiles, everywhere`; the numbers of the
segments may differ.

    python benchmarks/large_pictures.py [--size 4000 6000] [--scene 96 192] [--checkpoint scenes] [--ways whole ...]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unipan.datasets.scenes.generator import draw_scene
from unipan.datasets.transforms import network_size
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.inference import Segmenter
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, Segment, panoptic_map
from unipan.processes import peak_memory
from unipan.scene import Scene
from unipan.tiled.network import larger_limits, limit_factor, run_tiled
from unipan.tiled.windows import CellWindow, windows

FIRST_SEED = 3_500_000
OVERLAP = 128


class Parts:
    """A map that is put together of maps: things get ids of their own, stuff of one class is one segment."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.ids = np.zeros(size, np.int32)
        self.categories: dict[int, Category] = {}
        self._stuff: dict[int, int] = {}

    def new(self, segment: Segment) -> int:
        """The id of a segment."""
        if not segment.isthing and segment.category.id in self._stuff:
            return self._stuff[segment.category.id]
        found = len(self.categories) + 1
        self.categories[found] = segment.category
        if not segment.isthing:
            self._stuff[segment.category.id] = found
        return found

    def result(self) -> PanopticMap:
        """The map, without segments that have no pixel."""
        present = set(np.unique(self.ids).tolist())
        return panoptic_map(self.ids, {key: each for key, each in self.categories.items() if key in present})


def mosaic(size: tuple[int, int], scene: tuple[int, int]) -> tuple[np.ndarray, PanopticMap]:
    """Scenes side by side, cut at the lower and right edge, and their truth."""
    image, truth = np.empty((*size, 3), np.uint8), Parts(size)
    places = [(y, x) for y in range(0, size[0], scene[0]) for x in range(0, size[1], scene[1])]
    for number, (y, x) in enumerate(places):
        sample = draw_scene(FIRST_SEED + number, scene)
        target = truth.ids[y : y + scene[0], x : x + scene[1]]
        height, width = target.shape
        image[y : y + height, x : x + width] = sample.image[:height, :width]
        for segment in sample.truth:
            target[sample.truth.ids[:height, :width] == segment.id] = truth.new(segment)
    return image, truth.result()


def independent_tiles(segmenter: Segmenter, image: np.ndarray, side: int) -> PanopticMap:
    """Each tile alone; a pixel is that tile's in whose middle it lies, and things are joined in the overlaps."""
    size = image.shape[0], image.shape[1]
    parts, parent, done = Parts(size), {}, []
    for core in windows(size, side):
        seen = core.grown(OVERLAP // 2, size)
        scene = _scene(segmenter, image, seen)
        result = scene.result()
        number = {segment.id: parts.new(segment) for segment in result}
        parent.update({new: new for new in number.values() if new not in parent})
        table = np.zeros(max(number, default=0) + 1, np.int32)
        table[list(number)] = list(number.values())
        ids = table[result.ids]
        parts.ids[core.slices] = ids[core.within(seen)]
        tile = (seen, ids, _means(scene, ids, {number[each.id] for each in result if each.isthing}))
        for other in done:
            for one, two in _same(other, tile, parts.categories):
                parent[_root(parent, two)] = _root(parent, one)
        done = [each for each in done if each[0].bottom > core.top - OVERLAP] + [tile]
    roots = np.array([0, *(_root(parent, key) for key in range(1, len(parts.categories) + 1))], np.int32)
    parts.ids = roots[parts.ids]
    return parts.result()


def _scene(segmenter: Segmenter, image: np.ndarray, window: CellWindow) -> Scene:
    pixels = np.ascontiguousarray(image[window.slices])
    size = network_size(*pixels.shape[:2], segmenter.config.data)
    with larger_limits(segmenter.network.detection, limit_factor(size, segmenter.config)):  # type: ignore[arg-type]
        return segmenter.scene(pixels)


@torch.no_grad()
def _means(scene: Scene, ids: np.ndarray, things: set[int]) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """phi0(Q) and phi1(Q) of each thing's mean, less those of the tile's."""
    assert scene.head is not None
    assert scene.output.queries is not None
    queries = scene.output.queries[0]
    height, width = queries.shape[1:]
    rows, columns = (
        (np.arange(n) * 2 + 1) * side // (2 * n) for n, side in zip((height, width), ids.shape, strict=True)
    )
    cells = ids[rows[:, None], columns].ravel()
    both = [phi - phi.mean(1, keepdim=True) for phi in scene.head.project(queries)]
    return {key: tuple(phi[:, cells == key].mean(1) for phi in both) for key in things & set(cells.tolist())}  # type: ignore[misc]


def _same(one: Any, two: Any, categories: dict[int, Category]) -> Iterator[tuple[int, int]]:
    """Pairs of things of two tiles that are one."""
    (first, ids, means), (second, others, their_means) = one, two
    shared = CellWindow(
        max(first.top, second.top), min(first.bottom, second.bottom),
        max(first.left, second.left), min(first.right, second.right),
    )  # fmt: skip
    if min(shared.size) <= 0:
        return
    boxes, their_boxes = (_boxes(each[shared.within(place)], known) for each, place, known in
                          ((ids, first, means), (others, second, their_means)))  # fmt: skip
    for key, box in boxes.items():
        for other, their_box in their_boxes.items():
            alike = categories[key] == categories[other] and _iou(box, their_box) >= 0.5
            if alike and float(means[key][0] @ their_means[other][1]) > 0:
                yield key, other


def _boxes(ids: np.ndarray, things: Any) -> dict[int, tuple[int, int, int, int]]:
    found = {}
    for key in set(np.unique(ids).tolist()) & set(things):
        y, x = np.nonzero(ids == key)
        found[key] = (int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1)
    return found


def _iou(one: tuple[int, int, int, int], two: tuple[int, int, int, int]) -> float:
    height = min(one[1], two[1]) - max(one[0], two[0])
    width = min(one[3], two[3]) - max(one[2], two[2])
    shared = max(height, 0) * max(width, 0)
    areas = [(box[1] - box[0]) * (box[3] - box[2]) for box in (one, two)]
    return shared / (sum(areas) - shared)


def _root(parent: dict[int, int], key: int) -> int:
    while parent[key] != key:
        key = parent[key]
    return key


def few_things(segmenter: Segmenter, image: np.ndarray) -> PanopticMap:
    """In tiles, with the limits of the checkpoint."""
    size = network_size(*image.shape[:2], segmenter.config.data)
    return run_tiled(
        segmenter.network, image, size, config=segmenter.config, categories=segmenter.categories, side=1024, factor=1
    ).decode()


WAYS = {
    "whole": lambda segmenter, image: segmenter(image),
    "tiles, few things": few_things,
    "tiles, everywhere": lambda segmenter, image: segmenter.in_tiles(image, reach=None),
    "tiles": lambda segmenter, image: segmenter.in_tiles(image),
    "alone, 192": lambda segmenter, image: independent_tiles(segmenter, image, 192),
    "alone, 512": lambda segmenter, image: independent_tiles(segmenter, image, 512),
}


def anonymous() -> int:
    """Bytes of the memory that belongs to this process alone (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def measure(way: str, checkpoint: str, image: np.ndarray, out: Path) -> None:
    """Run one way and print what it took; its ids go to `out`."""
    segmenter, peak = Segmenter.load(checkpoint), [0]
    segmenter(image[:96, :192])

    def watch() -> None:
        while True:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.02)

    before = anonymous()
    threading.Thread(target=watch, daemon=True).start()
    start = time.process_time()
    found = WAYS[way](segmenter, image)
    seconds = time.process_time() - start
    resident = peak_memory()
    np.save(out, found.ids)
    rows = [{**segment.to_coco(), "score": 1} for segment in found]
    told = {"seconds": seconds, "memory": peak[0] - before, "resident": resident, "rows": rows}
    print(json.dumps(told))


def differing(ids: np.ndarray, others: np.ndarray) -> float:
    """Share of the pixels that differ after renumbering: each id is the other map's that it shares most pixels with."""
    length = int(others.max()) + 1
    pairs = np.bincount(ids.ravel().astype(np.int64) * length + others.ravel(), minlength=(int(ids.max()) + 1) * length)
    return 1 - float(pairs.reshape(-1, length).max(1).sum()) / ids.size


def compare(args: argparse.Namespace) -> None:
    """All ways, each in a process of its own."""
    image, truth = mosaic(tuple(args.size), tuple(args.scene))
    categories = Segmenter.load(args.checkpoint).categories
    by_id = {category.id: category for category in categories}
    print(f"{args.size[1]} x {args.size[0]} pixels, {sum(each.isthing for each in truth)} things", flush=True)
    print(f"{'':<20}{'s':>8}{'MiB':>8}{'things':>8}{'PQ':>7}{'PQ th':>7}{'PQ st':>7}  differs")
    maps: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        picture, ids = Path(folder) / "image.npy", Path(folder) / "ids.npy"
        np.save(picture, image)
        for way in args.ways:
            command = [
                sys.executable,
                __file__,
                "--one",
                way,
                "--checkpoint",
                args.checkpoint,
                "--picture",
                str(picture),
            ]
            done = subprocess.run([*command, "--out", str(ids)], check=True, capture_output=True, text=True)
            told = json.loads(done.stdout)
            classes = {row["id"]: by_id[row["category_id"]] for row in told["rows"]}
            found = panoptic_map(np.load(ids), classes)
            quality = PanopticQuality(categories)
            quality.update(truth, found, way)
            scores = [100 * (quality.compute()[group].pq) for group in ("All", "Things", "Stuff")]  # type: ignore[union-attr]
            maps[way] = found.ids
            reference = maps.get("whole" if way == "tiles, few things" else "tiles, everywhere")
            differs = "" if reference is None else f"{100 * differing(found.ids, reference):.4f} %"
            things = sum(each.isthing for each in found)
            told_scores = "".join(f"{score:7.1f}" for score in scores)
            memory = told["memory"] / 2**20
            print(f"{way:<20}{told['seconds']:8.1f}{memory:8.0f}{things:8}{told_scores}  {differs}", flush=True)


def main() -> None:
    """The table, or one way of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 6000), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--scene", type=int, nargs=2, default=(96, 192), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--checkpoint", default="scenes")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.one:
        measure(args.one, args.checkpoint, np.load(args.picture), args.out)
    else:
        compare(args)


if __name__ == "__main__":
    main()
