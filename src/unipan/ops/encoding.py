"""Files and pixels: photographs to RGB, panoptic PNGs to ids, ids and their classes to a `PanopticMap`."""

import os
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Int32, Integer, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from unipan.categories import Categories, Category
from unipan.ops.inflated import Inflated, can_inflate, has_loops, inflate
from unipan.ops.runs import MAX_ID, rows_of_ids, runs
from unipan.structures import VOID, PanopticMap, Segment


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


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or one sentence that names it.

    Every call into the system hands the interpreter's lock to another thread, and waits to have it back: four calls
    here, seven in Path.read_bytes; 4 % of the wall time of scoring 640x480 maps with two threads.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            size = os.fstat(descriptor).st_size
            data = os.read(descriptor, size + 1)
            if len(data) != size:  # a pipe, a file that grows, or more than one call reads
                with open(descriptor, "rb", closefd=False) as rest:
                    data += rest.read()
        finally:
            os.close(descriptor)
        return data
    except OSError:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file") from None
        if not path.is_file():
            raise ValueError(f"{path}: a folder stands where a file is needed") from None
        raise


def read_image(path: Path | str) -> UInt8[np.ndarray, "H W 3"]:
    """Read a photograph as RGB, upright (EXIF orientation applied).

    Grey, palette, CMYK and 16-bit images are converted; transparency is laid over white. Of an animation the
    first frame is read.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a readable image.
    """
    path = Path(path)
    if not path.is_file():
        read_bytes(path)
    try:
        with Image.open(path) as image:
            return rgb_of_pil(image, str(path))
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: too many pixels to open safely ({error})") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable image ({error}); it may be cut short, copy it again") from error


