"""The size at which the network sees an image (App. B). Without torch, because exported networks need it too."""

from collections.abc import Sequence

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


def rows_of_one_size(sizes: Sequence[tuple[int, int]], most_pixels: int) -> list[list[int]]:
    """Which images can be one batch without padding, of at most `most_pixels` pixels unless a single one has more.

    >>> rows_of_one_size([(2, 4), (3, 3), (2, 4), (2, 4)], 16)
    [[0, 2], [3], [1]]
    """
    rows: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(sizes):
        rows.setdefault(size, []).append(row)
    steps = {size: max(1, most_pixels // (size[0] * size[1])) for size in rows}
    return [
        some[start : start + steps[size]] for size, some in rows.items() for start in range(0, len(some), steps[size])
    ]


def _nearest_multiple(side: int) -> int:
    return max(1, (side + MULTIPLE // 2) // MULTIPLE) * MULTIPLE
