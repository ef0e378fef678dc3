"""Segments.ai's own exporters, run in an environment of its own: `python segments_sets.py SCENE.npz OUT`.

The files of a release lie in its cache, so that nothing is downloaded.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from segments import SegmentsDataset
from segments.utils import export_dataset

scene, out = np.load(sys.argv[1]), Path(sys.argv[2])
names = ["road", "car", "person"]
cache = out / "cache" / "me_street" / "v1"
cache.mkdir(parents=True)
Image.fromarray(scene["photo"]).save(cache / "a.jpg")
bitmap, annotations = np.zeros(scene["road"].shape, np.uint8), []
for number, (key, name) in enumerate([("road", "road"), ("car1", "car"), ("car2", "car"), ("person", "person")], 1):
    bitmap[scene[key]] = number
    annotations.append({"id": number, "category_id": names.index(name) + 1})
Image.fromarray(bitmap).save(cache / "a_label_ground-truth.png")
label = {
    "label_status": "LABELED",
    "attributes": {"segmentation_bitmap": {"url": "a_label.png"}, "annotations": annotations, "format_version": "0.1"},
}
categories = [{"id": n, "name": name, "has_instances": name != "road"} for n, name in enumerate(names, 1)]
sample = {"uuid": "1", "name": "a.jpg", "metadata": {}, "attributes": {"image": {"url": "a.jpg"}}}
release = {
    "name": "v1",
    "dataset": {
        "owner": "me", "name": "street", "task_type": "segmentation-bitmap",
        "task_attributes": {"format_version": "0.1", "categories": categories},
        "labelsets": [{"name": "ground-truth"}], "samples": [sample | {"labels": {"ground-truth": label}}],
    },
}  # fmt: skip
(out / "release.json").write_text(json.dumps(release))
dataset = SegmentsDataset(str(out / "release.json"), segments_dir=str(out / "cache"))
for name in ("coco-panoptic", "coco-instance"):
    print(export_dataset(dataset, str(out / name), name))
