"""transformers' post-processing of Mask2Former, run in an environment of its own: `python transformers_fused.py OUT`.

Without weights: the logits are made by hand. Two queries see the same road, two see cars, one sees nothing; the second
image has nothing at all.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import Mask2FormerImageProcessor

CAR, ROAD, CLASSES = 0, 1, 2
height, width = 24, 32
logits = torch.full((2, 5, CLASSES + 1), -9.0)
for image in range(2):
    for query, label in enumerate((ROAD, ROAD, CAR, CAR, CLASSES)):
        logits[image, query, CLASSES if image else label] = 9.0
masks = torch.full((2, 5, height, width), -9.0)
masks[:, 0, 12:, :16] = masks[:, 1, 12:, 16:] = masks[:, 2, 2:8, 2:10] = masks[:, 3, 2:8, 14:22] = 9.0
outputs = SimpleNamespace(class_queries_logits=logits, masks_queries_logits=masks)
found = Mask2FormerImageProcessor().post_process_panoptic_segmentation(
    outputs, label_ids_to_fuse={ROAD}, target_sizes=[(height, width)] * 2
)
for name, each in zip("ab", found, strict=True):
    content = {"segmentation": each["segmentation"].tolist(), "segments_info": each["segments_info"]}
    Path(sys.argv[1], f"{name}.json").write_text(json.dumps(content))
