#!/usr/bin/env bash
# supervision 0.31.2 with pycocotools 2.0.11, Python 3.11.
# Guess: DetectionDataset.as_coco writes instance masks that come back as they were, at least to a pixel of outline, each
# as an object of its own.
# Seen: three objects, three fates, in one file. A solid one is a polygon through the centres of its outermost pixels, so
# pycocotools reads 81 of 100 pixels, while `area` says 100. One with a hole, or in two parts, is a run-length mask, exact
# to the pixel, but with iscrowd = 1, so every evaluator takes the object for a crowd and counts neither hit nor miss. One
# that is a single pixel high gets `segmentation: []` with its true `area` and a box of height 0: pycocotools raises an
# IndexError, and supervision's own reader returns an empty mask.
# Output seen: "solid: 81 of 100 pixels, iscrowd 0; with a hole: 300 of 300 pixels, iscrowd 1; thin: segmentation [] of
# area 25"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check supervision==0.31.2 pycocotools==2.0.11
env/bin/python -W ignore - <<'PY'
import json

import numpy as np
import supervision as sv
from PIL import Image
from pycocotools import mask as coco_mask

masks = np.zeros((3, 64, 64), bool)
masks[0, 10:20, 10:20] = True
masks[1, 40:60, 10:30], masks[1, 45:55, 15:25] = True, False
masks[2, 30, 5:30] = True
Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("a.png")
found = sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=np.zeros(3, int))
sv.DetectionDataset(classes=["cell"], images=["a.png"], annotations={"a.png": found}).as_coco(annotations_path="a.json")
solid, holed, thin = json.load(open("a.json"))["annotations"]


def pixels(segmentation: object) -> int:
    if isinstance(segmentation, list):
        return int(coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(segmentation, 64, 64))))
    return int(coco_mask.area(coco_mask.frPyObjects(segmentation, 64, 64)))


print(
    f"solid: {pixels(solid['segmentation'])} of {masks[0].sum()} pixels, iscrowd {solid['iscrowd']}; "
    f"with a hole: {pixels(holed['segmentation'])} of {masks[1].sum()} pixels, iscrowd {holed['iscrowd']}; "
    f"thin: segmentation {thin['segmentation']} of area {thin['area']:g}"
)
assert (pixels(solid["segmentation"]), solid["area"], solid["iscrowd"]) == (81, 100, 0)
assert (pixels(holed["segmentation"]), holed["iscrowd"]) == (300, 1)
assert (thin["segmentation"], thin["area"]) == ([], 25)
PY
