"""The picture that a Segmenter is given: a file or something in memory, and whether there is memory to segment it."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from unipan.arrays import UInt8
from unipan.config import DataConfig
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.sizes import network_size
from unipan.panoptic.images import as_rgb, read_image
from unipan.processes import available_memory

IMAGE_BYTES = 30
"""Of memory for each pixel of a picture: itself, its map and its overlay, at the worst moment (27 were measured)."""
INPUT_BYTES = 200
"""Of memory for each pixel that the network sees, with the smallest preset (213 were measured); others take more."""


def picture_of(image: Any, data: DataConfig, on_cpu: bool = True) -> tuple[UInt8[np.ndarray, "H W 3"], str]:
    """RGB pixels and a name: the file's, or "image".

    Args:
        image: a path, a PIL image, an HxWx3 uint8 array, or a 3xHxW tensor (uint8 0-255 or float 0-1).
        data: of the network.
        on_cpu: whether the network runs in this machine's memory.

    Raises:
        FileNotFoundError, ValueError: no such file, no image, or no memory for it.
    """
    if not isinstance(image, str | Path):
        return as_rgb(image), "image"
    path = Path(image)
    check_room(path, data, on_cpu)
    return read_image(path, data.window), path.name


def check_room(path: Path, data: DataConfig, on_cpu: bool) -> None:
    """Look, from a picture's header, whether there is memory to segment it.

    Raises:
        FileNotFoundError, ValueError: there is not, or it is no image (see `image_size`).
    """
    height, width = image_size(path)
    needed = IMAGE_BYTES * height * width
    if on_cpu:
        needed += INPUT_BYTES * math.prod(network_size(height, width, data))
    free = available_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"{path}: {width} x {height} pixels take at least {needed / 2**30:.1f} GiB to segment, and here are "
            f"{free / 2**30:.1f} GiB free; make the picture smaller, or cut it into several"
        )
