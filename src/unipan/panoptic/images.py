"""Images from files and from memory, as upright 8-bit RGB."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from unipan.arrays import UInt8
from unipan.files import local_path, read_bytes, require_regular
from unipan.panoptic.image_files import is_geotiff, open_image, told_of_damage

_ORIENTATION = 0x0112
"""Of EXIF; from 2 the image lies or is mirrored."""
Percentiles = tuple[float, float]
"""Percentiles of the pixels of an image that become black and white."""


_ANIMATED = ("GIF", "PNG", "WEBP")  # a second frame of a JPEG is a preview, or the other eye's
WHOLE_RANGE: Percentiles = (0.0, 0.0)
"""Instead of percentiles: black and white are 0 and 65535, whatever the image holds."""


def read_image(
    path: Path | str, window: Percentiles = WHOLE_RANGE, page: int | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Read an image as RGB, with its EXIF orientation applied.

    Args:
        path: the image.
        window: for images of more than 8 bits a channel, which are stretched linearly between these percentiles of all
            their pixels. `WHOLE_RANGE` takes that of 16 bits, and refuses what has no known range.
        page: of a TIFF of several pages, or the frame of an animation, from 1 on.

    Grey, palette, CMYK and 16-bit images are converted, transparency is composited over white, and without `page` only
    the first frame of an animation is read. A TIFF of several pages is refused then: which of them is the image?

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a readable image, or one without this page.
    """
    path = local_path(path)
    require_regular(path)
    try:
        with told_of_damage(path), open_image(path) as image:
            go_to_page(image, path, page)
            source = str(path) if page is None else f"{path}: page {page}"
            if window != WHOLE_RANGE and is_deep(image):
                return stretched(_deep_pixels(image, path, page or 1), window, source)
            return rgb_of_pil(image, source)
    except ValueError as error:
        if not is_geotiff(path):
            raise
        raise ValueError(
            f"{path}: of GeoTIFFs only plain pictures are read, one or three bands of 8 or 16 bits; "
            f"export one (gdal_translate -ot Byte -scale) ({str(error).removeprefix(f'{path}: ')})"
        ) from error


def page_count(path: Path) -> int:
    """How many pages a TIFF has, or frames an animation (GIF, PNG, WebP); 1 for other images.

    Raises:
        FileNotFoundError, ValueError: see `read_image`.
    """
    require_regular(path)
    with told_of_damage(path), open_image(path) as image:
        return _pages(image)


def go_to_page(image: Image.Image, path: Path, page: int | None) -> None:
    """Make a page of an open image the one that is decoded.

    Raises:
        ValueError: there is no such page, or several and none is named.
    """
    if page is None:
        require_one_page(image, path)
    elif not isinstance(page, int | np.integer) or isinstance(page, bool):
        raise ValueError(f"{path}: page {page!r} is no number; the first page is 1")
    elif not 1 <= page <= _pages(image):
        raise ValueError(f"{path}: there is no page {page}, it has {_pages(image)}")
    else:
        image.seek(page - 1)


def turned_by_exif(path: Path) -> bool:
    """Whether an image's EXIF swaps its width and height; False of what cannot be read."""
    try:
        with told_of_damage(path), open_image(path) as image:
            return image.getexif().get(_ORIENTATION) in range(5, 9)
    except (ValueError, OSError):
        return False


def is_animation(path: Path) -> bool:
    """Whether a file is a GIF, PNG or WebP of several frames; False of what cannot be read."""
    try:
        with told_of_damage(path), open_image(path) as image:
            return image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
    except (ValueError, OSError):
        return False


def _pages(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1) if image.format in ("TIFF", *_ANIMATED) else 1


