"""NOT RUN YET on a GPU: no machine with one was at hand. On a CPU, at tiny size, tests/test_gpu_script.py runs it.

The full network on one GPU, in less than ten minutes: inference at 1024 x 2048 in fp32 and bf16, channels last, with
and without `torch.compile` of backbone and decoder of V, beside torchvision's Mask R-CNN, transformers'
Mask2Former R-50 where that is installed, and our two baselines (Panoptic FPN, UPSNet); training steps of the models A
to D on a crop of 512 x 512; and, by the profiler, whether Psi and P wait for the GPU. The paper has 197 ms for its own
network, 201 for UPSNet, 386 for Panoptic FPN (RTX 2080 Ti).

    python benchmarks/gpu.py --json gpu.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from full_size import DETECTIONS, narrowed, settled
from inference import drawn_detections
from steps import Model, batches, recipe_and_data
from torch.profiler import ProfilerActivity, profile
from torchvision.models.detection import maskrcnn_resnet50_fpn

from unipan.build import build_network
from unipan.config import Config
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.models.inference_form import for_inference
from unipan.models.network import PanopticNetwork
from unipan.presets import cityscapes, panoptic_fpn, upsnet
from unipan.reproduction.ablations import MODELS
from unipan.structures import Detections, ImageBatch
from unipan.training.step import runs_bf16

Run = Callable[[torch.Tensor], Any]
SYNCHRONISING = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "aten::_local_scalar_dense")


def milliseconds(run: Callable[[], Any], device: torch.device) -> float:
    """Of one call, until the GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def network_of(config: Config, device: torch.device) -> PanopticNetwork:
    """Random weights, batch norm folded, channels last."""
    torch.manual_seed(0)
    network = build_network(config, CITYSCAPES)
    settled(network)
    network.detection.roi.score_thresh, network.detection.roi.detections_per_img = 0.0, DETECTIONS
    return for_inference(network).to(device)


def ours(network: PanopticNetwork, bf16: bool, compiled: bool = False) -> Run:
    """From pixels to the argmax of P on its grid."""
    if compiled:
        network.backbone = torch.compile(network.backbone)  # type: ignore[assignment]
        network.semantic = torch.compile(network.semantic)  # type: ignore[assignment]

    def run(pixels: torch.Tensor) -> Any:
        size = (pixels.shape[2], pixels.shape[3])
        with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
            return network(ImageBatch(pixels, [size], ["drawn"])).panoptic[0].argmax(0)

    return run


def mask_rcnn(bf16: bool, size: tuple[int, int], device: torch.device) -> Run:
    sides = {"min_size": size[0], "max_size": size[1], "box_score_thresh": 0.0}
    network = settled(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=9, **sides))
    network = network.to(device, memory_format=torch.channels_last)

    def run(pixels: torch.Tensor) -> Any:
        with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
            return network(list(pixels))

    return run


def mask2former(bf16: bool, device: torch.device) -> Run | None:
    try:
        from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig
    except ImportError:
        return None
    backbone = ResNetConfig(depths=[3, 4, 6, 3], out_features=["stage1", "stage2", "stage3", "stage4"])
    network = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=backbone)).eval().to(device)

    def run(pixels: torch.Tensor) -> Any:
        with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
            return network(pixels)

    return run


def images(args: argparse.Namespace, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds per image, in turn."""
    size = (args.height, args.width)
    pixels = torch.rand(1, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
    full = narrowed(cityscapes(), args.tiny)
    baselines = {"Panoptic FPN": panoptic_fpn(cityscapes()), "UPSNet": upsnet(cityscapes())}
    runs: dict[str, Run | None] = {}
    for bf16 in (False, True):
        name = "bf16" if bf16 else "fp32"
        runs[f"ours, {name}"] = ours(network_of(full, device), bf16)
        if not args.no_compile:
            runs[f"ours compiled, {name}"] = ours(network_of(full, device), bf16, compiled=True)
        for baseline, config in baselines.items():
            runs[f"{baseline}, {name}"] = ours(network_of(narrowed(config, args.tiny), device), bf16)
        if not args.tiny:
            runs[f"Mask R-CNN, {name}"] = mask_rcnn(bf16, size, device)
            runs[f"Mask2Former, {name}"] = mask2former(bf16, device)
    found: dict[str, list[float]] = {}
    for turn in range(args.rounds + 3):  # three to warm up and to compile
        for name, run in runs.items():
            if run is not None:
                taken = milliseconds(lambda run=run: run(pixels), device)
                if turn >= 3:
                    found.setdefault(name, []).append(taken)
    return found


def training(args: argparse.Namespace, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds per step of each of the paper's models, in turn on the same crops."""
    recipe, data = recipe_and_data(not args.tiny, False, args.rounds + 1)
    seen = batches(recipe, data, args.rounds + 1)
    models = {name: Model(MODELS[name].build(recipe), data.categories) for name in ("A", "B", "C", "D")}
    found: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.step.to(device)
        model.step.bf16 = runs_bf16("auto", device)
    for number, (batch, targets) in enumerate(seen):
        moved, wanted = batch.to(device), [target.to(device) for target in targets]
        for name, model in models.items():
            taken = milliseconds(lambda m=model, n=number, b=moved, w=wanted: m.take(n, b, w), device)
            if number:
                found[name].append(taken)
    return found


@torch.no_grad()
def synchronisations(args: argparse.Namespace, device: torch.device) -> dict[str, int]:
    """How often Psi and P of one image make the host wait: calls by name."""
    network = network_of(narrowed(cityscapes(), args.tiny), device)
    size = (args.height, args.width)
    drawn = drawn_detections(DETECTIONS, size, len(CITYSCAPES.things), 28)
    assert drawn.masks is not None
    found = Detections(*(each.to(device) for each in (drawn.boxes, drawn.scores, drawn.classes, drawn.masks)))
    cells = (size[0] // 4, size[1] // 4)
    v = torch.randn(len(CITYSCAPES), *cells, device=device)
    assert network.affinity is not None
    q = torch.randn(network.affinity.phi0.in_channels, *cells, device=device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    network.affinity(network.potential(v, found), q)
    with profile(activities=activities) as seen:
        network.affinity(network.potential(v, found), q)
    return {event.key: event.count for event in seen.key_averages() if event.key in SYNCHRONISING}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="narrow networks, for a test of this script")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = torch.device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    report: dict[str, Any] = {"device": name, "torch": torch.__version__, "size": [args.height, args.width]}
    for title, measure in (("images", images), ("training", training)):
        report[title] = measure(args, device)
        print(f"{title}, ms: median (lowest to highest)")
        for row, each in report[title].items():
            print(f"  {row:24} {statistics.median(each):8.1f} ({min(each):.1f} to {max(each):.1f})", flush=True)
    for one, other in (("A", "B"), ("C", "D")):
        ratios = [b / a for a, b in zip(report["training"][one], report["training"][other], strict=True)]
        print(f"  {other}/{one} {statistics.median(ratios):.2f}")
    report["synchronisations"] = synchronisations(args, device)
    print(f"waits in Psi and P: {report['synchronisations'] or 'none'}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
