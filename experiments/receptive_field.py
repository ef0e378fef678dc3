"""How far Q sees: the share of the gradient of a cell's Q that falls within a radius of it, in pixels.

Through squeeze-and-excite every Q depends on the whole image; this measures by how much (arXiv 1701.04128). V is
measured in the same way for comparison.

    python experiments/receptive_field.py scenes --images 12
"""

import argparse
import json

import numpy as np
import torch

from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import VALIDATION_SEEDS
from unipan.datasets.transforms import collate, resize_image
from unipan.inference import Segmenter

SHARES = (0.5, 0.9, 0.99)


def radii(
    segmenter: Segmenter, picture: np.ndarray, cells: int, generator: np.random.Generator
) -> dict[str, list[list[float]]]:
    """For each map and cell, the radii that contain SHARES of the squared gradient."""
    network = segmenter.network
    assert network.affinity is not None
    batch = collate([(resize_image(picture, segmenter.config.data), "image")])
    pixels = batch.pixels.requires_grad_()
    features = network.backbone((pixels - network.mean) / network.std)
    found: dict[str, list[list[float]]] = {}
    for name, maps in (("Q", network.affinity.extract(features)), ("V", network.semantic(features))):
        height, width = maps.shape[-2:]
        stride = pixels.shape[-1] // width
        for _ in range(cells):
            y, x = generator.integers(height), generator.integers(width)
            # A random mixture of the channels: its squared gradient is that of all of them, on average.
            mixture = torch.from_numpy(generator.standard_normal(maps.shape[1])).to(maps.dtype)
            (gradient,) = torch.autograd.grad(maps[0, :, y, x] @ mixture, pixels, retain_graph=True)
            energy = gradient[0].square().sum(0).numpy()
            rows, columns = np.indices(energy.shape)
            distance = np.hypot(rows - stride * (y + 0.5), columns - stride * (x + 0.5)).ravel()
            order = np.argsort(distance)
            held = np.cumsum(energy.ravel()[order])
            found.setdefault(name, []).append(
                [float(distance[order][np.searchsorted(held, s * held[-1])]) for s in SHARES]
            )
    return found


def main() -> None:
    """One JSON line: medians over images and cells, and the median size of the things."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="scenes")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--cells", type=int, default=10)
    args = parser.parse_args()
    segmenter, scenes = Segmenter.load(args.checkpoint), Scenes(VALIDATION_SEEDS)
    generator = np.random.default_rng(0)
    every: dict[str, list[list[float]]] = {"Q": [], "V": []}
    sides = []
    for index in range(args.images):
        sample = scenes[index]
        sides += [np.sqrt(segment.bbox[2] * segment.bbox[3]) for segment in sample.truth if segment.isthing]
        for name, found in radii(segmenter, sample.image, args.cells, generator).items():
            every[name] += found
    row = {
        name: dict(zip(map(str, SHARES), np.median(each, axis=0).round(1).tolist(), strict=True))
        for name, each in every.items()
    }
    print(
        json.dumps(
            {
                "checkpoint": args.checkpoint,
                "images": args.images,
                "cells": args.cells,
                "radius in pixels": row,
                "median side of things": round(float(np.median(sides)), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
