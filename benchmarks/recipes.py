"""Real optimiser steps of the published recipes at full width, each in a process of its own: seconds, memory, losses.

    python benchmarks/recipes.py                 # `make test-long`: all eight at full size, one image, minutes each
    python benchmarks/recipes.py --small         # R-50 on small crops: how good is the memory estimate?
    python benchmarks/recipes.py --estimates     # no steps: the table of estimates in docs/full_size.md

Cityscapes recipes see a crop of a drawn street of 1024 x 2048 with Cityscapes' classes, COCO recipes a photograph of
--coco (133 classes). Weights are random (those of the bottlenecks' ends small); time and memory do not depend on them.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch

from unipan.build import build_criterion, build_network
from unipan.config import Config
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.transforms import TrainingTransform, collate
from unipan.ops import mask_logits
from unipan.presets import PUBLISHED
from unipan.processes import peak_memory
from unipan.training.memory import GIB, InputSize, estimate_memory, training_size
from unipan.training.schedule import make_optimizer, set_learning_rate
from unipan.training.step import TrainingStep, runs_bf16

SMALL = ((128, 256, 2), (256, 512, 1))
"""Height, width and number of crops."""
PASSES = (1, 2, 4, 8)
"""Images of a backward pass, in the table of estimates."""


def open_sample(config: Config, coco: Path, height: int, width: int) -> PanopticData:
    """What a recipe trains on: drawn streets, or photographs."""
    if config.name.startswith("coco"):
        return CocoPanoptic(coco)
    return Scenes(range(4), size=(height, width))


def measure(args: argparse.Namespace) -> dict[str, object]:
    """One or more steps in this process; its peak memory less what it had before the network was made."""
    config, images = PUBLISHED[args.preset](), 1
    height, width = 1024, 2048
    if args.case:
        height, width, images = args.case
        config = replace(config, data=replace(config.data, short_side=height, max_side=width, crop=(height, width)))
    data = open_sample(config, args.coco, height, width)
    bf16 = runs_bf16(args.precision, torch.device("cpu"))
    transform, pairs = TrainingTransform(config.data, data.categories), []
    for index in range(images):
        torch.manual_seed(index)
        pairs.append(transform(data[index]))
    batch, targets = collate([(image, "image") for image, _ in pairs]), [target for _, target in pairs]
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    network = build_network(config, data.categories)
    for name, buffer in network.named_buffers():
        if name.endswith("bn3.weight"):  # a hundred layers of random residuals would overflow
            buffer.fill_(0.1)
    step = TrainingStep(network.to(memory_format=torch.channels_last), build_criterion(config), bf16).train()
    optimizer = make_optimizer(step, config.train)
    seen = batch.pixels.shape[-2], batch.pixels.shape[-1]
    size = training_size(config.data, (height, width)) if args.case else InputSize(seen, seen)
    estimate = estimate_memory(network, step.criterion, config, size, bf16, several=False)
    set_learning_rate(optimizer, 0, config.train)
    start = time.perf_counter()
    for _ in range(args.steps):  # the second has the optimiser's state
        terms = step(batch, targets)
        step.criterion.total(terms).backward()
        optimizer.step()
        optimizer.zero_grad()
    seconds = (time.perf_counter() - start) / args.steps
    peak = peak_memory() or 0
    # No step is timed here, so the copy of the weights that timing keeps is not there.
    counted = estimate.total(images) - sum(t.nbytes for t in [*network.parameters(), *network.buffers()])
    return {
        "preset": args.preset,
        "input": [images, *batch.pixels.shape[-2:]],
        "parameters_millions": round(sum(p.numel() for p in network.parameters()) / 1e6, 1),
        "bf16": bf16,
        "seconds_a_step": round(seconds, 1),
        "measured_gib": round((peak - before) / GIB, 2),
        "estimated_gib": round(counted / GIB, 2),
        "losses": {name: round(float(term.detach()), 3) for name, term in terms.items()},
    }


def estimate_row(name: str) -> str:
    """A recipe's row in docs/full_size.md: what `unipan train` says of one of several GPUs, in 32 bits."""
    config = PUBLISHED[name]()
    categories = coco_categories() if name.startswith("coco") else CITYSCAPES
    size = training_size(config.data, (0, 0))
    network = build_network(config, categories)
    # This is counted on a CPU, but a GPU makes the masks of all classes.
    with mock.patch.object(mask_logits, "samples_by_rows", return_value=False):
        estimate = estimate_memory(network, build_criterion(config), config, size, bf16=False, several=True)
    spelled = " x ".join(map(str, size.image))
    if size.padded != size.image:
        spelled += f", from 2 on {' x '.join(map(str, size.padded))}"
    return f"| `{name}` | {spelled} | {' | '.join(f'{estimate.total(n) / GIB:.1f} GiB' for n in PASSES)} |"


def main() -> None:
    """Measure each case in a fresh process and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--preset", nargs="*", default=list(PUBLISHED))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--estimates", action="store_true")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--coco", type=Path, default=Path("../shared/data/coco20"))
    parser.add_argument("--case", type=int, nargs=3, help="height, width, images: measure in this process")
    parser.add_argument("--here", action="store_true", help="measure in this process")
    args = parser.parse_args()
    if args.estimates:
        print("\n".join(map(estimate_row, args.preset)))
        return
    if args.case or args.here:
        [args.preset] = args.preset
        print(json.dumps(measure(args)))
        return
    cases = [("cityscapes", ["--case", *map(str, case)]) for case in SMALL] if args.small else []
    cases = cases or [(name, ["--here"]) for name in args.preset]
    rows = []
    for name, more in cases:
        same = ["--steps", str(args.steps), "--precision", args.precision, "--coco", str(args.coco)]
        command = [sys.executable, __file__, "--preset", name, *same, *more]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(json.dumps(rows[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
