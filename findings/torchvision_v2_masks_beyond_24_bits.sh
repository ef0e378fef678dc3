#!/usr/bin/env bash
# torchvision 0.29.1 with torch 2.14.1, Python 3.11.
# Guess: v2 transforms move the values of a `tv_tensors.Mask` about (nearest neighbour) and change none, as hflip and crop
# do; an int64 mask of instance ids comes back with the ids that it had.
# Seen: Resize, RandomAffine, RandomPerspective (and whatever is built on them) compute masks in 32-bit floats and cast back
# to the mask's own type. Beyond 2^24 only every second integer exists there: two touching objects with the ids 2^24 and
# 2^24 + 1 are one object afterwards, in int32 and in int64, also where the transform is the identity. Flip, crop, pad and
# right-angled rotation keep both. COCO's 24-bit ids just fit; class * 2^24 + instance, hashes and other 32-bit ids do not.
# Output seen: "int64: hflip 2 objects, crop 2, resize 1, affine by nothing 1, perspective by nothing 1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1
env/bin/python - <<'PY'
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

MOVES = {
    "hflip": v2.RandomHorizontalFlip(1),
    "crop": v2.CenterCrop(6),
    "resize": v2.Resize([16, 16]),
    "affine by nothing": v2.RandomAffine(0),
    "perspective by nothing": v2.RandomPerspective(0.0, p=1),
}
for dtype in (torch.int32, torch.int64):
    ids = torch.full((8, 8), 2**24, dtype=dtype)
    ids[:, 4:] += 1
    found = {name: move(tv_tensors.Mask(ids)) for name, move in MOVES.items()}
    counts = {name: mask.unique().numel() for name, mask in found.items()}
    words = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"{str(dtype).removeprefix('torch.')}: {words.replace(' 2', ' 2 objects', 1)}")
    assert all(mask.dtype == dtype for mask in found.values())
    assert list(counts.values()) == [2, 2, 1, 1, 1]
PY
