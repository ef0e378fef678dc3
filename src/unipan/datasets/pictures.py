"""The picture that a Segmenter is given: a file or something in memory, and whether there is memory to segment it."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from unipan.arrays import UInt8
from unipan.config import DataConfig
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.sizes import network_size
from unipan.files import local_path
from unipan.panoptic.images import as_rgb, read_image
from unipan.processes import available_memory

IMAGE_BYTES = 30
"""Of memory for each pixel of a picture: itself, its map and its overlay, at the worst moment (27 were measured)."""
INPUT_BYTES = 200
"""Of memory for each pixel that the network sees, with the smallest preset (213 were measured); others take more."""


def picture_of(
    image: Any, data: DataConfig, on_cpu: bool = True, page: int | None = None
) -> tuple[UInt8[np.ndarray, "H W 3"], str]:
    """RGB pixels and a name: the file's, or "image".

    Args:
        image: a path, a PIL image, an HxWx3 uint8 array, or a 3xHxW tensor (uint8 0-255 or float 0-1); for a network
            with a window also a uint16 array.
        data: of the network.
        on_cpu: whether the network runs in this machine's memory.
        page: of a TIFF stack, from 1 on.

    Raises:
        FileNotFoundError, ValueError: no such file, no image, or no memory for it.
    """
    if not isinstance(image, str | Path):
        return as_rgb(image, data.window), "image"
    path = local_path(image)
    check_room(path, data, on_cpu, page)
    return read_image(path, data.window, page), path.name


def check_room(path: Path, data: DataConfig, on_cpu: bool, page: int | None = None) -> None:
    """Look, from a picture's header, whether there is memory to segment it.

    Raises:
        FileNotFoundError, ValueError: there is not, or it is no image (see `image_size`).
    """
    height, width = image_size(path, page)
    needed = IMAGE_BYTES * height * width
    if on_cpu:
        needed += INPUT_BYTES * math.prod(network_size(height, width, data))
    require_room(path, needed)


def require_room(path: Path, needed: int) -> None:
    """Raises ValueError if a picture needs more bytes of memory than are free."""
    free = available_memory()
    if free is not None and needed > free:
        height, width = image_size(path)
        raise ValueError(
            f"{path}: {width} x {height} pixels take at least {needed / 2**30:.1f} GiB to segment, and here are "
            f"{free / 2**30:.1f} GiB free; segment it in tiles (`unipan predict --tiles`, smaller ones with "
            "--tile-side), or cut it into several pictures"
        )
