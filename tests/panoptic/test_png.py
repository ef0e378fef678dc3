"""Ids from and to PNGs: Pillow's pixels whatever the PNG's kind, and one sentence for whatever is damaged."""

from io import BytesIO
from pathlib import Path
from struct import pack
from zlib import compress, crc32

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unipan.panoptic.png import decode_png, encode_png, ids_to_rgb, rgb_to_ids
from unipan.panoptic.runs import MAX_ID

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Left, top and steps of the passes of an interlaced PNG (PNG specification, 8.2)."""


def chunk(name: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + name + data + pack(">I", crc32(name + data))


def noise(
    size: tuple[int, int], kind: int, depth: int = 8, filters: int | None = None, interlaced: bool = False
) -> bytes:
    """A PNG of random bytes: any bytes are pixels under any filter, so no encoder's habits limit what is read."""
    rng = np.random.default_rng(0)

    def scanlines(height: int, width: int) -> bytes:
        if height * width == 0:
            return b""
        rows = rng.integers(0, 256, (height, 1 + -(-CHANNELS[kind] * depth * width // 8)), dtype=np.uint8)
        rows[:, 0] = rng.integers(0, 5, height) if filters is None else filters
        return rows.tobytes()

    height, width = size
    raw = scanlines(height, width)
    if interlaced:
        raw = b"".join(scanlines(-(-(height - top) // down), -(-(width - left) // right))
                       for left, top, right, down in ADAM7)  # fmt: skip
    data = compress(raw)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)),
            chunk(b"PLTE", rng.bytes(3 * 2**depth)) if kind == PALETTE else b"",
            *(chunk(b"IDAT", data[start : start + 300]) for start in range(0, len(data), 300)),
            chunk(b"IEND", b""),
        ]
    )


def by_pillow(png: bytes) -> np.ndarray:
    channels = np.asarray(Image.open(BytesIO(png)).convert("RGBA")).astype(np.int64)
    return np.asarray(channels[..., :3] @ [1, 256, 65536])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_ids_survive_the_png(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 256**3, rng.integers(1, 9, 2))
    rgb = ids_to_rgb(ids)
    assert (rgb.astype(int) @ [1, 256, 65536] == ids).all()
    assert (rgb_to_ids(rgb) == ids).all()
    assert (decode_png(encode_png(ids)) == ids).all()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("filters", [None, 0, 1, 2, 3, 4])
@pytest.mark.parametrize(("kind", "depth"), [(RGB, 8), (RGBA, 8), *((PALETTE, depth) for depth in (8, 4, 2, 1))])
def test_every_kind_of_png_equals_pillow(kind: int, depth: int, filters: int | None, interlaced: bool) -> None:
    for size in ((1, 1), (1, 7), (7, 1), (5, 3), (9, 13), (17, 33), (48, 64)):
        png = noise(size, kind, depth, filters, interlaced)
        found = decode_png(png)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, by_pillow(png))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tRNS", b"\0\1\0\2\0\3"),
        chunk(b"gAMA", pack(">I", 100_000)),
        chunk(b"sBIT", b"\5\5\5"),
        chunk(b"PLTE", bytes(range(30))),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),  # turned by 90 degrees
    ],
    ids=["transparent color", "gamma", "few bits", "suggested palette", "orientation"],
)
def test_what_a_png_says_of_its_colors_changes_no_id(extra: bytes) -> None:
    png = noise((6, 11), RGB)
    assert (decode_png(png[:33] + extra + png[33:]) == by_pillow(png)).all()


def test_png_channels_are_in_official_order(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encode_png(np.array([[1 + 256 * 2 + 65536 * 3]])))
    assert np.asarray(Image.open(path))[0, 0].tolist() == [1, 2, 3]
    assert decode_png(path)[0, 0] == 197121
    Image.open(path).convert("RGBA").save(path)
    assert decode_png(str(path))[0, 0] == 197121
    Image.fromarray(np.array([[[1, 2, 3]]], np.uint8)).quantize().save(path)
    assert decode_png(path)[0, 0] == 197121


def test_transparency_is_left_out_not_blended() -> None:
    ids = np.array([[0, 70_000, MAX_ID]], np.int32)
    for alpha in (0, 7, 255):
        pixels = np.dstack([ids_to_rgb(ids), np.full((1, 3), alpha, np.uint8)])
        done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
        assert done
        assert (decode_png(data.tobytes()) == ids).all()


