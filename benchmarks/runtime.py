"""The bundled network on onnxruntime beside PyTorch, in one run: time, memory, and how often their maps differ.

1. Whole processes, alternating: from the start of Python to the first result. Processor time, time on the clock, and
   peak memory.
2. The network alone on one image of 256 x 512, then image to panoptic map, alternating in one process.
3. Pixels of scenes, and of photographs if a folder is given, that lie in the same segment.

Processor time is what other programs on the machine disturb least; every ratio is of medians over the rounds.

    python benchmarks/runtime.py
    taskset -c 1 python benchmarks/runtime.py --photos coco20/images facades nuclei --json runtime.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import collate, resize_image
from unipan.export.parity import differing_pixels
from unipan.exported.pixels import network_input
from unipan.exported.segmenter import ExportedSegmenter
from unipan.inference import Segmenter

SEED = 4_000_000
PICTURES = (".jpg", ".jpeg", ".png")
FIRST_RESULT = """
import sys
from unipan.processes import peak_memory
from unipan.runtimes import open_network
open_network("scenes", "cpu", sys.argv[1])(sys.argv[2])
print(peak_memory())
"""


def first_result(runtime: str, picture: Path) -> tuple[float, float, float]:
    """Processor seconds, seconds and peak megabytes of a process that segments one picture."""
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FIRST_RESULT, runtime, str(picture)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        peak = process.stdout.read()  # told by itself: Linux's wait4 would add what this process has
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the process on {runtime} failed")
    return used.ru_utime + used.ru_stime, time.perf_counter() - start, int(peak) / 1e6


def processor_milliseconds(step: Callable[[], object]) -> float:
    """Of one call, over all threads."""
    start = time.process_time()
    step()
    return 1000 * (time.process_time() - start)


def alternating(steps: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """What each step returns in each round; the first round warms up and does not count."""
    found: dict[str, list[Any]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            value = step()
            if number:
                found[name].append(value)
    return found


def told(what: str, unit: str, values: dict[str, list[float]]) -> dict[str, Any]:
    """Print both medians with their range, and the ratio of torch to onnxruntime."""
    middle = {name: statistics.median(each) for name, each in values.items()}
    spread = "   ".join(
        f"{name} {middle[name]:8.2f} ({min(each):.2f} to {max(each):.2f})" for name, each in values.items()
    )
    ratio = middle["torch"] / middle["onnx"]
    print(f"{what:44} {unit:3} {spread}   torch / onnxruntime {ratio:.2f}", flush=True)
    return {"what": what, "unit": unit, "ratio": ratio, **values}


def processes(picture: Path, rounds: int) -> list[dict[str, Any]]:
    """Import to first result."""
    found = alternating({name: lambda name=name: first_result(name, picture) for name in ("torch", "onnx")}, rounds)
    titles = (("processor time", "s"), ("on the clock", "s"), ("peak memory", "MB"))
    return [
        told(
            f"import to first result, {title}",
            unit,
            {name: [row[place] for row in rows] for name, rows in found.items()},
        )
        for place, (title, unit) in enumerate(titles)
    ]


def networks(one: Segmenter, other: ExportedSegmenter, size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """The network alone, and image to map."""
    image = np.asarray(cv2.resize(Scenes(range(SEED, SEED + 1))[0].image, size[::-1]), np.uint8)
    batch = collate([(resize_image(image, one.config.data), "a")])
    pixels, sides = network_input(image, other.config.data, other.graphs.fill)

    def on_torch() -> None:
        with torch.no_grad():
            one.network(batch)

    steps = {"torch": on_torch, "onnx": lambda: other.run_network(pixels, sides)}
    alone = alternating({k: lambda step=step: processor_milliseconds(step) for k, step in steps.items()}, rounds)
    whole = alternating(
        {
            name: lambda segmenter=segmenter: processor_milliseconds(lambda: segmenter(image))
            for name, segmenter in (("torch", one), ("onnx", other))
        },
        rounds,
    )
    name = f"{size[0]} x {size[1]}"
    return [told(f"network, {name}", "ms", alone), told(f"image to map, {name}", "ms", whole)]


def agreement(one: Segmenter, other: ExportedSegmenter, images: list[Any], what: str) -> dict[str, Any]:
    """Share of pixels in the same segment, over all images and in the worst."""
    differing = pixels = 0
    worst = 0.0
    for image in images:
        maps = one(image), other(image)
        count = differing_pixels(*maps)
        differing, pixels = differing + count, pixels + maps[0].ids.size
        worst = max(worst, count / maps[0].ids.size)
    share = 1 - differing / pixels
    print(f"{len(images)} {what}: {share:.5%} of {pixels} pixels alike; in the worst image {1 - worst:.4%}", flush=True)
    return {"what": what, "images": len(images), "pixels": pixels, "alike": share, "worst": 1 - worst}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="rounds of whole processes")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of photographs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"threads": args.threads}
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "street.png"
        cv2.imwrite(str(picture), np.ascontiguousarray(Scenes(range(SEED, SEED + 1))[0].image[:, :, ::-1]))
        found["processes"] = processes(picture, args.processes)
    one, other = Segmenter.load("scenes"), ExportedSegmenter.load("scenes", threads=args.threads)
    found["times"] = [row for size in ((128, 256), (256, 512)) for row in networks(one, other, size, args.rounds)]
    drawn = Scenes(range(SEED, SEED + args.scenes))
    found["agreement"] = [agreement(one, other, [drawn[i].image for i in range(len(drawn))], "scenes")]
    for folder in args.photos:
        photographs = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
        photographs = [path for path in photographs if "panoptic" not in path.parts]
        found["agreement"].append(agreement(one, other, photographs, f"photographs of {folder.name}"))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
