"""COCO panoptic PNGs: ids from and to pixels, id = R + 256 G + 65536 B."""

from pathlib import Path
from struct import pack, unpack_from
from zlib import crc32

import numpy as np
from kornia_rs.io import decode_image_png_u8

from unipan.arrays import Int32, Integer, UInt8
from unipan.files import read_bytes
from unipan.panoptic.runs import MAX_ID

_RGB, _PALETTE, _RGBA = 2, 3, 6
"""PNG's colour types with three channels; a palette's colours have 8 bits whatever its own depth."""
_CHANNELS = {_RGB: "three", _RGBA: "four", 4: "two (grey and alpha)"}
_HEADER_END = 33
_LAST_CHUNK = b"IEND\xaeB`\x82"
_MOST_PIXELS = 344
"""For each byte of a file: deflate writes at most 1032 bytes for one, and a pixel has three."""


def ids_to_rgb(ids: Integer[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Write ids as the three channels of a COCO panoptic PNG: id = R + 256 G + 65536 B.

    Raises:
        ValueError: an id outside 0..256^3 - 1.
    """
    if ids.size and (ids.min() < 0 or ids.max() > MAX_ID):
        raise ValueError(f"panoptic PNG: ids run from 0 to {MAX_ID}, found {ids.min()}..{ids.max()}; renumber them")
    channels = np.ascontiguousarray(ids, dtype="<u4").view(np.uint8).reshape(*ids.shape, 4)
    return np.ascontiguousarray(channels[..., :3])


def rgb_to_ids(rgb: UInt8[np.ndarray, "H W 3"]) -> Int32[np.ndarray, "H W"]:
    """The inverse of `ids_to_rgb`."""
    pixels = np.ascontiguousarray(rgb).reshape(-1)
    ids = np.empty(rgb.shape[:2], np.int32)
    # Reading four bytes at every third is several times as fast as adding three planes; to copy them before the fourth
    # is cleared takes half as long as both in one call. At the last pixel there are only three left.
    flat, end = ids.reshape(-1), max(ids.size - 1, 0)
    flat[:end] = np.ndarray(end, "<i4", pixels, strides=3)
    flat &= np.int32(MAX_ID)
    flat[end:] = pixels[3 * end :].astype(np.int32) @ [1, 256, 65536] if ids.size else 0
    return ids


def encode_png(ids: Integer[np.ndarray, "H W"]) -> bytes:
    """A COCO panoptic PNG, as bytes. Raises ValueError for an id that does not fit."""
    return png_of_rgb(ids_to_rgb(ids))


def png_of_rgb(rgb: UInt8[np.ndarray, "H W 3"], software: str = "") -> bytes:
    """An RGB image as the bytes of a PNG, which can say what software wrote it."""
    import cv2

    done, data = cv2.imencode(".png", rgb[..., ::-1])
    if not done:
        raise ValueError(f"panoptic PNG: an image of shape {rgb.shape} cannot be encoded")
    png = data.tobytes()
    if not software:
        return png
    text = b"tEXtSoftware\0" + software.encode("latin-1")  # PNG specification, 11.3.3; it follows the header
    chunk = pack(">I", len(text) - 4) + text + pack(">I", crc32(text))
    return png[:_HEADER_END] + chunk + png[_HEADER_END:]


def decode_png(png: Path | str | bytes) -> Int32[np.ndarray, "H W"]:
    """Read the ids of a COCO panoptic PNG, from a file or from its bytes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a readable PNG with three 8-bit channels.
    """
    source = "panoptic PNG" if isinstance(png, bytes) else str(png)
    data = png if isinstance(png, bytes) else read_bytes(png)
    if not data.startswith(b"\x89PNG"):
        from unipan.panoptic.image_files import require_exact

        require_exact(data, source, ("PNG",))
    if not data.startswith(b"\x89PNG") or data.rfind(_LAST_CHUNK) < 26:  # decoders may take a file without its end
        raise ValueError(f"{source}: not a readable PNG; it may be cut short or damaged, copy it again")
    width, height, depth, kind = unpack_from(">IIBB", data, 16)  # the header (PNG specification, 11.2.1)
    if kind not in (_RGB, _PALETTE, _RGBA) or (depth != 8 and kind != _PALETTE):
        raise ValueError(
            f"{source}: a panoptic PNG has three 8-bit channels (id = R + 256 G + 65536 B), this one has "
            f"{_CHANNELS.get(kind, 'one')} of {depth} bits"
        )
    try:
        if kind == _RGB and width * height > _MOST_PIXELS * len(data):  # kornia would panic when memory runs out
            raise ValueError("the header claims more pixels than the file can hold")
        # The decoder in Rust takes a quarter of the time of libpng's, but knows plain RGB alone.
        rgb = decode_image_png_u8(data, (height, width), "rgb") if kind == _RGB else _decode_any(data)
    except Exception as error:  # kornia raises nothing more special
        raise ValueError(f"{source}: not a readable PNG; it may be cut short or damaged, copy it again") from error
    return rgb_to_ids(rgb)


def _decode_any(data: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """The channels of a PNG with a palette or with transparency, which is left out."""
    from unipan.panoptic.image_files import open_image

    with open_image(data) as image:
        image.verify()  # the checksums, which reading pixels skips
    with open_image(data) as image:
        return np.asarray(image.convert("RGBA"))[..., :3]
