#!/usr/bin/env bash
# torch 2.13.0, Pillow 12.3.0, opencv-python-headless 5.0.0.93, Python 3.11.
# Guess: `interpolate(mode="nearest-exact")` takes for every pixel the source pixel that its centre lies in, as Pillow does
# (its documentation says that both match) and OpenCV's INTER_NEAREST_EXACT; label maps may be resized by any of them.
# Seen: Pillow and OpenCV agree at all 16,384 pairs of sizes up to 128. torch differs from them at 2,946 pairs, 18 %, and
# only where a centre lies exactly between two source pixels: 2 pixels enlarged to 7, for example, whose fourth is 1 in
# torch and 0 in the others. Nobody has a rule for these: at 323 pairs torch takes the lower one (2 enlarged to 61), at
# 2,848 the others do, by their rounding. A truth resized by one and a prediction by another differ by whole columns.
# Output seen: "pairs of sizes that differ: Pillow and OpenCV 0, torch and Pillow 2946, all of them only at ties"
# Output seen: "a tie goes to the lower pixel: torch 323, Pillow 2848 of 16384; 2 -> 7: torch [0, 0, 0, 1, 1, 1, 1], Pillow [0, 0, 0, 0, 1, 1, 1]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 pillow==12.3.0 opencv-python-headless==5.0.0.93
env/bin/python - <<'PY'
import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate


def resized(size, to):
    row = np.arange(size, dtype=np.uint8)[None]
    torchs = interpolate(torch.from_numpy(row)[None].float(), size=to, mode="nearest-exact")[0, 0].numpy().astype(int)
    opencvs = cv2.resize(row, (to, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0].astype(int)
    pillows = np.asarray(Image.fromarray(row).resize((to, 1), Image.Resampling.NEAREST))[0].astype(int)
    return torchs, opencvs, pillows


opencv_pillow = torch_pillow = torch_lower = pillow_lower = elsewhere = 0
for size in range(1, 129):
    for to in range(1, 129):
        twice = (2 * np.arange(to) + 1) * size
        upper, tie = twice // (2 * to), twice % (2 * to) == 0
        torchs, opencvs, pillows = resized(size, to)
        opencv_pillow += (opencvs != pillows).any()
        torch_pillow += (torchs != pillows).any()
        torch_lower += (torchs < upper).any()
        pillow_lower += (pillows < upper).any()
        elsewhere += any((found != upper)[~tie].any() or (found > upper).any() for found in (torchs, opencvs, pillows))
assert elsewhere == 0
print(f"pairs of sizes that differ: Pillow and OpenCV {opencv_pillow}, torch and Pillow {torch_pillow}, all of them only at ties")
torchs, _, pillows = (found.tolist() for found in resized(2, 7))
print(f"a tie goes to the lower pixel: torch {torch_lower}, Pillow {pillow_lower} of {128**2}; 2 -> 7: torch {torchs}, Pillow {pillows}")
assert (opencv_pillow, torch_pillow, torch_lower, pillow_lower) == (0, 2946, 323, 2848)
PY
