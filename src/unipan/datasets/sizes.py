"""The size at which the network sees an image (App. B). Without torch, because exported networks need it too."""

from unipan.config import DataConfig

MULTIPLE = 32
"""The coarsest stride of the network; the sides of its input are multiples of it."""


def scaled_size(height: int, width: int, data: DataConfig) -> tuple[int, int]:
    """Height and width after resizing the short side to `data.short_side` (0: no resizing), within `data.max_side`."""
    if data.short_side == 0:
        return height, width
    factor = min(data.short_side / min(height, width), data.max_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def whole_size(height: int, width: int, data: DataConfig) -> tuple[int, int]:
    """The nearest size at which the network sees the whole image without padding; unchanged if the recipe pads.

    A network that has seen no padding in training takes the edge of the padding for a part of the scene.
    """
    if data.pad:
        return height, width
    return _nearest_multiple(height), _nearest_multiple(width)


def network_size(height: int, width: int, data: DataConfig) -> tuple[int, int]:
    """Height and width at which the network sees an image of this size; padding is not included."""
    return whole_size(*scaled_size(height, width, data), data)


def _nearest_multiple(side: int) -> int:
    return max(1, (side + MULTIPLE // 2) // MULTIPLE) * MULTIPLE
