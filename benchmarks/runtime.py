"""The bundled network on onnxruntime beside PyTorch, in one run: time, memory, and how often their maps differ.

1. Whole processes, alternating: from the start of Python to the first result. Processor time, time on the clock, and
   peak memory.
2. The network alone on one image of 256 x 512, then image to panoptic map, alternating in one process.
3. Pixels of scenes, and of photographs if a folder is given, that lie in the same segment.
4. With `--before CHECKOUT`, `unipan predict` of many scenes by that checkout (`git worktree add --detach CHECKOUT
   COMMIT`) and by this one, alternating, whole processes with their defaults: images a second between the first PNG and
   the last, time on the clock, processor time and memory.

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
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from aims import Aim, print_aims

from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import collate, resize_image
from unipan.export.parity import differing_pixels
from unipan.exported.pixels import network_input
from unipan.exported.segmenter import ExportedSegmenter
from unipan.inference import Segmenter

SEED = 4_000_000
DRAWN = 50
"""Different scenes of a batch; the others are copies."""
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


def batch(checkout: Path, images: Path, out: Path, more: list[str]) -> dict[str, float]:
    """One process of `unipan predict` by the code of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, "-m", "unipan", "predict", "scenes", str(images), "--out", str(out), *more]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"predict of {checkout} failed")
    written = sorted(path.stat().st_mtime for path in (out / "panoptic").iterdir())
    pace = (len(written) - 1) / (written[-1] - written[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "s": seconds,
        "processor s": used.ru_utime + used.ru_stime,
        "images/s": pace,
        "MB": used.ru_maxrss * unit / 1e6,
    }


def batches(before: Path, count: int, size: tuple[int, int], rounds: int, more: list[str]) -> dict[str, Any]:
    """Both checkouts in turn, and in how many of the images' files they differ."""
    here = Path(__file__).resolve().parents[1]
    found: dict[str, list[dict[str, float]]] = {"before": [], "now": []}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        drawn = Scenes(range(SEED, SEED + min(count, DRAWN)), size)
        for number in range(count):
            picture = np.ascontiguousarray(drawn[number % DRAWN].image[:, :, ::-1])
            cv2.imwrite(str(images / f"scene_{number:07d}.png"), picture)
        for number in range(rounds):
            for name, checkout in (("before", before), ("now", here)):
                given = more if name == "now" else []
                found[name].append(batch(checkout, images, Path(folder) / f"{name}{number}", given))
                print(f"  {size[0]} x {size[1]}, {name}: {found[name][-1]}", flush=True)
        pairs = [
            (path, Path(folder) / "now0" / path.relative_to(Path(folder) / "before0"))
            for path in (Path(folder) / "before0").rglob("*.*")
            if path.is_file() and path.parent.name in ("panoptic", "overlays", "thumbnails")
        ]
        differing = sum(not b.is_file() or a.read_bytes() != b.read_bytes() for a, b in pairs)
    middle = {
        name: {key: statistics.median(each[key] for each in rows) for key in rows[0]} for name, rows in found.items()
    }
    ratios = {key: middle["now"][key] / middle["before"][key] for key in middle["now"]}
    told = ", ".join(
        f"{key} {middle['before'][key]:.2f} -> {middle['now'][key]:.2f} ({ratios[key]:.2f})" for key in ratios
    )
    print(
        f"predict of {count} scenes, {size[0]} x {size[1]}: {told}; {differing} of {len(pairs)} pictures differ",
        flush=True,
    )
    return {"size": size, "images": count, "ratios": ratios, "pictures that differ": differing, **found}


def aims(found: dict[str, Any]) -> list[Aim]:
    """What was measured beside what we aim at."""
    listed = []
    for row in found.get("processes", []):
        listed.append((f"{row['what']}, onnxruntime relative to torch", 1 / row["ratio"], 0.25))
    for row in found.get("times", []):
        if row["what"] == "network, 256 x 512":
            listed.append((f"{row['what']}, onnxruntime relative to torch", 1 / row["ratio"], 1 / 1.5))
    for row in found.get("agreement", []):
        listed.append((f"{row['what']}, share of pixels in another segment", 1 - row["alike"], 0.001))
    for row in found.get("batches", []):
        size = f"{row['size'][0]} x {row['size'][1]}"
        listed.append((f"predict, {size}, time per image relative to before", 1 / row["ratios"]["images/s"], 1 / 2.2))
        what = f"predict of {row['images']} images, {size}, whole time relative to before"
        listed.append((what, row["ratios"]["s"], 0.5))
    return listed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="rounds of whole processes")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of photographs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--before", type=Path, help="a checkout of another commit, for whole batches")
    parser.add_argument("--images", type=int, default=200, help="of a batch")
    parser.add_argument("--only-batches", action="store_true")
    parser.add_argument("--more", nargs="*", default=[], help="options of this checkout's predict, without their --")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    more = [f"--{word}" if not word.isdecimal() else word for word in args.more]
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"threads": args.threads}
    if args.before is not None:
        sizes = ((128, 256), (256, 512))
        found["batches"] = [batches(args.before, args.images, size, args.processes, more) for size in sizes]
    if not args.only_batches:
        found |= within(args)
    print_aims(aims(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def within(args: argparse.Namespace) -> dict[str, Any]:
    """torch and onnxruntime of this checkout."""
    found: dict[str, Any] = {}
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
    return found


if __name__ == "__main__":
    main()
