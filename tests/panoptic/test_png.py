"""COCO panoptic PNGs, of every kind that a tool may write, and whatever may be wrong with them."""

from pathlib import Path
from zlib import crc32

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unipan.panoptic.png import decode_png, encode_png, ids_to_rgb, rgb_to_ids


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_ids_survive_the_png(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 256**3, rng.integers(1, 9, 2))
    rgb = ids_to_rgb(ids)
    assert (rgb.astype(int) @ [1, 256, 65536] == ids).all()
    assert (rgb_to_ids(rgb) == ids).all()
    assert (decode_png(encode_png(ids)) == ids).all()


@pytest.mark.parametrize("filters", ["NONE", "SUB", "UP", "AVG", "PAETH", "ALL"])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_filter_of_a_png_is_undone(filters: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (5, 6, channels)), np.ones((9, 7, 1))).astype(np.uint8)
    for pixels in (smooth, rng.integers(0, 256, (33, 21, channels), dtype=np.uint8), smooth[:1, :1]):
        data = imagecodecs.png_encode(pixels, filter=getattr(imagecodecs.PNG.FILTER, filters))
        assert (decode_png(data) == rgb_to_ids(pixels[..., :3])).all()


@pytest.mark.parametrize("sound", [True, False])
def test_a_header_that_claims_a_giant_is_refused(sound: bool) -> None:
    whole = bytearray(encode_png(np.ones((3, 4), np.int32)))
    whole[16:24] = b"\x7f\xff\xff\xff" * 2
    if sound:
        whole[29:33] = crc32(whole[12:29]).to_bytes(4, "big")
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_png(bytes(whole))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 400))
def test_a_changed_byte_is_refused_or_harmless(seed: int, place: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.integers(0, 256**3, (3, 4)), np.ones((6, 5), int)).astype(np.int32)
    whole = bytearray(encode_png(ids))
    whole[place % len(whole)] ^= 1 + seed % 255
    try:
        found = decode_png(bytes(whole))
    except ValueError:
        return
    assert (found == ids).all()


def test_png_channels_are_in_official_order(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encode_png(np.array([[1 + 256 * 2 + 65536 * 3]])))
    assert np.asarray(Image.open(path))[0, 0].tolist() == [1, 2, 3]
    assert decode_png(path)[0, 0] == 197121
    Image.open(path).convert("RGBA").save(path)
    assert decode_png(str(path))[0, 0] == 197121
    Image.fromarray(np.array([[[1, 2, 3]]], np.uint8)).quantize().save(path)
    assert decode_png(path)[0, 0] == 197121


@pytest.mark.parametrize("bad", [-1, 256**3])
def test_ids_that_do_not_fit_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="ids run from 0 to 16777215"):
        encode_png(np.array([[bad]]))


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
    with pytest.raises(ValueError, match="a folder stands where a file is needed"):
        decode_png(tmp_path)
