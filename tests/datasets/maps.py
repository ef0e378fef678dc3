"""Maps to write and read back, when two of them are the same but for their ids, and label pictures by hand."""

import json
from pathlib import Path

import cv2
import numpy as np

from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.panoptic.png import png_of_rgb

CLASSES = Categories.of(
    [
        Category(9, "wall", False, (10, 10, 10)),
        Category(4, "door", True, (200, 20, 20)),
        Category(7, "window", True, (20, 200, 20)),
        Category(12, "sky", False, (20, 20, 200)),
    ]
)
DOOR, WINDOW, WALL, SKY = CLASSES


def small_map(shift: int = 0) -> PanopticMap:
    """Void, two stuff classes, two doors, a window and a crowd of windows."""
    ids = np.full((8, 12 + shift), 70_000, np.int32)
    ids[0] = 0
    ids[1, :4] = 5
    ids[2:5, 1:4], ids[5:, 6:8], ids[3, 6:9], ids[6, 9:11] = 2, 3, 11, 12
    found = {70_000: WALL, 2: DOOR, 3: DOOR, 5: SKY, 11: WINDOW, 12: WINDOW}
    return panoptic_map(ids, found, crowds={12})


def parts(panoptic: PanopticMap) -> set[tuple[int, bool, float, bytes]]:
    """The segments as sets of pixels with their class: what stays when ids are counted anew."""
    return {(s.category.id, s.iscrowd, s.score, (panoptic.ids == s.id).tobytes()) for s in panoptic}


def same(a: PanopticMap, b: PanopticMap) -> bool:
    return a.ids.shape == b.ids.shape and parts(a) == parts(b)


def random_map(seed: int, classes: Categories = CLASSES) -> PanopticMap:
    """Up to seven segments of any class, at most one crowd per class, void in between."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 8))
    keys = rng.choice(2**24 - 1, size=count, replace=False) + 1
    ids = np.append(keys, 0)[rng.integers(0, count + 1, (5, 6))].astype(np.int32)
    kinds = {int(key): classes[int(rng.integers(len(classes)))] for key in keys if (ids == key).any()}
    crowds = {category.id: key for key, category in kinds.items() if category.isthing and rng.integers(3) == 0}
    return panoptic_map(ids, kinds, crowds=set(crowds.values()))


def write_dataset(folder: Path, images: int = 3, classes: Categories = CLASSES) -> Path:
    """A sound COCO panoptic dataset with photographs."""
    rng = np.random.default_rng(0)
    with PanopticWriter(folder, classes, images=True) as writer:
        for number in range(images):
            truth = small_map(number)
            photo = rng.integers(0, 256, (*truth.ids.shape, 3)).astype(np.uint8)
            writer.add(f"{number}.png", 100 + number, truth, photo)
    return folder


def write_photo(path: Path, height: int, width: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_of_rgb(np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)))


def declare(folder: Path, **more: object) -> Path:
    """A folder with a classes.json, for formats that do not store their classes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.json").write_text(json.dumps({"categories": CLASSES.to_coco(), **more}))
    return folder


def paint(path: Path, pixels: object, dtype: type = np.uint16) -> None:
    """A label picture with these values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.array(pixels, dtype))


def said(panoptic: PanopticMap) -> set[tuple[str, bool, tuple[int, ...]]]:
    """Class, crowd and flat pixel positions of each segment."""
    return {
        (s.category.name, s.iscrowd, tuple(np.flatnonzero(panoptic.ids.reshape(-1) == s.id).tolist())) for s in panoptic
    }
