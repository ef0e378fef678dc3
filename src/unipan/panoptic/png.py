"""COCO panoptic PNGs: ids from and to pixels, id = R + 256 G + 65536 B."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from unipan.arrays import Int32, Integer, UInt8
from unipan.files import read_bytes
from unipan.panoptic.inflated import Inflated, can_inflate, has_loops, inflate
from unipan.panoptic.runs import MAX_ID


def ids_to_rgb(ids: Integer[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Paint ids as COCO panoptic PNGs do: id = R + 256 G + 65536 B.

    Raises:
        ValueError: an id outside 0..256^3 - 1.
    """
    if ids.size and (ids.min() < 0 or ids.max() > MAX_ID):
        raise ValueError(f"panoptic PNG: ids run from 0 to {MAX_ID}, found {ids.min()}..{ids.max()}; renumber them")
    channels = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    return np.ascontiguousarray(channels[..., :3])


def rgb_to_ids(rgb: UInt8[np.ndarray, "H W 3"]) -> Int32[np.ndarray, "H W"]:
    """The inverse of `ids_to_rgb`."""
    # A fourth channel makes each pixel one little-endian integer: several times faster than adding three planes.
    pixels = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2RGBA).view("<u4")[..., 0]
    return (pixels & MAX_ID).astype(np.int32)


def encode_png(ids: Integer[np.ndarray, "H W"]) -> bytes:
    """A COCO panoptic PNG, as bytes. Raises ValueError for an id that does not fit."""
    return png_of_rgb(ids_to_rgb(ids))


def png_of_rgb(rgb: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """An RGB image as the bytes of a PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"panoptic PNG: an image of shape {rgb.shape} cannot be encoded")
    return data.tobytes()


def decode_png(png: Path | str | bytes) -> Int32[np.ndarray, "H W"]:
    """Read the ids of a COCO panoptic PNG, from a file or from its bytes; raises as `decode_channels`."""
    return rgb_to_ids(decode_channels(png))


def decode_channels(png: Path | str | bytes) -> UInt8[np.ndarray, "H W 3"]:
    """The red, green and blue of a COCO panoptic PNG.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a readable PNG with three 8-bit channels.
    """
    source, data = _checked_png(png)
    return _channels(_png_decoder()(data), source)


def read_channels(png: Path | str) -> UInt8[np.ndarray, "H W 3"] | Inflated:
    """As `decode_channels`, but filters stand where ids can be counted without undoing them (`count_known`)."""
    source, data = _checked_png(png)
    if not can_inflate(data):
        return _channels(_png_decoder()(data), source)
    found = inflate(data)
    if found is None:
        raise _unreadable(source)
    return found


def _checked_png(png: Path | str | bytes) -> tuple[str, bytes]:
    """What messages call it, and its bytes, with a header that promises three 8-bit channels."""
    source = "panoptic PNG" if isinstance(png, bytes) else str(png)
    data = png if isinstance(png, bytes) else read_bytes(Path(png))
    if not data.startswith(b"\x89PNG") or data.rfind(_LAST_CHUNK) < 26:  # some decoders take a file without its end
        raise _unreadable(source)
    depth, kind = data[24], data[25]  # of the header (PNG specification, 11.2.1)
    if kind not in _COLOURED or (depth != 8 and kind != _PALETTE):
        raise ValueError(
            f"{source}: a panoptic PNG has three 8-bit channels (id = R + 256 G + 65536 B), this one has "
            f"{'three' if kind in _COLOURED else 'one'} of {depth} bits"
        )
    return source, data


def _channels(pixels: UInt8[np.ndarray, "H W C"] | None, source: str) -> UInt8[np.ndarray, "H W 3"]:
    if pixels is None:
        raise _unreadable(source)
    return np.ascontiguousarray(pixels[..., :3])


def _unreadable(source: str) -> ValueError:
    return ValueError(f"{source}: not a readable PNG; it may be cut short or damaged, copy it again")


_PALETTE = 3
_COLOURED = (2, _PALETTE, 6)
"""PNG's colour types RGB, palette (of 8-bit RGB, whatever its depth), and RGB with alpha."""
_LAST_CHUNK = b"IEND\xaeB`\x82"


@cache
def _png_decoder() -> Callable[[bytes], UInt8[np.ndarray, "H W C"] | None]:
    """The fastest that is installed: imagecodecs takes half of opencv's time for label maps, with numba a third."""
    if find_spec("imagecodecs") is None:
        return _decode_by_opencv
    return _decode_by_loops if has_loops() else _decode_by_imagecodecs


def _decode_by_imagecodecs(data: bytes) -> np.ndarray | None:
    from imagecodecs import PngError, png_decode

    try:
        return np.asarray(png_decode(data))
    except (PngError, ValueError):
        return None


def _decode_by_loops(data: bytes) -> np.ndarray | None:
    """libdeflate inflates, a compiled loop undoes the filters; rarer PNGs (palette, alpha) take the other way."""
    if not can_inflate(data):
        return _decode_by_imagecodecs(data)
    found = inflate(data)
    return None if found is None else found.pixels()


def _decode_by_opencv(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
