"""Datumaro's own exporters, run in an environment of their own: `python datumaro_sets.py SCENE.npz OUT`.

SCENE.npz has a photograph and the masks of a road, two cars and a person; OUT gets one folder for each format.
"""

import sys
from pathlib import Path

import datumaro as dm
import numpy as np

scene, out = np.load(sys.argv[1]), Path(sys.argv[2])
names = ["road", "car", "person"]
annotations = [
    dm.Mask(scene[key], label=names.index(name), id=number, group=number)
    for number, (key, name) in enumerate([("road", "road"), ("car1", "car"), ("car2", "car"), ("person", "person")], 1)
]
item = dm.DatasetItem(id="a", subset="train", media=dm.Image.from_numpy(data=scene["photo"]), annotations=annotations)
dataset = dm.Dataset.from_iterable([item], categories=names, media_type=dm.Image)
for name in ("coco_panoptic", "coco_instances", "voc", "cityscapes"):
    dataset.export(str(out / name), name, save_media=True)
