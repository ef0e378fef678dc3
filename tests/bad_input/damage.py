"""Ways to damage bytes, JSON, pictures and folders; each is named, and none needs PyTorch."""

import contextlib
import gzip
import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Bytes = Callable[[bytes], bytes]

HUGE = 10**30
NEUTRAL = ("byte order mark", "other spacing", "unicode escapes", "a key that nobody knows", "keys in another order")
"""Changes of a JSON that mean nothing."""


def deep(data: bytes) -> bytes:
    return b"[" * 200_000 + b"]" * 200_000


def with_unknown_key(data: bytes) -> bytes:
    return json.dumps({"x": {"y": [1, None]}, **json.loads(data)}).encode()


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(each) for each in value] if isinstance(value, list) else value


TEXTS: dict[str, Bytes] = {
    "empty": lambda data: b"",
    "one byte": lambda data: b"{",
    "blanks": lambda data: b" \n\t " * 9,
    "cut at a quarter": lambda data: data[: len(data) // 4],
    "cut in the middle": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data.rstrip()[:-1],
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "latin-1 bytes": lambda data: data.replace(b'"file_name"', b'"\xe9": 1, "file_name"'),
    "gzip": gzip.compress,
    "NUL bytes": lambda data: b"\0" * len(data),
    "NUL byte within": lambda data: data[:40] + b"\0" + data[40:],
    "comma at the end": lambda data: data.rstrip()[:-1] + b",}",
    "something behind": lambda data: data + b"xyz",
    "twice": lambda data: data + data,
    "single quotes": lambda data: data.replace(b'"', b"'"),
    "comments": lambda data: b"// made by hand\n" + data,
    "json lines": lambda data: b"\n".join(json.dumps(each).encode() for each in json.loads(data).values()),
    "deeply nested": deep,
    "a list": lambda data: b"[]",
    "a text": lambda data: b'"panoptic"',
    "null": lambda data: b"null",
    "a number": lambda data: b"1",
    "NaN": lambda data: b"NaN",
    "an empty object": lambda data: b"{}",
    "a web page": lambda data: b"<!DOCTYPE html><html><body>404</body></html>",
    "a pointer of git lfs": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a PNG": lambda data: png_bytes(np.zeros((4, 4, 3), np.uint8)),
    "other spacing": lambda data: json.dumps(json.loads(data), indent=3).encode(),
    "unicode escapes": lambda data: data.replace(b'"images"', b'"\\u0069mages"'),
    "a key that nobody knows": with_unknown_key,
    "keys in another order": lambda data: json.dumps(reversed_keys(json.loads(data))).encode(),
}
"""Damage to the bytes of a JSON."""

VALUES: dict[str, Any] = {
    "missing": ...,
    "null": None,
    "text": "abc",
    "empty text": "",
    "negative": -1,
    "half": 1.5,
    "huge": HUGE,
    "true": True,
    "a list": [],
    "an object": {},
}
"""Wrong values of one that is right."""

RAW_VALUES = {"NaN": "NaN", "1e999": "1e999", "-0": "-0", "5000 digits": "9" * 5000}
"""What only the text of a JSON can hold."""


def damaged_json(change: Callable[[Any], object]) -> Bytes:
    """A change of a parsed JSON, in place or returned."""

    def damage(data: bytes) -> bytes:
        content = json.loads(data)
        changed = change(content)
        return json.dumps(content if changed is None else changed).encode()

    return damage


def place(content: Any, where: str) -> tuple[Any, str | int]:
    """The container and the last key of `images.0.id`."""
    *parents, last = (int(part) if part.isdigit() else part for part in where.split("."))
    for key in parents:
        content = content[key]
    return content, last


def put(where: str, value: Any) -> Bytes:
    """Another value at a place; `...` removes the key."""

    def change(content: Any) -> None:
        container, key = place(content, where)
        if value is ...:
            del container[key]
        else:
            container[key] = value

    return damaged_json(change)


def put_raw(where: str, text: str) -> Bytes:
    """Text that need not be JSON instead of a value."""
    mark = "@mark@"
    return lambda data: put(where, mark)(data).replace(f'"{mark}"'.encode(), text.encode())


def doubled_key(where: str, value: str) -> Bytes:
    """A key twice in one object; the second one counts, if any does."""
    key = where.rpartition(".")[2]
    return put_raw(where, f'{value}, "{key}": {value}')


def field_damages(fields: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Bytes]]:
    """Each field with each of the values that are named for it; `*` stands for all."""
    for where, names in fields.items():
        for name, value in VALUES.items():
            if name in names or "*" in names:
                yield f"{where}: {name}", put(where, value)
        for name, text in RAW_VALUES.items():
            if name in names or "*" in names:
                yield f"{where}: {name}", put_raw(where, text)


