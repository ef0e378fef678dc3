#!/usr/bin/env bash
# torchvision 0.29.1 with torch 2.14.1, Python 3.11.
# Guess: MultiScaleRoIAlign, which is given the sizes of the images at every call to infer the scales of the levels
# ("this allows us to infer the scale factor for each one of the levels"), infers them at every call.
# Seen: it infers them at the first call and keeps them, without a buffer or a line in the documentation. A first image
# of 33 pixels, whose coarsest map has 2 cells, gives the strides 4, 8, 8, 16 in the place of 4, 8, 16, 32, and from
# then on every image of the process is pooled from wrong places and wrong levels; another order of the same images
# gives other results. Pad to the coarsest stride before the first call, or set `scales` and `map_levels` again.
# Output seen: "after a first image of 33 pixels: strides 4 8 8 16; a box of 448: 1.00 of the pooled values differ"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1
env/bin/python - <<'PY'
import torch
from torchvision.ops import MultiScaleRoIAlign

LEVELS = ("p2", "p3", "p4", "p5")


def features(side: int) -> dict[str, torch.Tensor]:
    """Each cell says where it is and on which level."""
    found = {}
    for level, name in enumerate(LEVELS, 2):
        cells = -(-side // 2**level)
        found[name] = 1000.0 * level + torch.arange(cells * cells).view(1, 1, cells, cells)
    return found


def pooled(first: int) -> tuple[torch.Tensor, list[float]]:
    pool = MultiScaleRoIAlign(LEVELS, 7, 2)
    pool(features(first), [torch.tensor([[1.0, 1, 9, 9]])], [(first, first)])
    found = pool(features(512), [torch.tensor([[32.0, 32, 480, 480]])], [(512, 512)])
    return found, pool.scales


right, _ = pooled(512)
wrong, scales = pooled(33)
share = (right != wrong).float().mean().item()
strides = " ".join(f"{1 / scale:.0f}" for scale in scales)
print(f"after a first image of 33 pixels: strides {strides}; a box of 448: {share:.2f} of the pooled values differ")
assert strides == "4 8 8 16"
assert share == 1
PY
