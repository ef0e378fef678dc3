"""The full network on a CPU: the paper's (R-50, deformable decoders, masks, C = 128) beside other libraries' networks.

Every network has random weights, 100 detections or queries, and sees one image; in every round each takes one turn,
and ratios are taken within rounds. Ours is measured from the image to the panoptic map at its own size, torchvision's
Mask R-CNN with pasted masks (at the image's own size, not at 800 pixels), Mask2Former of transformers, where that is
installed (where it is not, the output says so), without any post-processing. `before` is our network with torchvision's
kernels, unfolded norms and channels first. Then one training step of the preset `cityscapes` on a crop of 512 x 512, as
it is now and `before`: with torchvision's kernels and the masks of all classes. And each network's memory for one
image, in a process of its own. At the end stand our aims, and which are met. On a busy machine take one thread and
processor time.

    python benchmarks/full_size.py --layers --sizes 512x1024 1024x2048 --rounds 5 --steps 3 --memory 1024x2048
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from aims import Aim, print_aims
from steps import Model, batches, recipe_and_data
from torchvision.models.detection import maskrcnn_resnet50_fpn

from unipan.build import build_network
from unipan.config import Config
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.inference import Segmenter
from unipan.models.detection.pooling import region_pool
from unipan.models.inference_form import for_inference
from unipan.models.semantic import DeformableConv
from unipan.ops.mask_logits import class_mask_logits
from unipan.presets import cityscapes
from unipan.processes import peak_memory
from unipan.reproduction.ablations import MODELS

Call = Callable[[np.ndarray], Any]
REFERENCE, OTHER_REFERENCE = "Mask R-CNN", "Mask2Former"
DETECTIONS = 100


@contextmanager
def torchvisions_kernels() -> Iterator[None]:
    """Deformable convolution and RoIAlign as they are on a GPU."""
    places = ("models.semantic", "models.detection.pooling", "ops.deformable")
    patches = [patch(f"unipan.{place}.samples_by_rows", lambda _: False) for place in places]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def settled(network: torch.nn.Module) -> torch.nn.Module:
    """A hundred layers of random residuals would overflow."""
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        if name.endswith("bn3.weight"):
            value.detach().fill_(0.1)
    return network.eval()


def narrowed(config: Config, tiny: bool) -> Config:
    """The recipe with every detection kept; `tiny` is for a test of this script."""
    config = replace(config, inference=replace(config.inference, score_threshold=0.0))
    if not tiny:
        return config
    return replace(
        config,
        backbone=replace(config.backbone, width=8, fpn_channels=16),
        decoder=replace(config.decoder, channels=16, groups=4),
        affinity=replace(config.affinity, channels=8),
        detection=replace(config.detection, box_features=16, mask_channels=8),
    )


def ours(kind: str, plain_decoders: bool = False, tiny: bool = False) -> Call:
    """`before`, `32` or `bf16`."""
    config = narrowed(cityscapes(), tiny)
    if plain_decoders:
        config = replace(config, decoder=replace(config.decoder, deformable=False))
    config = replace(config, data=replace(config.data, short_side=0))  # the image's own size, like the others
    torch.manual_seed(0)
    network = build_network(config, CITYSCAPES)
    settled(network)
    network.detection.roi.score_thresh, network.detection.roi.detections_per_img = 0.0, DETECTIONS
    if kind != "before":
        network = for_inference(network)
    segmenter = Segmenter(network, config, CITYSCAPES, {}, torch.device("cpu"), bf16=kind == "bf16")
    if kind != "before":
        return segmenter

    def before(image: np.ndarray) -> Any:
        with torchvisions_kernels():
            return segmenter(image)

    return before


def mask_rcnn(bf16: bool, size: tuple[int, int]) -> Call:
    """torchvision's, with channels last where it runs in bf16."""
    torch.manual_seed(0)
    network = settled(
        maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=9, min_size=size[0], max_size=size[1], box_score_thresh=0.0
        )
    )
    if bf16:
        network = network.to(memory_format=torch.channels_last)

    def run(image: np.ndarray) -> Any:
        pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network([pixels])

    return run


def mask2former(bf16: bool) -> Call | None:
    """transformers', with a ResNet-50; None where the package is missing."""
    try:
        from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig
    except ImportError:
        return None
    backbone = ResNetConfig(depths=[3, 4, 6, 3], out_features=["stage1", "stage2", "stage3", "stage4"])
    torch.manual_seed(0)
    network = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=backbone)).eval()

    def run(image: np.ndarray) -> Any:
        pixels = torch.from_numpy(image).permute(2, 0, 1).float()[None] / 255
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network(pixels)

    return run


