#!/usr/bin/env bash
# transformers 5.14.0 with torch 2.14.1 and torchvision 0.29.1, Python 3.11.
# Guess: `post_process_panoptic_segmentation` gives an int32 map of segment ids and one entry of `segments_info` for each id.
# Seen: where `label_ids_to_fuse` joins several queries into one segment, the segment is listed once for each query, with
# the same id; whatever makes a COCO JSON of the list, or sums over it, has the segment twice. And where no query is left,
# the map is of another type: float32, filled with -1, which is also the only case in which the id -1 occurs for every pixel
# and in which the map cannot be used as an index or be looked up in a table.
# Output seen: "two queries of one stuff class: ids [1], listed [1, 1], torch.int32"
# Output seen: "no query above the threshold: ids [-1.0], listed [], torch.float32"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6 transformers==5.14.0
env/bin/python -W ignore - <<'PY'
from types import SimpleNamespace

import torch
from transformers import Mask2FormerImageProcessor

processor = Mask2FormerImageProcessor()
left = torch.full((8, 8), -9.0)
left[:, :4] = 9
masks = torch.stack([left, -left])  # one query for each half


def segment(label):
    logits = torch.full((2, 4), -9.0)  # three classes, and none
    logits[:, label] = 9
    outputs = SimpleNamespace(class_queries_logits=logits[None], masks_queries_logits=masks[None])
    found = processor.post_process_panoptic_segmentation(outputs, target_sizes=[(8, 8)], label_ids_to_fuse={2})[0]
    ids, listed = found["segmentation"].unique().tolist(), [each["id"] for each in found["segments_info"]]
    return ids, listed, found["segmentation"].dtype


for what, label in (("two queries of one stuff class", 2), ("no query above the threshold", 3)):
    ids, listed, dtype = segment(label)
    print(f"{what}: ids {ids}, listed {listed}, {dtype}")
assert segment(2) == ([1], [1, 1], torch.int32)
assert segment(3) == ([-1.0], [], torch.float32)
PY
