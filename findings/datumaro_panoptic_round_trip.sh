#!/usr/bin/env bash
# datumaro 1.13.12, numpy 2.2.6, Pillow 12.3.0, Python 3.11.
# Guess: a dataset in COCO panoptic format that is imported and exported again by datumaro, both times as `coco_panoptic`,
# describes the same classes: images, segment ids, areas and crowds come back as they were.
# Seen: segments, ids beyond 16 bits, crowds and the image's id do. The classes do not: their ids are counted anew from 1
# in the order of the file (7 and 200 become 1 and 2), and every class has isthing 0, so that a thing has become stuff.
# Predictions with the dataset's own ids then no longer fit the truth, and an evaluator that trusts isthing puts all
# classes into PQ of stuff.
# Output seen: "before: [(7, 'car', 1), (200, 'sky', 0)]"
# Output seen: "after: [(1, 'car', 0), (2, 'sky', 0)]"
# Output seen: "segments: [(3, 1, 1, 600), (70000, 2, 0, 1200), (16777215, 1, 0, 200)]; pixels differ: 0"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check datumaro==1.13.12 numpy==2.2.6 pillow==12.3.0
env/bin/python - > seen.txt 2> errors.txt <<'PY' || { cat errors.txt; exit 1; }
import json
from pathlib import Path

import numpy as np
from datumaro import Dataset
from PIL import Image

annotations, images = Path("data/annotations/panoptic_val"), Path("data/images/val")
annotations.mkdir(parents=True)
images.mkdir(parents=True)
ids = np.zeros((40, 60), np.int64)
ids[:20], ids[20:, :30], ids[20:30, 30:50] = 70000, 3, 16777215


def write(path):
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)).save(path)


def read(path):
    return np.asarray(Image.open(path)).astype(int) @ [1, 256, 65536]


write(annotations / "a.png")
Image.fromarray(np.full((40, 60, 3), 127, np.uint8)).save(images / "a.jpg")
segments = [
    {"id": key, "category_id": category, "iscrowd": crowd, "area": int((ids == key).sum()), "bbox": [0, 0, 1, 1]}
    for key, category, crowd in ((3, 7, 1), (70000, 200, 0), (16777215, 7, 0))
]
content = {
    "images": [{"id": 5, "file_name": "a.jpg", "height": 40, "width": 60}],
    "annotations": [{"image_id": 5, "file_name": "a.png", "segments_info": segments}],
    "categories": [
        {"id": 7, "name": "car", "supercategory": "vehicle", "isthing": 1},
        {"id": 200, "name": "sky", "supercategory": "nature", "isthing": 0},
    ],
}
Path("data/annotations/panoptic_val.json").write_text(json.dumps(content))
Dataset.import_from("data", "coco_panoptic").export("out", "coco_panoptic", save_media=True)
again = json.loads(Path("out/annotations/panoptic_val.json").read_text())
for name, each in (("before", content), ("after", again)):
    print(f"{name}: {[(row['id'], row['name'], row['isthing']) for row in each['categories']]}")
rows = sorted(
    (row["id"], row["category_id"], row["iscrowd"], int(row["area"])) for row in again["annotations"][0]["segments_info"]
)
differ = int((read("out/annotations/panoptic_val/a.png") != ids).sum())
print(f"segments: {rows}; pixels differ: {differ}")
PY
cat seen.txt
for line in "before: [(7, 'car', 1), (200, 'sky', 0)]" "after: [(1, 'car', 0), (2, 'sky', 0)]" \
  "segments: [(3, 1, 1, 600), (70000, 2, 0, 1200), (16777215, 1, 0, 200)]; pixels differ: 0"; do
  grep -qxF "$line" seen.txt || { echo "no longer so: $line"; exit 1; }
done
