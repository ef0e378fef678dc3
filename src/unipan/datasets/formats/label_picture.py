"""Label pictures of any depth, panoptic maps from their values, and the size of an image from its header."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from unipan.arrays import Int32, Integer
from unipan.files import read_bytes, require_regular
from unipan.panoptic.categories import Category
from unipan.panoptic.image_files import open_image, require_exact, told_of_damage
from unipan.panoptic.images import go_to_page, require_one_page
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map
from unipan.panoptic.png import rgb_to_ids
from unipan.panoptic.runs import runs

TRANSPOSED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

_LARGEST_ID = 2**31 - 1

_PNG, _PNG_COLOR_TYPE, _GREY_AND_ALPHA = b"\x89PNG\r\n\x1a\n", 25, 4
"""How a PNG begins, where its header says what its channels are, and one such word (PNG specification, 11.2.1)."""

INSTANCES_PER_CLASS = 65536
"""Class and instance as one key for `map_of_keys`: class * INSTANCES_PER_CLASS + instance."""


def read_label_picture(path: Path) -> Integer[np.ndarray, "H W C"]:
    """The values of a label picture as stored: palette indices, 8 or 16 bits, one to four channels, or a .npy file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not a picture, or one that keeps no numbers (JPEG, GIF, WebP), or of floating-point numbers.
    """
    require_regular(path)
    data = read_bytes(path)
    if path.suffix == ".npy":
        return _npy(path)
    require_exact(data, path)
    rare = "a TIFF of 64 bits or rare compression? save it with 16 bits"
    hint = rare if path.suffix.startswith(".tif") else "it may be cut short, copy it again"
    with told_of_damage(path, "label picture", hint), open_image(path) as image:
        require_one_page(image, path)
        # Only Pillow keeps palette indices, and only OpenCV keeps 16 bits in several channels.
        pixels = np.asarray(image) if image.mode in ("P", "1", "L", "I", "I;16", "I;16B", "F") else None
    if pixels is None:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise ValueError(f"{path}: not a readable label picture; it may be cut short, copy it again")
        pixels = _in_file_order(pixels, path, data)
    if pixels.dtype.kind == "f":
        pixels = _whole_numbers(pixels, path)
    if pixels.dtype.kind not in "uib":
        raise ValueError(f"{path}: labels are whole numbers, this picture holds {pixels.dtype}; save it as a PNG")
    if pixels.dtype.itemsize > 4 or pixels.dtype == np.uint32:
        _require_32_bits(pixels, path)
    pixels = pixels.astype(np.int32)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_labels(path: Path) -> Int32[np.ndarray, "H W"]:
    """A label picture of one channel. Raises as `read_label_picture`, and ValueError if it has several channels."""
    channels = read_label_picture(path)
    if channels.shape[2] != 1:
        raise ValueError(f"{path}: one label per pixel is needed, this picture has {channels.shape[2]} channels")
    return np.ascontiguousarray(channels[..., 0], np.int32)


def read_ids(path: Path) -> Int32[np.ndarray, "H W"]:
    """Segment ids from three 8-bit channels (R + 256 G + 65536 B, as in COCO) or directly from one channel.

    Raises:
        FileNotFoundError, ValueError: as `read_label_picture`; also for two channels, or three of 16 bits.
    """
    channels = read_label_picture(path)
    if channels.shape[2] == 1:
        return np.ascontiguousarray(channels[..., 0], np.int32)
    if channels.shape[2] == 2 or channels.max(initial=0) > 255:
        raise ValueError(
            f"{path}: segment ids are one number per pixel or three 8-bit channels (id = R + 256 G + 65536 B), this "
            f"picture has {channels.shape[2]} channels up to {channels.max(initial=0)}"
        )
    return rgb_to_ids(channels[..., :3].astype(np.uint8))


def image_size(path: Path, page: int | None = None) -> tuple[int, int]:
    """Height and width of an image with its EXIF orientation applied, from its header alone.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, or one without this page.
    """
    require_regular(path)
    with told_of_damage(path), open_image(path) as image:
        if page is not None:
            go_to_page(image, path, page)
        width, height = image.size
        transposed = image.getexif().get(0x0112) in TRANSPOSED
    return (width, height) if transposed else (height, width)


def map_of_keys(
    keys: Integer[np.ndarray, "H W"],
    class_of: Callable[[int], tuple[Category, bool] | None],
    source: str,
    keep: bool = False,
    joined: Category | None = None,
) -> PanopticMap:
    """A panoptic map with one segment for every distinct value.

    Args:
        keys: any whole numbers.
        class_of: the class of a value and whether it is a crowd; None for void.
        source: what error messages call the map.
        keep: values become ids; otherwise ids count from 1 in the order of the values.
        joined: a class of which all pixels are one segment, whatever their values.

    Raises:
        ValueError: see `class_of` and `panoptic_map`.
    """
    starts, lengths = runs(keys)
    found, place = np.unique(keys.reshape(-1)[starts], return_inverse=True)
    classes_found = [class_of(int(key)) for key in found]
    ids = np.full(len(found), VOID_ID, np.int32)
    segments: dict[int, tuple[Category, bool]] = {}
    joint = 0
    for row, (key, what) in enumerate(zip(found, classes_found, strict=True)):
        if what is None:
            continue
        identity = int(key) if keep else len(segments) + 1
        if what[0] == joined:
            identity = joint = joint or identity
        ids[row] = identity
        segments[identity] = what
    classes = {identity: category for identity, (category, _) in segments.items()}
    crowds = {identity for identity, (_, crowd) in segments.items() if crowd}
    return panoptic_map(np.repeat(ids[place], lengths).reshape(keys.shape), classes, crowds=crowds, source=source)


def _in_file_order(pixels: np.ndarray, path: Path, data: bytes) -> np.ndarray:
    """The channels as in the file; OpenCV gives BGR, and repeats the grey channel of grey + alpha."""
    if pixels.ndim == 2:
        return pixels
    pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    if data.startswith(_PNG):
        grey = data[_PNG_COLOR_TYPE] == _GREY_AND_ALPHA  # Pillow calls that of 16 bits RGBA
    else:
        with open_image(path) as image:
            grey = image.mode in ("LA", "La", "PA")
    return np.asarray(pixels[..., [0, 3]] if grey and pixels.shape[2] == 4 else pixels)


def _whole_numbers(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Floating-point labels, as Fiji and QuPath save them, as whole numbers. Raises ValueError if they are not."""
    if not (np.isfinite(pixels).all() and (pixels == np.rint(pixels)).all() and np.abs(pixels).max(initial=0) < 2**24):
        raise ValueError(f"{path}: labels are whole numbers below {2**24}, this picture holds other {pixels.dtype}")
    return pixels.astype(np.int32)


def _require_32_bits(pixels: np.ndarray, path: Path) -> None:
    if pixels.size and (int(pixels.max()) > _LARGEST_ID or int(pixels.min()) < -_LARGEST_ID):
        raise ValueError(f"{path}: its numbers reach {pixels.max()}, more than 32 bits hold; renumber them from 1")


def _npy(path: Path) -> Integer[np.ndarray, "H W C"]:
    try:
        pixels = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a readable .npy file ({error}); it may be cut short, copy it again") from error
    if pixels.dtype.kind not in "uib" or pixels.ndim not in (2, 3):
        raise ValueError(f"{path}: labels are H x W whole numbers, this has {pixels.dtype} of shape {pixels.shape}")
    _require_32_bits(pixels, path)
    return np.asarray(pixels if pixels.ndim == 3 else pixels[..., None], np.int64)
