"""Rectangles of cells, and maps of a whole picture that lie in a file instead of in memory.

Legend: C channels, h w = cells of the map.
"""

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

GridSize = tuple[int, int]
VALUES = 16_000_000
"""Values of Psi or P that exist at once; a window with many things is smaller."""
_CHUNK = 1 << 24
"""Bytes that are written at once where room is taken by writing."""
LEAST_SIDE = 16
"""Cells: windows do not get smaller."""


@dataclass(frozen=True)
class CellWindow:
    """A rectangle of cells (or pixels); the ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> GridSize:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of an array of the whole picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, halo: int, size: GridSize) -> "CellWindow":
        """With `halo` more cells on each side, as far as a map of this size goes."""
        return self.moved(-halo, halo).cut(size)

    def moved(self, start: int, end: int) -> "CellWindow":
        """With its upper and left sides moved by `start`, the others by `end`."""
        return CellWindow(self.top + start, self.bottom + end, self.left + start, self.right + end)

    def cut(self, size: GridSize) -> "CellWindow":
        """What of it lies in a map of this size."""
        return CellWindow(max(self.top, 0), min(self.bottom, size[0]), max(self.left, 0), min(self.right, size[1]))

    def times(self, factor: int) -> "CellWindow":
        """The same place on a grid that is `factor` times finer."""
        return CellWindow(self.top * factor, self.bottom * factor, self.left * factor, self.right * factor)

    def over(self, factor: int) -> "CellWindow":
        """The smallest window that covers it on a grid that is `factor` times coarser."""
        return CellWindow(self.top // factor, -(-self.bottom // factor), self.left // factor, -(-self.right // factor))

    def within(self, outer: "CellWindow") -> tuple[slice, slice]:
        """Its place in an array of `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


def windows(size: GridSize, side: int) -> Iterator[CellWindow]:
    """A map of this size in squares of `side` cells; those at its lower and right edge may be smaller."""
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            yield CellWindow(top, top + side, left, left + side).cut(size)


def split(window: CellWindow, count: Callable[[CellWindow], int]) -> Iterator[CellWindow]:
    """The window, halved until no part has more than `VALUES` values by `count`."""
    height, width = window.size
    if count(window) <= VALUES or max(height, width) <= LEAST_SIDE:
        yield window
        return
    if height >= width:
        middle = window.top + height // 2
        halves = (replace(window, bottom=middle), replace(window, top=middle))
    else:
        middle = window.left + width // 2
        halves = (replace(window, right=middle), replace(window, left=middle))
    for half in halves:
        yield from split(half, count)


class FeatureMap:
    """One map (C, h, w) in 32 bits of a whole picture, in a temporary file that ends with this object.

    The operating system keeps as much of it in memory as there is room for.
    """

    def __init__(self, channels: int, size: GridSize) -> None:
        """A map without content.

        Raises:
            OSError: there is no room for it in the folder of temporary files, or no such folder.
        """
        needed = 4 * channels * math.prod(size)
        try:
            with tempfile.TemporaryFile(prefix="unipan-") as file:  # it has no name, so nothing is left of it
                _reserve(file, needed)
                values = np.memmap(file, np.float32, "w+", shape=(channels, *size))
        except OSError as error:
            raise OSError(
                f"{tempfile.tempdir or 'temporary files'}: no place for {max(1, needed >> 20)} MiB of a large "
                f"picture's features ({error.strerror or error}); make room there, or name another folder in the "
                "environment variable TMPDIR"
            ) from error
        self.tensor: Float[Tensor, "C h w"] = torch.from_numpy(values)

    @property
    def size(self) -> GridSize:
        """h and w."""
        return self.tensor.shape[1], self.tensor.shape[2]

    def read(self, window: CellWindow, device: torch.device) -> Float[Tensor, "C _ _"]:
        """A part of it, on this device."""
        rows, columns = window.slices
        return self.tensor[:, rows, columns].to(device)

    def write(self, window: CellWindow, values: Float[Tensor, "C _ _"]) -> None:
        """Set a part of it."""
        rows, columns = window.slices
        self.tensor[:, rows, columns] = values.cpu()


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the room now: a file that grows while it is mapped would end the process where a disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, _CHUNK):
        file.write(bytes(min(_CHUNK, size - start)))
    file.flush()
