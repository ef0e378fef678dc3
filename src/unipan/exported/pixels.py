"""An image as an exported network takes it: resized, in 0..1, padded. The NumPy form of `datasets.transforms`."""

import math
from typing import Any

import numpy as np

from unipan.arrays import Float, Int64, UInt8
from unipan.config import DataConfig
from unipan.datasets.sizes import MULTIPLE, network_size


def network_input(
    image: UInt8[np.ndarray, "H W 3"], data: DataConfig, fill: tuple[float, float, float]
) -> tuple[Float[np.ndarray, "1 3 h w"], Int64[np.ndarray, " 2"]]:
    """The network's input and the size of what is no padding.

    Args:
        image: RGB.
        data: how the network was trained.
        fill: the colour of the padding in 0..1, which the network normalises to zero.
    """
    height, width = network_size(image.shape[0], image.shape[1], data)
    image = resized_image(image, height, width)
    rows, columns = (math.ceil(side / MULTIPLE) * MULTIPLE for side in (height, width))
    pixels: np.ndarray[Any, Any] = np.empty((1, 3, rows, columns), np.float32)
    pixels[:] = np.array(fill, np.float32).reshape(1, 3, 1, 1)
    pixels[0, :, :height, :width] = image.transpose(2, 0, 1) / np.float32(255)
    return pixels, np.array([height, width], np.int64)


def resized_image(image: UInt8[np.ndarray, "H W 3"], height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Bilinear, wider where it shrinks, to the last bit as torch does it on 8 bits (`antialias=True`).

    That is the network's own input: Pillow's and OpenCV's differ from it by a step of 255 here and there, and a network
    that is unsure of a pixel then decides otherwise.
    """
    across = _shrunk_rows(image.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return np.ascontiguousarray(_shrunk_rows(across, height))


def _shrunk_rows(image: np.ndarray, length: int) -> np.ndarray:
    """The image with another number of rows: sums of whole numbers, with weights of 16 bits."""
    before = image.shape[0]
    if before == length:
        return image
    scale = before / length
    support = max(scale, 1.0)  # of the triangle, in rows
    centre = scale * (np.arange(length) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int64), before) - first
    step = np.arange(count.max())
    weights = 1 - np.abs((step + first[:, None] - centre[:, None] + 0.5) / support)
    weights = np.where(step < count[:, None], weights.clip(0), 0)
    weights /= weights.sum(1, keepdims=True)
    bits = next(bits for bits in range(23) if bits == 22 or int(0.5 + weights.max() * 2 ** (bits + 1)) >= 2**15)
    whole = (0.5 + weights * 2**bits).astype(np.int32)
    total = np.full((length, *image.shape[1:]), 2 ** (bits - 1), np.int32)
    for column in step:
        rows = np.minimum(first + column, before - 1)
        total += whole[:, column].reshape(-1, 1, 1) * image[rows]
    return (total >> bits).clip(0, 255).astype(np.uint8)
