"""Pictures that hold labels, whatever their depth; the size of a photograph without decoding it; maps from keys."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int32, Integer
from PIL import Image, UnidentifiedImageError

from unipan.files import read_bytes
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map
from unipan.panoptic.png import rgb_to_ids
from unipan.panoptic.runs import runs

TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def read_channels(path: Path) -> Integer[np.ndarray, "H W C"]:
    """The numbers of a label picture, unconverted: palette indices, 8 or 16 bits, one to four channels; .npy too.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, or one of floating-point numbers.
    """
    data = read_bytes(path)
    if path.suffix == ".npy":
        return _npy(path)
    try:
        with Image.open(path) as image:
            # Pillow alone keeps palette indices; opencv alone keeps 16 bits in every channel.
            pixels = np.asarray(image) if image.mode in ("P", "1", "L", "I", "I;16") else None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: too many pixels to open safely ({error})") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(
            f"{path}: not a readable label picture ({error}); it may be cut short, copy it again"
        ) from error
    if pixels is None:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise ValueError(f"{path}: not a readable label picture; it may be cut short, copy it again")
        pixels = _rgb_first(pixels, path)
    if pixels.dtype.kind not in "uib":
        raise ValueError(f"{path}: labels are whole numbers, this picture holds {pixels.dtype}; save it as a PNG")
    pixels = pixels.astype(np.int32)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_labels(path: Path) -> Int32[np.ndarray, "H W"]:
    """A picture with one number per pixel. Raises as `read_channels`; also ValueError if it has several channels."""
    channels = read_channels(path)
    if channels.shape[2] != 1:
        raise ValueError(f"{path}: one label per pixel is needed, this picture has {channels.shape[2]} channels")
    return np.ascontiguousarray(channels[..., 0], np.int32)


def read_ids(path: Path) -> Int32[np.ndarray, "H W"]:
    """Segment ids: of three 8-bit channels as COCO writes them (R + 256 G + 65536 B), or the number itself of one.

    Raises:
        FileNotFoundError, ValueError: as `read_channels`; also two channels, or three of 16 bits.
    """
    channels = read_channels(path)
    if channels.shape[2] == 1:
        return np.ascontiguousarray(channels[..., 0], np.int32)
    if channels.shape[2] == 2 or channels.max(initial=0) > 255:
        raise ValueError(
            f"{path}: segment ids are one number per pixel or three 8-bit channels (id = R + 256 G + 65536 B), this "
            f"picture has {channels.shape[2]} channels up to {channels.max(initial=0)}"
        )
    return rgb_to_ids(channels[..., :3].astype(np.uint8))


def photo_size(path: Path) -> tuple[int, int]:
    """Height and width of a photograph as it is seen (EXIF orientation applied), from its head alone.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image.
    """
    if not path.is_file():
        read_bytes(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112) in TURNED
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image ({error}); it may be cut short, copy it again") from error
    return (width, height) if turned else (height, width)


def map_of_keys(
    keys: Integer[np.ndarray, "H W"],
    describe: Callable[[int], tuple[Category, bool] | None],
    source: str,
    keep: bool = False,
) -> PanopticMap:
    """Every distinct key becomes a segment.

    Args:
        keys: any numbers.
        describe: the class of a key and whether it is a crowd; None makes it void.
        source: what error messages call the map.
        keep: keys become ids; otherwise ids count from 1 in the order of the keys.

    Raises:
        ValueError: what `describe` and `panoptic_map` raise.
    """
    starts, lengths = runs(keys)
    found, place = np.unique(keys.reshape(-1)[starts], return_inverse=True)
    described = [describe(int(key)) for key in found]
    ids = np.full(len(found), VOID_ID, np.int32)
    segments: dict[int, tuple[Category, bool]] = {}
    for row, (key, what) in enumerate(zip(found, described, strict=True)):
        if what is not None:
            ids[row] = int(key) if keep else len(segments) + 1
            segments[int(ids[row])] = what
    classes = {identity: category for identity, (category, _) in segments.items()}
    crowds = {identity for identity, (_, crowd) in segments.items() if crowd}
    return panoptic_map(np.repeat(ids[place], lengths).reshape(keys.shape), classes, crowds=crowds, source=source)


def _rgb_first(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Channels in the order of the file; two where opencv repeats the grey one."""
    if pixels.ndim == 2:
        return pixels
    pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    with Image.open(path) as image:
        grey = image.mode in ("LA", "La", "PA") and pixels.shape[2] == 4
    return np.asarray(pixels[..., [0, 3]] if grey else pixels)


def _npy(path: Path) -> Integer[np.ndarray, "H W C"]:
    try:
        pixels = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a readable .npy file ({error}); it may be cut short, copy it again") from error
    if pixels.dtype.kind not in "uib" or pixels.ndim not in (2, 3):
        raise ValueError(f"{path}: labels are H x W whole numbers, this has {pixels.dtype} of shape {pixels.shape}")
    return np.asarray(pixels if pixels.ndim == 3 else pixels[..., None], np.int64)
