"""Memory of long batches: many images through `unipan predict`, many pairs through `unipan pq`.

It also compares the results of one thread, of one thread again in the opposite order, and of two, bit for bit.
Resident memory of the command's processes is sampled while it runs; it is flat if its second half needs no more than
its first. Pictures are drawn scenes; the pairs are one truth and its copy, moved by three pixels, under many names.

    OMP_NUM_THREADS=1 python benchmarks/long_batches.py [--images 2000] [--pairs 5000] [--compared 40] [--size 64 96]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.panoptic.maps import panoptic_map

DRAWN = 50
"""Different scenes; the others are copies."""


def resident(pid: int) -> int:
    """Bytes that a process and its children hold, without what they share."""
    total = 0
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for each in [pid, *map(int, children.read_text().split())]:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def watch(arguments: list[str], folder: Path) -> dict[str, object]:
    """Run a command and sample its memory."""
    start, samples = time.monotonic(), []
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "unipan", *arguments], stdout=output, stderr=output)
        while process.poll() is None:
            try:
                samples.append((round(time.monotonic() - start, 1), resident(process.pid)))
            except OSError:
                break
            time.sleep(0.5)
        process.wait()
    seconds = time.monotonic() - start
    points = {share: max(s for at, s in samples if at <= max(share * seconds, 1)) for share in (0.25, 0.5, 0.75, 1)}
    megabytes = {f"{share:.0%}": round(value / 2**20) for share, value in points.items()}
    words = (folder / "output.txt").read_text().strip().splitlines()
    return {"exit": process.returncode, "seconds": round(seconds), "peak_mib_until": megabytes, "said": words[-1:]}


def predict(folder: Path, count: int, size: tuple[int, int]) -> dict[str, object]:
    drawn = [sample.image for sample in Scenes(range(DRAWN), size)]
    (folder / "images").mkdir()
    for number in range(count):
        Image.fromarray(drawn[number % DRAWN]).save(folder / "images" / f"scene_{number:07d}.png")
    return watch(["predict", "scenes", str(folder / "images"), "--out", str(folder / "out"), "--csv"], folder)


def score(folder: Path, count: int, size: tuple[int, int]) -> dict[str, object]:
    drawn = [sample.truth for sample in Scenes(range(DRAWN), size)]
    for side, shift in (("truth", 0), ("prediction", 3)):
        writer = PanopticWriter(folder / side, SCENE_CATEGORIES)
        for number in range(count):
            truth = drawn[number % DRAWN]
            ids = np.roll(truth.ids, shift, axis=1)
            moved = panoptic_map(ids, {segment.id: segment.category for segment in truth})
            writer.add(f"{number:07d}.png", number, moved)
        writer.close()
    return watch(["pq", *(str(folder / side / "panoptic.json") for side in ("truth", "prediction"))], folder)


def compare(count: int, size: tuple[int, int]) -> dict[str, object]:
    """Of how many images ids, scores and margins differ from those of one thread, and by how much."""
    import torch

    from unipan.inference import Segmenter

    segmenter, images = Segmenter.load("scenes"), [sample.image for sample in Scenes(range(count), size)]
    found = {}
    for name, threads, order in (("first", 1, 1), ("again, in reverse", 1, -1), ("two threads", 2, 1)):
        torch.set_num_threads(threads)
        found[name] = [segmenter(image) for image in images[::order]][::order]
    answers: dict[str, object] = {"images": count}
    for name in ("again, in reverse", "two threads"):
        pairs = list(zip(found["first"], found[name], strict=True))
        answers[name] = {
            "maps that differ": sum(not np.array_equal(one.ids, other.ids) for one, other in pairs),
            "pixels that differ": sum(int((one.ids != other.ids).sum()) for one, other in pairs),
            "segments that differ": sum(one.segments != other.segments for one, other in pairs),
            "largest difference of a margin": max(float(np.abs(a.margin - b.margin).max()) for a, b in pairs),
        }
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--compared", type=int, default=40)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, object] = {"threads": os.environ.get("OMP_NUM_THREADS"), "size": asked.size}
    for name, command, count in (("pq", score, asked.pairs), ("predict", predict, asked.images)):
        with tempfile.TemporaryDirectory() as place:
            if count:
                found[name] = {"count": count, **command(Path(place), count, tuple(asked.size))}
                print(name, found[name], flush=True)
    if asked.compared:
        found["bits"] = compare(asked.compared, tuple(asked.size))
        print(found["bits"], flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
