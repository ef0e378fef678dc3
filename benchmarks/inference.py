"""What the panoptic head costs at inference: potential, affinities and argmax beside the network that feeds them.

A published recipe with random weights at its full width sees one image; the detections are drawn, so that their number
is known. The network's time has everything up to V, Q and the detections. Medians of --rounds; sizes and numbers of
detections are measured in turn.

    python benchmarks/inference.py [--preset cityscapes] [--sizes 512x1024 1024x2048] [--detections 10 40 100]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unipan.build import build_network
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.fusion.argmax import decode
from unipan.models.network import PanopticNetwork
from unipan.presets import PUBLISHED
from unipan.structures import Detections, Geometry, ImageBatch


def milliseconds(work: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def drawn_detections(count: int, size: tuple[int, int], things: int, masks: int | None) -> Detections:
    """Boxes of 2 to 20 % of the image's sides, as those of a street."""
    generator = torch.Generator().manual_seed(count)
    sides = torch.tensor([size[1], size[0]])
    corner = torch.rand(count, 2, generator=generator) * 0.8 * sides
    extent = (0.02 + 0.18 * torch.rand(count, 2, generator=generator)) * sides
    return Detections(
        torch.cat([corner, corner + extent], 1),
        0.5 + 0.5 * torch.rand(count, generator=generator),
        torch.randint(things, (count,), generator=generator),
        None if masks is None else torch.randn(count, masks, masks, generator=generator),
    )


@torch.no_grad()
def measure(network: PanopticNetwork, name: str, size: tuple[int, int], counts: list[int], rounds: int) -> list[dict]:
    """A row per number of detections: milliseconds of Psi, P, argmax, and of the network."""
    config = PUBLISHED[name]()
    categories = coco_categories() if name.startswith("coco") else CITYSCAPES
    pixels = torch.rand(1, 3, *size).contiguous(memory_format=torch.channels_last)
    images, geometry = ImageBatch(pixels, [size], ["drawn"]), Geometry(size, size, config.decoder.stride)
    assert network.affinity is not None

    def everything_before() -> tuple[torch.Tensor, torch.Tensor]:
        features = network.backbone((pixels - network.mean) / network.std)
        network.detection(features, images, None)
        return network.semantic(features)[0], network.affinity.extract(features)[0]  # type: ignore[union-attr]

    v, q = everything_before()
    times = [milliseconds(everything_before) for _ in range(max(rounds // 3, 1))]
    # Large segments with outlines, as a trained V has: the argmax looks longer at pixels whose neighbours differ.
    coarse = torch.randn(1, len(v), *(max(side // 16, 1) for side in v.shape[1:]))
    v = 5 * torch.nn.functional.interpolate(coarse, v.shape[1:], mode="bilinear")[0]
    found: dict[int, list[tuple[float, ...]]] = {count: [] for count in counts}
    mask_size = config.detection.mask_size if config.detection.masks else None
    for _ in range(rounds):
        for count in counts:
            detections = drawn_detections(count, size, len(categories.things), mask_size)
            psi = network.potential(v, detections)
            p = network.affinity(psi, q)
            steps = (
                lambda d=detections: network.potential(v, d),
                lambda psi=psi: network.affinity(psi, q),  # type: ignore[misc]
                lambda p=p, d=detections: decode(p, d, categories, geometry),
            )
            found[count].append(tuple(milliseconds(step) for step in steps))
    rows = []
    for count, each in found.items():
        parts = [statistics.median(column) for column in zip(*each, strict=True)]
        rows.append({"size": size, "detections": count, "network": statistics.median(times)})
        rows[-1] |= dict(zip(("potential", "affinity", "argmax"), parts, strict=True)) | {"head": sum(parts)}
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=[*PUBLISHED], default="cityscapes")
    parser.add_argument("--sizes", nargs="+", default=["512x1024", "1024x2048"], help="height x width, in pixels")
    parser.add_argument("--detections", nargs="+", type=int, default=[10, 40, 100])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    categories = coco_categories() if args.preset.startswith("coco") else CITYSCAPES
    network = build_network(PUBLISHED[args.preset](), categories).eval().to(memory_format=torch.channels_last)
    rows: list[dict[str, Any]] = []
    for text in args.sizes:
        height, width = map(int, text.split("x"))
        rows += measure(network, args.preset, (height, width), args.detections, args.rounds)
    print("  size        detections   network   potential  affinity  argmax   head, ms   of the network")
    for row in rows:
        parts = "".join(f"{row[part]:10.1f}" for part in ("network", "potential", "affinity", "argmax", "head"))
        size = " x ".join(map(str, row["size"]))
        print(f"  {size:12}{row['detections']:8}  {parts}   {row['head'] / row['network']:10.1%}")
    detections = np.array([row["detections"] for row in rows])
    megapixels = np.array([np.prod(row["size"]) / 1e6 for row in rows])
    # head = a Mpx + b D Mpx: every channel is as large as the image
    terms = np.stack([megapixels, detections * megapixels], 1)
    a, b = np.linalg.lstsq(terms, np.array([row["head"] for row in rows]), rcond=None)[0]
    print(f"  head = {a:.1f} ms per megapixel + {b:.2f} ms per detection and megapixel")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
