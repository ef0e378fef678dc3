"""RGB PNGs whose data are inflated and whose filters stand: ids can be counted without undoing them."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from struct import unpack_from
from typing import Any
from zlib import crc32

import numpy as np

from unipan.arrays import Integer, UInt8

_RGB = 2
"""Of PNG's colour types."""


@cache
def has_loops() -> bool:
    """Whether numba compiles the loops of `unipan.panoptic.loops`."""
    return find_spec("numba") is not None


@dataclass(frozen=True)
class Inflated:
    """A picture of three 8-bit channels.

    Attributes:
        height, width: in pixels.
        raw: H * (1 + 3 W) bytes; per row its filter, one of 0..4, and the filtered channels. Counting rewrites them
            with another filter, which changes no pixel.
    """

    height: int
    width: int
    raw: UInt8[np.ndarray, " B"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """As that of `pixels()`."""
        return self.height, self.width, 3

    def pixels(self) -> UInt8[np.ndarray, "H W 3"]:
        """The red, green and blue."""
        from unipan.panoptic.loops import undo_filters

        found = np.empty(self.shape, np.uint8)
        undo_filters(self.raw, found)
        return found


def pixels_of(picture: Integer[np.ndarray, "..."] | Inflated) -> Integer[np.ndarray, "..."]:
    """The red, green and blue of a picture if it is inflated; else the picture."""
    return picture.pixels() if isinstance(picture, Inflated) else picture


def can_inflate(data: bytes) -> bool:
    """Whether a PNG, of which at least the header is there, is of the usual kind: 8-bit RGB, not interlaced.

    It also takes libdeflate (imagecodecs) and numba.
    """
    return data[24] == 8 and data[25] == _RGB and data[28] == 0 and has_loops() and _has_libdeflate()


@cache
def _has_libdeflate() -> bool:
    return find_spec("imagecodecs") is not None


def inflate(data: bytes) -> Inflated | None:
    """Inflate a PNG for which `can_inflate` holds; None if it is damaged."""
    from imagecodecs import DeflateError, deflate_decode

    width, height = unpack_from(">II", data, 16)
    stride = 1 + 3 * width
    try:
        raw = np.empty(height * stride, np.uint8)
        found = deflate_decode(_image_data(data), out=raw.data)
    except (DeflateError, ValueError, TypeError, MemoryError, OverflowError):  # a damaged header may claim any size
        return None
    if len(found) != raw.size or not raw.size or raw[::stride].max() > 4:
        return None
    return Inflated(height, width, raw)


_SHORT = 2048
"""Bytes below which the slower zlib wins: it keeps the interpreter's lock, for which two threads would wait."""


def _image_data(png: bytes) -> Any:
    """The compressed pixels, bytes or a view: the IDAT chunks, joined. Raises ValueError for an error in one, or none.

    imagecodecs takes views, which copy nothing, but declares that it takes bytes.
    """
    from imagecodecs import deflate_crc32

    view: Any = memoryview(png)
    place, parts = 8, []
    while place + 12 <= len(png):
        length, name = unpack_from(">I4s", png, place)
        end = place + 8 + length
        if name in (b"IHDR", b"IDAT"):
            checksum = crc32 if length < _SHORT else deflate_crc32
            if end + 4 > len(png) or checksum(view[place + 4 : end]) != unpack_from(">I", png, end)[0]:
                raise ValueError("damaged chunk")
            if name == b"IDAT":
                parts.append(view[place + 8 : end])
        place = end + 4
    if not parts:
        raise ValueError("no pixels")
    return parts[0] if len(parts) == 1 else b"".join(parts)
