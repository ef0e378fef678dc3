"""The bundled network on onnxruntime beside PyTorch, in one run: time, memory, and how often their maps differ.

1. Whole processes, alternating: from the start of Python to the first result. Processor time, time on the clock, and
   peak memory.
2. The network alone on one image of 256 x 512, then image to panoptic map, alternating in one process.
3. Pixels of scenes, and of photographs if a folder is given, that lie in the same segment.
4. With `--before CHECKOUT`, that checkout (`git worktree add --detach CHECKOUT COMMIT`) with its own checkpoint beside
   this one in all of the above but 3, and `unipan predict` of many scenes by both, alternating, whole processes: images
   a second between the first PNG and the last, time on the clock, processor time and memory.

Processor time is what other programs on the machine disturb least; every ratio is of medians over the rounds. At the
end stand our aims, and which are met.

    python benchmarks/runtime.py
    taskset -c 0,1 python benchmarks/runtime.py --only-batches --before ../before --images 200
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
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import other_checkout
import torch
from aims import Aim, print_aims

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


def first_result(program: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Processor seconds, seconds and peak megabytes of a process that segments one picture."""
    start = time.perf_counter()
    environment = environment | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", *program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        peak = process.stdout.read()  # told by itself: Linux's wait4 would add what this process has
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a process failed: {command}")
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
    """Print the medians with their ranges, and the ratios of torch, and of the checkout before, to onnxruntime."""
    middle = {name: statistics.median(each) for name, each in values.items()}
    spread = "   ".join(
        f"{name} {middle[name]:8.2f} ({min(each):.2f} to {max(each):.2f})" for name, each in values.items()
    )
    ratios = {name: middle[name] / middle["onnx"] for name in middle if name != "onnx"}
    shown = ", ".join(f"{name} / onnx {ratio:.2f}" for name, ratio in ratios.items())
    print(f"{what:44} {unit:3} {spread}   {shown}", flush=True)
    return {"what": what, "unit": unit, "ratios": ratios, **values}


def processes(picture: Path, rounds: int, before: Path | None) -> list[dict[str, Any]]:
    """Import to first result."""
    programs = {name: ([FIRST_RESULT, name, str(picture)], dict(os.environ)) for name in ("torch", "onnx")}
    if before is not None:
        programs["before"] = ([other_checkout.FIRST_RESULT, str(picture)], other_checkout.environment_of(before))
    found = alternating({name: lambda each=each: first_result(*each) for name, each in programs.items()}, rounds)
    titles = (("processor time", "s"), ("on the clock", "s"), ("peak memory", "MB"))
    return [
        told(
            f"import to first result, {title}",
            unit,
            {name: [row[place] for row in rows] for name, rows in found.items()},
        )
        for place, (title, unit) in enumerate(titles)
    ]


def networks(
    one: Segmenter, other: ExportedSegmenter, size: tuple[int, int], rounds: int, before: other_checkout.PassesOf | None
) -> list[dict[str, Any]]:
    """The network alone, and image to map."""
    image = np.asarray(cv2.resize(Scenes(range(SEED, SEED + 1))[0].image, size[::-1]), np.uint8)
    batch = collate([(resize_image(image, one.config.data), "a")])
    pixels, sides = network_input(image, other.config.data, other.graphs.fill)

    def on_torch() -> None:
        with torch.no_grad():
            one.network(batch)

    def milliseconds(network: Callable[[], object], segmenter: Callable[[Any], object]) -> tuple[float, float]:
        return processor_milliseconds(network), processor_milliseconds(lambda: segmenter(image))

    steps: dict[str, Callable[[], tuple[float, float]]] = {
        "torch": lambda: milliseconds(on_torch, one),
        "onnx": lambda: milliseconds(lambda: other.run_network(pixels, sides), other),
    }
    with tempfile.TemporaryDirectory() as folder:
        if before is not None:
            picture = Path(folder) / "street.png"
            cv2.imwrite(str(picture), np.ascontiguousarray(image[:, :, ::-1]))
            steps["before"] = lambda: before.milliseconds(picture)
        found = alternating(steps, rounds)
    name = f"{size[0]} x {size[1]}"
    return [
        told(f"{what}, {name}", "ms", {key: [each[place] for each in rows] for key, rows in found.items()})
        for place, what in enumerate(("network", "image to map"))
    ]


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


def aims(found: dict[str, Any]) -> list[Aim]:
    """What was measured beside what we aim at."""
    listed = []
    timed = [(row, 0.25) for row in found.get("processes", [])]
    timed += [(row, 1 / 1.5) for row in found.get("times", []) if row["what"] == "network, 256 x 512"]
    for row, aim in timed:
        for name, ratio in row["ratios"].items():
            listed.append((f"{row['what']}, onnxruntime relative to {name}", 1 / ratio, aim))
    for row in found.get("agreement", []):
        listed.append((f"{row['what']}, share of pixels in another segment", 1 - row["alike"], 0.001))
    for row in found.get("batches", []):
        what = f"predict, {row['size'][0]} x {row['size'][1]}, {row['form']}"
        listed.append((f"{what}, time per image relative to before", 1 / row["ratios"]["images/s"], 1 / 2.2))
        listed.append((f"{what}, whole time relative to before", row["ratios"]["s"], 0.5))
    return listed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="rounds of whole processes")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of photographs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--before", type=Path, help="a checkout of another commit")
    parser.add_argument("--images", type=int, default=200, help="of a batch")
    parser.add_argument("--only-batches", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.before is not None and not (args.before / "src" / "unipan").is_dir():
        parser.error(f"--before {args.before}: no checkout of unipan, which has src/unipan")
    if args.images < 2:
        parser.error(f"--images {args.images}: images a second are counted from the first to the last; at least 2")
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"threads": args.threads}
    if args.before is not None:
        sizes = ((128, 256), (256, 512))
        found["batches"] = [
            row
            for size in sizes
            for row in other_checkout.batches(args.before, args.images, size, args.processes, SEED)
        ]
    if not args.only_batches:
        found |= within(args)
    print_aims(aims(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def within(args: argparse.Namespace) -> dict[str, Any]:
    """torch and onnxruntime of this checkout, and torch of the one before."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "street.png"
        cv2.imwrite(str(picture), np.ascontiguousarray(Scenes(range(SEED, SEED + 1))[0].image[:, :, ::-1]))
        found["processes"] = processes(picture, args.processes, args.before)
    one, other = Segmenter.load("scenes"), ExportedSegmenter.load("scenes", threads=args.threads)
    with other_checkout.passes_of(args.before, args.threads) if args.before else nullcontext() as before:
        found["times"] = [
            row for size in ((128, 256), (256, 512)) for row in networks(one, other, size, args.rounds, before)
        ]
    drawn = Scenes(range(SEED, SEED + args.scenes))
    found["agreement"] = [agreement(one, other, [drawn[i].image for i in range(len(drawn))], "scenes")]
    for folder in args.photos:
        photographs = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
        photographs = [path for path in photographs if "panoptic" not in path.parts]
        found["agreement"].append(agreement(one, other, photographs, f"photographs of {folder.name}"))
    return found


if __name__ == "__main__":
    main()