def copy_row(part: str, **changed: Any) -> Bytes:
    """The first row of a list once more, with some changes."""
    return damaged_json(lambda content: content[part].append({**content[part][0], **changed}))


NAMES = {
    "climbs out": "../../../outside.png",
    "absolute": "/etc/hostname",
    "a drive": "C:\\windows\\x.png",
    "a NUL in it": "a\0b.png",
    "of 5000 letters": "n" * 5000 + ".png",
    "red": "\x1b[31mred\x1b[0m.png",
    "markup": "[b]gt[/b][/x].png",
    "two lines": "a\nb.png",
    "a lone surrogate": "\ud800.png",
    "turned around": "gnp.\u202e4gpj.png",
    "only a dot": ".",
    "a folder": "sub/",
    "no suffix": "x",
}
"""File names inside a JSON."""


def on_file(path: str, damage: Bytes) -> Callable[[Path], object]:
    """Damage to a file of the case's folder."""
    return lambda folder: (folder / path).write_bytes(damage((folder / path).read_bytes()))


LINKS = {
    "a device without end": "/dev/zero",
    "/dev/null": "/dev/null",
    "a link to nothing": "gone",
    "a link to itself": "",
}


def in_place_of(path: str, kind: str) -> Callable[[Path], object]:
    """Something else where a file or a folder was."""

    def change(folder: Path) -> None:
        target = folder / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        match kind:
            case "a folder":
                target.mkdir()
            case "a pipe":
                os.mkfifo(target)
            case _ if kind in LINKS:
                target.symlink_to(LINKS[kind] or target.name)
            case "a socket":
                import socket

                with contextlib.chdir(target.parent):  # names of sockets are short
                    socket.socket(socket.AF_UNIX).bind(target.name)
            case "a file":
                target.write_text("a file")

    return change


SPECIAL = (
    "nothing",
    "a folder",
    "a pipe",
    "a device without end",
    "/dev/null",
    "a link to nothing",
    "a link to itself",
    "a socket",
)
"""What a path may lead to instead of a file."""


def unreadable(path: str) -> Callable[[Path], object]:
    return lambda folder: (folder / path).chmod(0)


def png_bytes(pixels: np.ndarray, **options: Any) -> bytes:
    """Pixels as a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image in any format that Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@cache
def packed_zeros(megabytes: int) -> bytes:
    """Zeros as zlib packs them: a thousandth of their size."""
    press = zlib.compressobj()
    return b"".join(press.compress(bytes(1_000_000)) for _ in range(megabytes)) + press.flush()


def made_png(
    width: int, height: int, depth: int = 8, kind: int = 2, data: bytes = b"", packed: bytes | None = None
) -> bytes:
    """A PNG with any header in front of any data."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(data) if packed is None else packed) + chunk(b"IEND", b"")


def changed_pixels(change: Callable[[np.ndarray], np.ndarray]) -> Bytes:
    return lambda data: png_bytes(np.ascontiguousarray(change(np.asarray(Image.open(io.BytesIO(data))))))


PNGS: dict[str, Bytes] = {
    "empty": lambda data: b"",
    "signature alone": lambda data: data[:8],
    "header alone": lambda data: data[:33],
    "cut in the middle": lambda data: data[: len(data) // 2],
    "last chunk missing": lambda data: data[:-12],
    "no signature": lambda data: b"\0" * 8 + data[8:],
    "a bit turned": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]
    ),
    "wrong checksum of the header": lambda data: data[:29] + b"\0\0\0\0" + data[33:],
    "no pixels in it": lambda data: made_png(96, 64),
    "too few pixels": lambda data: made_png(96, 64, data=b"\0" * 99),
    "no width": lambda data: made_png(0, 64),
    "50000 x 50000": lambda data: made_png(50_000, 50_000, data=b"\0" * 99),
    "2^31 x 2^31": lambda data: made_png(2**31 - 1, 2**31 - 1, data=b"\0" * 99),
    "a bomb of 400 MB": lambda data: made_png(96, 64, packed=packed_zeros(400)),
    "a bomb in its text": lambda data: data[:33] + chunk(b"zTXt", b"k\0\0" + packed_zeros(200)) + data[33:],
    "a kind of colour that is none": lambda data: made_png(96, 64, kind=5),
    "a depth that is none": lambda data: made_png(96, 64, depth=7),
    "grey": changed_pixels(lambda pixels: pixels[..., 0]),
    "with alpha": changed_pixels(lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])),
    "transparent": changed_pixels(lambda pixels: np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])),
    "16 bits": changed_pixels(lambda pixels: pixels[..., 0].astype(np.uint16) * 257),
    "palette": lambda data: saved(Image.open(io.BytesIO(data)).quantize(), "PNG"),
    "1 bit": lambda data: saved(Image.open(io.BytesIO(data)).convert("1"), "PNG"),
    "a row less": changed_pixels(lambda pixels: pixels[:-1]),
    "a column more": changed_pixels(lambda pixels: np.pad(pixels, ((0, 0), (0, 1), (0, 0)))),
    "on its side": changed_pixels(lambda pixels: pixels.transpose(1, 0, 2)),
    "one pixel": changed_pixels(lambda pixels: pixels[:1, :1]),
    "black": changed_pixels(np.zeros_like),
    "white": changed_pixels(lambda pixels: np.full_like(pixels, 255)),
    "noise": changed_pixels(lambda pixels: np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)),
    "a JPEG": lambda data: saved(Image.open(io.BytesIO(data)).convert("RGB"), "JPEG"),
    "a GIF": lambda data: saved(Image.open(io.BytesIO(data)).convert("RGB"), "GIF"),
    "a TIFF": lambda data: saved(Image.open(io.BytesIO(data)), "TIFF"),
    "text": lambda data: b"this is no picture",
    "two frames": lambda data: saved(
        Image.open(io.BytesIO(data)), "PNG", save_all=True, append_images=[Image.new("RGB", (96, 64))]
    ),
    "something behind": lambda data: data + b"xyz" * 99,
    "packed without pressing": lambda data: saved(Image.open(io.BytesIO(data)), "PNG", compress_level=0),
}
"""Damage to a panoptic PNG."""