@pytest.mark.parametrize("bad", [-1, 256**3])
def test_ids_that_do_not_fit_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="ids run from 0 to 16777215"):
        encode_png(np.array([[bad]]))


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("kind", [RGB, RGBA, PALETTE])
@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (100_000, 100_000), (1, 2**31 - 1), (1_426_063_380, 20)])
def test_a_header_that_claims_a_giant_is_refused(size: tuple[int, int], kind: int, sound: bool) -> None:
    whole = bytearray(noise((3, 4), kind))
    whole[16:24] = pack(">II", *size)
    if sound:
        whole[29:33] = crc32(whole[12:29]).to_bytes(4, "big")
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_png(bytes(whole))


def test_the_best_compressed_map_is_no_giant() -> None:
    """Void everywhere: deflate's limit is close, and the header claims no more than the file holds."""
    ids = np.zeros((3000, 2000), np.int32)
    done, data = cv2.imencode(".png", ids_to_rgb(ids), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done
    assert ids.size > 330 * len(data)
    assert (decode_png(data.tobytes()) == 0).all()


@pytest.mark.parametrize(("kind", "depth"), [(RGB, 8), (RGBA, 8), (PALETTE, 8), (PALETTE, 4)])
def test_a_changed_byte_is_refused_or_harmless(kind: int, depth: int) -> None:
    whole = noise((7, 9), kind, depth)
    expected = by_pillow(whole)
    for place in range(len(whole)):
        for change in (1, 32, 255):
            damaged = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
            try:
                found = decode_png(damaged)
            except ValueError:
                continue
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [RGB, RGBA, PALETTE])
def test_a_file_that_is_cut_short_is_refused_and_more_bytes_behind_it_are_harmless(kind: int) -> None:
    whole = noise((7, 9), kind)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="not a readable PNG"):
            decode_png(whole[:length])
    assert (decode_png(whole + b"garbage" * 9) == by_pillow(whole)).all()
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_png(whole[: len(whole) // 2] + whole[-12:])  # the end is there, its middle is not


@pytest.mark.parametrize(
    ("kind", "told"),
    [("JPEG", "which blurs its pixels"), ("GIF", "its numbers are lost"), ("WEBP", "make it"), ("TIFF", "not a PNG")],
)
def test_pictures_under_the_name_of_a_png_are_called_what_they_are(kind: str, told: str, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (1, 0, 0)).save(tmp_path / "x.png", kind)
    with pytest.raises(ValueError, match=rf"x\.png: this is a {kind}, .*{told}"):
        decode_png(tmp_path / "x.png")


def test_bad_pngs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(FileNotFoundError, match=r"x\.png: no such file"):
        decode_png(path)
    whole = encode_png(np.random.default_rng(0).integers(0, 256**3, (50, 50)))
    damaged = whole[:900] + bytes([whole[900] ^ 255]) + whole[901:]
    for data in (b"", b"nonsense", whole[: len(whole) // 2], whole[:-2], damaged):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"x\.png: not a readable PNG"):
            decode_png(path)
    for grey in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)):
        cv2.imwrite(str(path), grey)
        with pytest.raises(ValueError, match=r"x\.png: a panoptic PNG has three 8-bit channels"):
            decode_png(path)
    for mode, told in (("L", "one of 8 bits"), ("LA", r"two \(grey and alpha\) of 8 bits"), ("I;16", "one of 16 bits")):
        Image.new(mode, (4, 4)).save(path)
        with pytest.raises(
            ValueError, match=rf"x\.png: a panoptic PNG has three 8-bit channels .*, this one has {told}"
        ):
            decode_png(path)
    with pytest.raises(ValueError, match="this is a folder, a file is needed"):
        decode_png(tmp_path)


@pytest.mark.parametrize(
    ("kind", "depth"), [(GREY, 1), (GREY, 8), (GREY, 16), (GREY_ALPHA, 8), (GREY_ALPHA, 16), (RGB, 16), (RGBA, 16)]
)
def test_one_channel_and_16_bits_are_refused(kind: int, depth: int) -> None:
    channels = {GREY: "one", GREY_ALPHA: r"two \(grey and alpha\)", RGB: "three", RGBA: "four"}[kind]
    with pytest.raises(ValueError, match=f"three 8-bit channels .* this one has {channels} of {depth} bits"):
        decode_png(noise((4, 5), kind, depth))
