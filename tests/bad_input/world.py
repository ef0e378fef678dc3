"""The files that all cases start from: small, drawn, the same every time."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.bad_input.of_exports import make_beside, make_export
from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.formats.convert import open_nonempty, write_dataset
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import writable
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.panoptic.maps import Sample

SEEDS = range(1_000_000, 1_000_003)
SIZE = (64, 96)
WRITTEN = ("png16", "two-channel", "coco-instances", "rle")
"""The formats that are also made of the truth, in folders of these names."""


def moved(sample: Sample) -> Sample:
    """A prediction that is not perfect: the truth two pixels to the right."""
    return replace(sample, truth=replace(sample.truth, ids=np.roll(sample.truth.ids, 2, axis=1)))


def make_world(folder: Path) -> None:
    """`gt` and `pred`, `photos`, the truth in other formats, and `beside`; no PyTorch is needed."""
    scenes = Scenes(SEEDS, SIZE)
    samples = [scenes[index] for index in range(len(scenes))]
    write_coco_panoptic(folder / "gt", iter(samples), SCENE_CATEGORIES)
    write_coco_panoptic(folder / "pred", map(moved, samples), SCENE_CATEGORIES)
    (folder / "photos").mkdir()
    for number, sample in enumerate(samples[:2]):
        Image.fromarray(sample.image).save(folder / "photos" / f"{number}.png")
    shutil.copy(folder / "photos" / "0.png", folder / "photo.png")
    for name in WRITTEN:
        data = open_nonempty(str(folder / "gt"), FormatOptions())
        write_dataset(data, writable()[name], folder / name, FormatOptions())
    (folder / "text.txt").write_text("not of unipan\n")
    _others(folder)
    make_beside(folder)


def _others(folder: Path) -> None:
    """Formats that unipan only reads, one object each."""
    yolo = folder / "yolo"
    for part in ("images", "labels"):
        (yolo / part).mkdir(parents=True)
    shutil.copy(folder / "photo.png", yolo / "images" / "0.png")
    (yolo / "labels" / "0.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.6\n")
    (yolo / "data.yaml").write_text("path: .\ntrain: images\nval: images\nnames:\n  0: car\n  1: person\n")
    labelme = folder / "labelme"
    labelme.mkdir()
    shutil.copy(folder / "photo.png", labelme / "0.png")
    shape = {"label": "car", "points": [[8, 8], [50, 8], [50, 40]], "shape_type": "polygon", "group_id": None}
    content = {"version": "5.5", "flags": {}, "shapes": [shape], "imagePath": "0.png", "imageData": None}
    (labelme / "0.json").write_text(json.dumps(content | {"imageHeight": 64, "imageWidth": 96}))
    cvat = folder / "cvat"
    (cvat / "images").mkdir(parents=True)
    shutil.copy(folder / "photo.png", cvat / "images" / "0.png")
    (cvat / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>\n'
        '<image id="0" name="0.png" width="96" height="64">\n'
        '<polygon label="car" source="manual" occluded="0" points="8,8;50,8;50,40" z_order="0"></polygon>\n'
        "</image></annotations>\n"
    )


def add_networks(folder: Path) -> None:
    """`net.safetensors`, untrained and small, `run`, a training of two steps, `exported`, and `clip.avi`.

    The extras are needed.
    """
    import torch

    from tests.tiny import eager, tiny_config
    from unipan.build import build_network
    from unipan.checkpoint import load_checkpoint, save_checkpoint

    config = eager(tiny_config())
    config = replace(
        config,
        inference=replace(config.inference, score_threshold=0.0),
        heuristic=replace(config.heuristic, score_threshold=0.0),
    )
    torch.manual_seed(0)
    network = build_network(config, SCENE_CATEGORIES)
    save_checkpoint(folder / "net.safetensors", network.state_dict(), config, SCENE_CATEGORIES, {})
    load_checkpoint(folder / "net.safetensors")  # what torch makes ready the first time is ready for every case
    in_a_fork(lambda: train_two_steps(folder))
    in_a_fork(lambda: make_export(folder))
    in_a_fork(lambda: make_clip(folder / "clip.avi"))


def make_clip(path: Path) -> None:
    """Six frames, each coded by itself. In a process of its own, because OpenCV begins threads for it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE[::-1])
    for number in range(6):
        writer.write(Scenes(SEEDS, SIZE)[number % 3].image)
    writer.release()


def in_a_fork(work: Callable[[], object]) -> None:
    """Do something in a process of its own: what it imports would make each case's process larger, and slower."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def train_two_steps(folder: Path) -> None:
    """`run`, by the command that the cases of `--resume` continue."""
    from tests.bad_input.of_training import TRAIN
    from unipan.cli import main

    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    assert main(TRAIN) == 0