def is_deep(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits a channel."""
    if image.mode.startswith("I") or image.mode == "F":
        return True
    if image.format == "PNG":  # Pillow shows 16-bit colours as 8 bits
        return any("16" in str(tile[3]) for tile in getattr(image, "tile", []))
    bits = getattr(image, "tag_v2", {}).get(258, (8,))  # TIFF's BitsPerSample
    return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)


def _deep_pixels(image: Image.Image, path: Path, page: int) -> np.ndarray:
    """The pixels at their own depth: H x W, or H x W x 3."""
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(ImageOps.exif_transpose(image))
    import cv2

    encoded = np.frombuffer(read_bytes(path), np.uint8)
    if page == 1:
        pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    else:
        found = cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED, range=(page - 1, page))[1]
        pixels = found[0] if found else None
    if pixels is None or pixels.ndim != 3:
        raise ValueError(
            f"{path}: {image.mode} of more than 8 bits cannot be read; save it with 16 bits of one channel"
        )
    return np.asarray(pixels[..., 2::-1])  # OpenCV gives BGR, with alpha behind it


def stretched(pixels: np.ndarray, window: Percentiles, source: str = "image") -> UInt8[np.ndarray, "H W 3"]:
    """Pixels of any range as 8-bit RGB: the percentiles of `window` become 0 and 255, what is beyond is clipped.

    An image of one value is black. Pixels that are not numbers are black too.

    Raises:
        ValueError: no pixel is a number, or the percentiles are not in order.
    """
    if not 0 <= window[0] < window[1] <= 100:
        raise ValueError(f"data.window {window[0]:g} {window[1]:g}: give two percentiles in order, like 0.1 99.9")
    values = pixels.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError(f"{source}: no pixel is a number")
    low, high = np.percentile(finite, window)
    scaled = np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12), 0, 1)
    grey = np.rint(scaled * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else np.ascontiguousarray(grey)


def require_one_page(image: Image.Image, path: Path) -> None:
    """Raises ValueError for a TIFF of several pages: a stack, a series, or channels."""
    pages = _pages(image) if image.format == "TIFF" else 1
    if pages > 1:
        raise ValueError(
            f"{path}: it has {pages} pages, and one is an image; `unipan predict --pages` takes them one by one, and "
            "for the rest save each under a name of its own (Fiji: Image > Stacks > Stack to Images, then File > Save)"
        )


def rgb_of_pil(image: Image.Image, source: str = "image") -> UInt8[np.ndarray, "H W 3"]:
    """Convert a PIL image of any mode to upright 8-bit RGB; transparency is composited over white.

    Raises:
        ValueError: a mode without a known range (floats, or integers above 65535).
    """
    if image.getexif().get(_ORIENTATION) in range(2, 9):  # exif_transpose copies an upright image, too
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return _rgb_of_16_bit(np.asarray(image), source)
    if image.mode == "F":
        raise ValueError(f"{source}: floating-point pixels have no known range; save it with 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _rgb_of_16_bit(grey: np.ndarray, source: str) -> UInt8[np.ndarray, "H W 3"]:
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"{source}: pixels of {grey.min()}..{grey.max()} have no known range; save it with 16 bits")
    scaled = np.rint(grey / 257).astype(np.uint8)
    return np.repeat(scaled[..., None], 3, axis=2)


def as_rgb(image: object, window: Percentiles = WHOLE_RANGE) -> UInt8[np.ndarray, "H W 3"]:
    """Turn an image in memory into a contiguous, writable HxWx3 uint8 array.

    Args:
        image: a PIL image, an HxWx3 uint8 array, or a 3xHxW tensor (uint8 0-255, or floating point 0-1); with a window
            also a uint16 array, HxW or HxWx3.
        window: see `read_image`.

    Raises:
        ValueError: anything else.
    """
    if isinstance(image, Image.Image):
        rgb = _rgb_of_picture(image, window)
    elif isinstance(image, np.ndarray):
        rgb = _rgb_of_array(image, window)
    elif is_tensor(image):
        rgb = _rgb_of_tensor(image)
    else:
        raise ValueError(
            f"image: a {type(image).__name__} is not an image; give a path, a PIL image, an HxWx3 uint8 array or a "
            "3xHxW tensor"
        )
    if rgb.size == 0:
        raise ValueError(f"image: it has no pixels (shape {rgb.shape})")
    return np.require(rgb, requirements=("C", "W"))  # torch warns of arrays that may not be written


def _rgb_of_picture(image: Image.Image, window: Percentiles) -> UInt8[np.ndarray, "H W 3"]:
    if not (image.width and image.height):
        return np.zeros((image.height, image.width, 3), np.uint8)
    if window == WHOLE_RANGE or not is_deep(image):
        return rgb_of_pil(image)
    if not (image.mode.startswith("I") or image.mode == "F"):
        raise ValueError(
            f"image: Pillow keeps 8 of the bits of each colour of this {image.format}; give its path, so that all are "
            "read, or a uint16 array"
        )
    return stretched(np.asarray(ImageOps.exif_transpose(image)), window)


def _rgb_of_array(image: np.ndarray, window: Percentiles) -> UInt8[np.ndarray, "H W 3"]:
    colors = image.ndim == 3 and image.shape[2] == 3
    if image.dtype == np.uint8 and colors:
        return image
    if image.dtype == np.uint16 and (colors or image.ndim == 2):
        if window == WHOLE_RANGE:
            raise ValueError(
                "image: this array is uint16, and nothing says which of its values are black and white (data.window of "
                "the checkpoint is 0 0); scale it to HxWx3 uint8"
            )
        return stretched(image, window) if image.size else np.zeros((*image.shape[:2], 3), np.uint8)
    raise ValueError(
        f"image: an array must be HxWx3 uint8 (RGB), this one has shape {image.shape} and type {image.dtype}"
    )


def is_tensor(image: object) -> bool:
    """Whether it is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _layout(image: Any) -> str:
    return "nested" if image.is_nested else str(image.layout).removeprefix("torch.").replace("_", " ")


def _rgb_of_tensor(image: Any) -> UInt8[np.ndarray, "H W 3"]:
    if image.is_nested or str(image.layout) != "torch.strided":
        raise ValueError(f"image: this is a {_layout(image)} tensor; give a dense one (image.to_dense())")
    if image.is_meta:
        raise ValueError("image: a tensor on the device meta has a shape but no pixels; give one on the cpu or a GPU")
    if image.numel() == 0:
        raise ValueError(f"image: this tensor is empty (shape {tuple(image.shape)}); it has no pixels")
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"image: a tensor must be 3xHxW (RGB), this one is {'x'.join(map(str, image.shape))}")
    if not image.is_floating_point() and str(image.dtype) != "torch.uint8":  # numpy does not know all that torch has
        raise ValueError(f"image: a tensor must be uint8 (0-255) or floating point (0-1), this one is {image.dtype}")
    image = image.detach().cpu().resolve_neg()
    pixels = np.asarray(image.float() if image.is_floating_point() else image)
    if pixels.dtype == np.float32:
        if not ((pixels >= 0) & (pixels <= 1)).all():  # a NaN fails both
            raise ValueError(
                f"image: a floating-point tensor must lie in 0..1 without NaN, this one spans "
                f"{pixels.min():.4g}..{pixels.max():.4g}; divide by 255, or give uint8"
            )
        pixels = (pixels * 255).round().astype(np.uint8)
    return pixels.transpose(1, 2, 0)
