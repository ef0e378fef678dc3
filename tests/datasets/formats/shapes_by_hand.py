"""Small annotated images for the readers of shapes: a photograph, and what a map says."""

from pathlib import Path

import numpy as np
from PIL import Image

from unipan.panoptic.maps import PanopticMap

SIZE = (48, 64)


def photo(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path)
    return path


def square(x: int, y: int, w: int, h: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def has(panoptic: PanopticMap, name: str, mask: np.ndarray, crowd: bool = False) -> bool:
    """Whether one segment of the class has exactly these pixels."""
    found = [s for s in panoptic if s.category.name == name and s.iscrowd == crowd]
    return any(((panoptic.ids == s.id) == mask).all() for s in found)
