"""How many pixels get another segment if a network runs in bf16, or with folded batch norm and channels last.

python experiments/sixteen_bits.py scenes FOLDER_OF_PHOTOGRAPHS... --images 6
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from unipan.checkpoint import load_checkpoint
from unipan.inference import Segmenter


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pixels that lie in the same segment; segments of two maps belong together by their overlap."""
    pairs, counts = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1, return_counts=True)
    best: dict[int, int] = {}
    for own, count in zip(pairs[0].tolist(), counts.tolist(), strict=True):
        best[own] = max(best.get(own, 0), count)
    return sum(best.values()) / one.size


def main() -> None:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=6, help="of each folder, the first ones")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = load_checkpoint(args.checkpoint)
    plain = Segmenter(found.network, found.config, found.categories, found.metrics, torch.device("cpu"))
    loaded = Segmenter.load(args.checkpoint)
    for folder in args.folders:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))[: args.images]
        rows = []
        for path in paths:
            first = plain(path).ids
            rows.append([agreement(first, each(path).ids) for each in (loaded, replace(loaded, bf16=True))])
        (folded, bf16), (worst, lowest) = np.mean(rows, 0), np.min(rows, 0)
        print(f"{folder}: {len(rows)} images; folded {folded:.4%} (lowest {worst:.4%}), bf16 {bf16:.2%} ({lowest:.2%})")


if __name__ == "__main__":
    main()