PIXELS_KEPT = ("packed without pressing",)


def turned(data: bytes, number: int) -> bytes:
    image = Image.open(io.BytesIO(data))
    exif = image.getexif()
    exif[0x0112] = number
    return saved(image.convert("RGB"), "JPEG", exif=exif.tobytes())


def as_mode(mode: str, kind: str = "PNG", **options: Any) -> Bytes:
    return lambda data: saved(Image.open(io.BytesIO(data)).convert("RGB").convert(mode), kind, **options)


PICTURES: dict[str, Bytes] = {
    **{
        name: PNGS[name]
        for name in (
            "empty",
            "signature alone",
            "header alone",
            "cut in the middle",
            "no signature",
            "a bit turned",
            "no pixels in it",
            "no width",
            "50000 x 50000",
            "2^31 x 2^31",
            "a bomb of 400 MB",
            "a bomb in its text",
            "a kind of colour that is none",
            "a depth that is none",
            "grey",
            "with alpha",
            "transparent",
            "16 bits",
            "palette",
            "1 bit",
            "one pixel",
            "black",
            "a JPEG",
            "a GIF",
            "a TIFF",
            "text",
            "two frames",
            "wrong checksum of the header",
            "something behind",
        )
    },
    "PostScript": lambda data: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "SVG": lambda data: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "a PDF": lambda data: b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "an icon": lambda data: saved(Image.new("RGB", (16, 16)), "ICO"),
    "JPEG 2000": lambda data: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "a camera's HEIC": lambda data: b"\0\0\0\x18ftypheic" + bytes(64),
    "WebP": as_mode("RGB", "WEBP"),
    "BMP": as_mode("RGB", "BMP"),
    "PPM": as_mode("RGB", "PPM"),
    "TGA": as_mode("RGB", "TGA"),
    "CMYK": as_mode("CMYK", "JPEG"),
    "YCbCr TIFF": as_mode("YCbCr", "TIFF"),
    "LAB TIFF": as_mode("LAB", "TIFF"),
    "grey with alpha": as_mode("LA"),
    "32-bit TIFF": as_mode("I", "TIFF"),
    "floating TIFF": as_mode("F", "TIFF"),
    "TIFF of two pages": lambda data: saved(
        Image.new("RGB", (96, 64)), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]
    ),
    "a cut JPEG": lambda data: PNGS["a JPEG"](data)[:700],
    "a JPEG without its end": lambda data: PNGS["a JPEG"](data)[:-2],
    "a progressive JPEG": as_mode("RGB", "JPEG", progressive=True),
    "turned by EXIF 6": lambda data: turned(data, 6),
    "EXIF that is nonsense": lambda data: saved(
        Image.open(io.BytesIO(data)).convert("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"
    ),
    "a profile that is nonsense": lambda data: saved(
        Image.open(io.BytesIO(data)).convert("RGB"), "PNG", icc_profile=b"x" * 99
    ),
    "3000 x 1": lambda data: png_bytes(np.zeros((1, 3000, 3), np.uint8)),
    "1 x 3000": lambda data: png_bytes(np.zeros((3000, 1, 3), np.uint8)),
    "2 x 2": lambda data: png_bytes(np.zeros((2, 2, 3), np.uint8)),
}
"""Damage to a photograph, and kinds of photographs."""