def makers(size: tuple[int, int], tiny: bool = False) -> dict[str, Callable[[], Call | None]]:
    """Every network by its name; ours narrow, if they are for a test of this script."""
    return {
        REFERENCE: lambda: mask_rcnn(False, size),
        "Mask R-CNN, bf16": lambda: mask_rcnn(True, size),
        OTHER_REFERENCE: lambda: mask2former(False),
        "Mask2Former, bf16": lambda: mask2former(True),
        "before": lambda: ours("before", tiny=tiny),
        "deformable": lambda: ours("32", tiny=tiny),
        "deformable, bf16": lambda: ours("bf16", tiny=tiny),
        "plain": lambda: ours("32", plain_decoders=True, tiny=tiny),
        "plain, bf16": lambda: ours("bf16", plain_decoders=True, tiny=tiny),
    }


def drawn_image(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def time_images(args: argparse.Namespace, size: tuple[int, int], clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds per image of every network, in turn; the first round warms up."""
    image, seconds = drawn_image(size), dict[str, list[float]]()
    made = makers(size, args.tiny)
    networks = {name: call for name in args.networks if (call := made[name]()) is not None}
    for turn in range(args.rounds + 1):
        for name, call in networks.items():
            start = clock()
            call(image)
            if turn:
                seconds.setdefault(name, []).append(clock() - start)
    print(f"{size[0]} x {size[1]}: seconds; ratios within a round, median (lowest to highest)")
    for name, each in seconds.items():
        told = [
            f"{spread(ratios(each, seconds[reference]))} of {reference}"
            for reference in (REFERENCE, OTHER_REFERENCE)
            if reference in seconds
        ]
        print("   ".join([f"  {name:20} {spread(each)}", *told]), flush=True)
    return seconds


def ratios(these: list[float], those: list[float]) -> list[float]:
    """Of two networks, round by round."""
    return [one / other for one, other in zip(these, those, strict=True)]


def time_steps(count: int, tiny: bool, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds per training step of one network with either form, in turn on the same crops; the first crop warms up."""
    recipe, data = recipe_and_data(not tiny, False, count + 1)
    seen = batches(recipe, data, count + 1)
    model = Model(MODELS["D"].build(recipe), data.categories)
    logits_now = model.mask_logits
    seconds: dict[str, list[float]] = {"before": [], "now": []}
    for number, (images, targets) in enumerate(seen):
        for name, taken in seconds.items():
            model.mask_logits = partial(class_mask_logits, plain=True) if name == "before" else logits_now
            start = clock()
            with torchvisions_kernels() if name == "before" else nullcontext():
                model.take(number, images, targets)
            if number:
                taken.append(clock() - start)
    what = "tiny" if tiny else "512 x 512"
    print(f"training step, {what}, bf16 {model.step.bf16}: seconds before, now; ratio")
    ratio = spread(ratios(seconds["now"], seconds["before"]))
    print(f"  {spread(seconds['before'])}   {spread(seconds['now'])}   {ratio}", flush=True)
    return seconds


def layers() -> dict[str, Callable[[bool], Any]]:
    """One deformable layer on P2 of 512 x 1024, and RoIAlign of the box head and of the mask head, with gradients."""
    generator = torch.Generator().manual_seed(0)
    size = (512, 1024)
    shapes = [(1, 256, size[0] >> level, size[1] >> level) for level in (2, 3, 4, 5)]
    maps = [torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last) for shape in shapes]
    features = {f"p{level}": each.requires_grad_() for level, each in zip((2, 3, 4, 5), maps, strict=True)}
    layer = DeformableConv(in_channels=256, out_channels=128).to(memory_format=torch.channels_last)
    torch.nn.init.normal_(layer.offset.weight, std=0.03)
    corner = torch.rand(1000, 2, generator=generator) * torch.tensor([size[1], size[0]])
    boxes = torch.cat([corner, corner + torch.exp(1.5 + 4.5 * torch.rand(1000, 2, generator=generator))], 1)
    pools = [
        (region_pool(side, sampling_ratio=2, canonical=224), boxes[:count]) for side, count in ((7, 1000), (14, 100))
    ]
    return {
        "deformable, 256 to 128, 128 x 256": lambda bf16: layer(features["p2"].bfloat16() if bf16 else features["p2"]),
        **{
            f"RoIAlign, {len(some)} boxes of {pool.output_size[0]} x {pool.output_size[0]}": (
                lambda _, pool=pool, some=some: pool(features, [some], [])
            )
            for pool, some in pools
        },
    }


def time_layers(rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Milliseconds of each layer, forward and with its backward pass, by torchvision's kernel and by rows."""
    seconds: dict[str, list[float]] = {}
    forms = {"torchvision": (True, False), "rows": (False, False), "rows, bf16": (False, True)}
    for turn in range(rounds + 1):
        for name, call in layers().items():
            for form, (kernels, bf16) in forms.items():
                if bf16 and not name.startswith("deformable"):
                    continue
                with torchvisions_kernels() if kernels else nullcontext(), torch.autocast("cpu", enabled=bf16):
                    start = clock()
                    output = call(bf16)
                    middle = clock()
                output.sum().backward()
                if turn:
                    seconds.setdefault(f"{name}, {form}, forward", []).append(middle - start)
                    seconds.setdefault(f"{name}, {form}, both", []).append(clock() - start)
    print("layers, ms: median (lowest to highest)")
    for name, each in seconds.items():
        print(f"  {name:62} {spread([1e3 * one for one in each])}", flush=True)
    return seconds


def memory_of(name: str, size: tuple[int, int], tiny: bool) -> float:
    """GiB that one image adds to the peak of this process, which has seen a small one."""
    call = makers(size, tiny)[name]()
    if call is None:
        return float("nan")
    call(drawn_image((64, 128)))
    before = peak_memory() or 0
    call(drawn_image(size))
    return ((peak_memory() or 0) - before) / 2**30


def memories(args: argparse.Namespace) -> dict[str, float]:
    """`memory_of` each network, and its ratios to the other libraries' networks."""
    print(f"memory of one image of {args.memory}, GiB")
    found: dict[str, float] = {}
    for name in args.networks:
        command = [sys.executable, __file__, "--one", name, "--memory", args.memory, "--threads", str(args.threads)]
        command += ["--tiny"] if args.tiny else []
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if not math.isnan(taken := float(said.split()[-1])):
            found[name] = taken
    for name, taken in found.items():
        told = [
            f"{taken / found[reference]:.2f} of {reference}"
            for reference in (REFERENCE, OTHER_REFERENCE)
            if found.get(reference)
        ]
        print("   ".join([f"  {name:20} {taken:.2f}", *told]), flush=True)
    return found


def aims(report: dict[str, Any]) -> list[Aim]:
    """What was measured beside what we aim at."""
    wanted = (
        ("512x1024", "deformable", REFERENCE, 0.95),
        ("512x1024", "deformable, bf16", REFERENCE, 0.6),
        ("512x1024", "deformable, bf16", OTHER_REFERENCE, 0.45),
        ("1024x2048", "deformable, bf16", REFERENCE, 1.0),
    )
    found = []
    for size, ours_, theirs, aim in wanted:
        if {ours_, theirs} <= (seconds := report.get(size, {})).keys():
            ratio = statistics.median(ratios(seconds[ours_], seconds[theirs]))
            found.append((f"{ours_}, {size}, time relative to {theirs}", ratio, aim))
    memory = report.get("memory", {})
    if report.get("memory of") == "1024x2048" and {"deformable", REFERENCE} <= memory.keys():
        ratio = memory["deformable"] / memory[REFERENCE]
        found.append((f"deformable, 1024x2048, memory relative to {REFERENCE}", ratio, 0.5))
    if steps := report.get("steps"):
        ratio = statistics.median(ratios(steps["now"], steps["before"]))
        found.append(("training step, time relative to before", ratio, 0.35))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["512x1024"], help="height x width")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=0, help="training steps with either form")
    parser.add_argument("--layers", action="store_true", help="deformable convolution and RoIAlign by themselves")
    parser.add_argument("--memory", help="height x width; each network in a process of its own")
    parser.add_argument("--networks", nargs="+", default=list(makers((1, 1))))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="narrow networks, for a test of this script")
    parser.add_argument("--one", help="print the GiB of this network alone")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.perf_counter if args.clock == "wall" else time.process_time
    sizes = {text: (int(text.split("x")[0]), int(text.split("x")[1])) for text in [*args.sizes, args.memory or "1x1"]}
    if args.one:
        print(memory_of(args.one, sizes[args.memory], args.tiny))
        return
    if find_spec("transformers") is None and any(name.startswith(OTHER_REFERENCE) for name in args.networks):
        print(f"{OTHER_REFERENCE} is left out: transformers is not installed (pip install transformers)")
    report: dict[str, Any] = {"threads": args.threads, "clock": args.clock, "torch": torch.__version__}
    for text in args.sizes:
        report[text] = time_images(args, sizes[text], clock)
    if args.layers:
        report["layers"] = time_layers(args.rounds, clock)
    if args.steps:
        report["steps"] = time_steps(args.steps, args.tiny, clock)
    if args.memory:
        report |= {"memory of": args.memory, "memory": memories(args)}
    print_aims(aims(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