def rgb_of_pil(image: Image.Image, source: str = "image") -> UInt8[np.ndarray, "H W 3"]:
    """Convert a PIL image of any mode to upright 8-bit RGB; transparency is laid over white.

    Raises:
        ValueError: a mode without a known range (floats, or integers above 65535).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return _rgb_of_16_bit(np.asarray(image), source)
    if image.mode == "F":
        raise ValueError(f"{source}: floating-point pixels have no known range; save it with 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def _rgb_of_16_bit(grey: np.ndarray, source: str) -> UInt8[np.ndarray, "H W 3"]:
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"{source}: pixels of {grey.min()}..{grey.max()} have no known range; save it with 16 bits")
    scaled = np.rint(grey / 257).astype(np.uint8)
    return np.repeat(scaled[..., None], 3, axis=2)


def as_rgb(image: object) -> UInt8[np.ndarray, "H W 3"]:
    """Turn an image in memory into a contiguous, writable HxWx3 uint8 array.

    Args:
        image: a PIL image, an HxWx3 uint8 array, or a 3xHxW tensor (uint8 0-255, or floating point 0-1).

    Raises:
        ValueError: anything else.
    """
    if isinstance(image, Image.Image):
        return rgb_of_pil(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"image: an array must be HxWx3 uint8 (RGB), this one has shape {image.shape} and type {image.dtype}"
            )
        rgb = image
    elif isinstance(image, Tensor):
        rgb = _rgb_of_tensor(image)
    else:
        raise ValueError(
            f"image: a {type(image).__name__} is not an image; give a path, a PIL image, an HxWx3 uint8 array or a "
            "3xHxW tensor"
        )
    if rgb.size == 0:
        raise ValueError(f"image: it has no pixels (shape {rgb.shape})")
    return np.require(rgb, requirements=("C", "W"))  # torch warns of arrays that may not be written


def _rgb_of_tensor(image: Tensor) -> UInt8[np.ndarray, "H W 3"]:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"image: a tensor must be 3xHxW (RGB), this one is {'x'.join(map(str, image.shape))}")
    image = image.detach().cpu()
    if image.is_floating_point():
        if not bool(((image >= 0) & (image <= 1)).all()):  # a NaN fails both
            raise ValueError(
                f"image: a floating-point tensor must lie in 0..1 without NaN, this one spans "
                f"{image.min().item():.4g}..{image.max().item():.4g}; divide by 255, or give uint8"
            )
        image = (image.float() * 255).round().to(torch.uint8)
    if image.dtype != torch.uint8:
        raise ValueError(f"image: a tensor must be uint8 (0-255) or floating point (0-1), this one is {image.dtype}")
    return image.permute(1, 2, 0).numpy()


def panoptic_map(
    ids: Integer[np.ndarray, "H W"],
    categories: Mapping[int, Category],
    scores: Mapping[int, float] | None = None,
    crowds: Collection[int] = (),
    source: str = "panoptic map",
    declared_areas: Mapping[int, float] | None = None,
) -> PanopticMap:
    """Build a `PanopticMap`; areas and bounding boxes are counted from the pixels, in one pass.

    Args:
        ids: 0 = void, every other id a key of `categories`.
        categories: the class of each segment; its order becomes the order of the segments.
        scores: confidence per id, 1 where absent.
        crowds: ids of crowd regions.
        source: what error messages call the map.
        declared_areas: what the file says, per id; kept as it is (see `Segment`).

    Raises:
        ValueError: an id with pixels but no class, a class without pixels, an empty map, or an id that no PNG holds.
    """
    known = list(categories)
    if ids.size == 0:
        raise ValueError(f"{source}: the map has no pixels (shape {ids.shape})")
    if any(not 0 < key <= MAX_ID for key in known):
        bad = next(key for key in known if not 0 < key <= MAX_ID)
        raise ValueError(f"{source}: segment id {bad} is outside 1..{MAX_ID}; 0 is void, renumber it")
    areas, boxes = _areas_and_boxes(ids, known, source)
    segments = []
    for row, (key, category) in enumerate(categories.items()):
        if areas[row] == 0:
            raise ValueError(f"{source}: segment id {key} is declared but has no pixel in the map; remove it")
        x0, y0, x1, y1 = boxes[row].tolist()
        score = 1.0 if scores is None else float(scores.get(key, 1.0))
        bbox = (x0, y0, x1 - x0, y1 - y0)
        said = declared_areas.get(key) if declared_areas else None
        segments.append(
            Segment(
                int(key), category, score, int(areas[row]), bbox, key in crowds, None if said is None else float(said)
            )
        )
    return PanopticMap(np.ascontiguousarray(ids, dtype=np.int32), tuple(segments))


def _areas_and_boxes(
    ids: Integer[np.ndarray, "H W"], known: list[int], source: str
) -> tuple[Integer[np.ndarray, " N"], Integer[np.ndarray, "N 4"]]:
    """Pixels and x0 y0 x1 y1 of each known id; the box of an absent one is meaningless."""
    starts, lengths = runs(ids, rows=True)
    owner = rows_of_ids(ids.reshape(-1)[starts], known, source)
    top, left = np.divmod(starts, ids.shape[1])
    areas = np.bincount(owner, weights=lengths, minlength=len(known) + 1)[:-1].astype(np.int64)
    boxes = np.zeros((len(known) + 1, 4), np.int64)
    boxes[:, :2] = ids.size
    np.minimum.at(boxes[:, 0], owner, left)
    np.minimum.at(boxes[:, 1], owner, top)
    np.maximum.at(boxes[:, 2], owner, left + lengths)
    np.maximum.at(boxes[:, 3], owner, top + 1)
    return areas, boxes[:-1]


def class_map(panoptic: PanopticMap, categories: Categories) -> Int32[np.ndarray, "H W"]:
    """For each pixel the class index (things first), VOID (-1) where the id is 0; crowds keep their class.

    Raises:
        ValueError: a segment's category is not one of `categories`, or an id has no segment.
    """
    for segment in panoptic:
        if segment.category.id not in categories.index_of_id:
            raise ValueError(
                f"segment {segment.id}: category id {segment.category.id} ({segment.category.name!r}) is not one of "
                f"the {len(categories)} classes"
            )
    classes = np.array([*(categories.index_of_id[segment.category.id] for segment in panoptic), VOID], np.int32)
    starts, lengths = runs(panoptic.ids)
    rows = rows_of_ids(panoptic.ids.reshape(-1)[starts], [segment.id for segment in panoptic], "panoptic map")
    return np.repeat(classes[rows], lengths).reshape(panoptic.ids.shape)
