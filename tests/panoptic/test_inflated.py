"""Ids counted from a PNG's filtered rows are those of its pixels, whatever the filters; rarer PNGs are decoded."""

import zlib
from itertools import pairwise
from pathlib import Path
from struct import pack

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unipan.panoptic import inflated, pair_counts
from unipan.panoptic.inflated import Inflated, pixels_of
from unipan.panoptic.pair_counts import count_known
from unipan.panoptic.png import decode_channels, ids_to_rgb, png_of_rgb, read_channels
from unipan.panoptic.runs import MAX_ID


def chunk(name: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + name + data + pack(">I", zlib.crc32(name + data))


def png(rgb: np.ndarray, filters: np.ndarray, parts: int = 1) -> bytes:
    """A PNG whose row y has the filter filters[y], by the specification's formulas; its data in several chunks."""
    height, width, _ = rgb.shape
    pixels = np.zeros((height + 1, width + 1, 3), int)
    pixels[1:, 1:] = rgb
    left, up, corner = pixels[1:, :-1], pixels[:-1, 1:], pixels[:-1, :-1]
    to_left, to_up, to_corner = (abs(left + up - corner - each) for each in (left, up, corner))
    nearer = np.where(to_up <= to_corner, up, corner)
    paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearer)
    said = np.stack([0 * left, left, up, (left + up) // 2, paeth])[filters.clip(max=4), np.arange(height)]
    rows = np.concatenate([filters[:, None], (rgb - said).reshape(height, 3 * width) % 256], axis=1).astype(np.uint8)
    data = zlib.compress(rows.tobytes())
    cuts = np.linspace(0, len(data), parts + 1).astype(int)
    middle = b"".join(chunk(b"IDAT", data[a:b]) for a, b in pairwise(cuts))
    header = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + middle + chunk(b"IEND", b"")


def plainly(one: np.ndarray, other: np.ndarray, ids: np.ndarray, other_ids: np.ndarray) -> list[list[int]]:
    """Positions and pixels by np.unique over all pixels."""
    keys = []
    for picture, known in ((one, ids.tolist()), (other, other_ids.tolist())):
        order = {key: place for place, key in enumerate([*known, 0])}
        keys.append([order.get(key, len(known) + 1) for key in picture.ravel().tolist()])
    pairs, pixels = np.unique(np.array(keys), axis=1, return_counts=True)
    return [*pairs.tolist(), pixels.tolist()]


def drawn(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A map of ids, smooth or noisy or both, and the ids of interest: not all, and one that is not there."""
    values = np.array([0, MAX_ID, *rng.integers(1, MAX_ID, 5)])
    small = values[rng.integers(0, len(values), (height // 6 + 1, width // 11 + 1))]
    ids = np.kron(small, np.ones((6, 11), int))[:height, :width]
    strewn = rng.random((height, width)) < rng.choice([0, 0.01, 0.2, 1])
    ids[strewn] = values[rng.integers(0, len(values), int(strewn.sum()))]
    return ids, rng.permutation(np.unique([*values[1:-2], 7]))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 130), st.sampled_from([0, 1, 2, 3, 4, None]))
def test_counting_filtered_rows_equals_unique_over_pixels(seed: int, height: int, width: int, kind: int | None) -> None:
    rng = np.random.default_rng(seed)
    maps, known, pictures = [], [], []
    for _ in range(2):
        ids, interest = drawn(rng, height, width)
        filters = rng.integers(0, 5, height) if kind is None else np.full(height, kind)
        data = png(ids_to_rgb(ids), filters, int(rng.integers(1, 4)))
        assert (np.asarray(imagecodecs.png_decode(data)) == ids_to_rgb(ids)).all()  # the test's own encoder is right
        assert (decode_channels(data) == ids_to_rgb(ids)).all()
        found = inflated.inflate(data)
        assert isinstance(found, Inflated)
        maps.append(ids)
        known.append(interest)
        pictures.append(found)
    expected = plainly(*maps, *known)
    assert [each.tolist() for each in count_known(*pictures, *known)] == expected
    assert [each.tolist() for each in count_known(*pictures, *known)] == expected  # rewritten filters say the same
    for ids, picture in zip(maps, pictures, strict=True):
        assert (picture.pixels() == ids_to_rgb(ids)).all()
    plain = [ids_to_rgb(ids) for ids in maps]
    assert [each.tolist() for each in count_known(*plain, *known)] == expected
    assert [each.tolist() for each in count_known(pictures[0], plain[1], *known)] == expected


def test_many_segments_are_sorted_and_not_tabulated(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, known = drawn(np.random.default_rng(0), 20, 30)
    picture = inflated.inflate(png(ids_to_rgb(ids), np.full(20, 4)))
    assert picture is not None
    expected = [each.tolist() for each in count_known(picture, picture, known, known)]
    monkeypatch.setattr(pair_counts, "_CELLS", 1)
    assert [each.tolist() for each in count_known(picture, picture, known, known)] == expected


def test_no_segments_and_one_pixel() -> None:
    none = np.zeros(0, np.int64)
    for ids, place in ((np.array([[5]]), 1), (np.array([[0]]), 0)):
        picture = inflated.inflate(png(ids_to_rgb(ids), np.array([1])))
        assert picture is not None
        assert [each.tolist() for each in count_known(picture, picture, none, none)] == [[place], [place], [1]]


def test_pictures_of_two_sizes_are_refused() -> None:
    one, other = (inflated.inflate(png(np.zeros((2, w, 3), int), np.array([0, 0]))) for w in (3, 4))
    assert one is not None
    assert other is not None
    with pytest.raises(ValueError, match="one picture is"):
        count_known(one, other, np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_rarer_pngs_are_decoded_and_the_usual_only_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    rgb = ids_to_rgb(np.array([[1, 70_000], [MAX_ID, 0]]))
    image = Image.fromarray(rgb)
    rarer = [image.convert("RGBA"), image.quantize()]
    for each in rarer:
        each.save(path)
        found = read_channels(path)
        assert isinstance(found, np.ndarray)
        assert (found == rgb).all()
    # One pixel has one pass of the seven, so this is what an interlaced picture of one pixel looks like.
    whole = bytearray(png(rgb[:1, :1], np.array([0])))
    whole[28] = 1
    whole[29:33] = pack(">I", zlib.crc32(whole[12:29]))
    path.write_bytes(whole)
    found = read_channels(path)
    assert isinstance(found, np.ndarray)
    assert (found == rgb[:1, :1]).all()
    path.write_bytes(png_of_rgb(rgb))
    usual = read_channels(path)
    assert isinstance(usual, Inflated)
    assert (pixels_of(usual) == rgb).all()
    monkeypatch.setattr(inflated, "has_loops", lambda: False)
    assert isinstance(read_channels(path), np.ndarray)


def test_bad_files_get_the_sentence_of_the_plain_decoder(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    rgb = ids_to_rgb(np.random.default_rng(0).integers(0, MAX_ID, (9, 40)))
    whole = png(rgb, np.arange(9) % 5)
    wide = bytearray(whole)
    wide[16:20] = pack(">I", 41)
    wide[29:33] = pack(">I", zlib.crc32(wide[12:29]))
    unknown = png(rgb, np.array([0, 1, 2, 3, 4, 5, 4, 3, 2]))
    empty = png(np.zeros((0, 3, 3), int), np.zeros(0, int))
    for data in (whole[:60], whole[:-13], whole[:70] + b"x" + whole[71:], bytes(wide), unknown, empty, b"", whole[:-2]):
        path.write_bytes(data)
        sentences = []
        for read in (read_channels, decode_channels):
            with pytest.raises(ValueError, match=r"x\.png: not a readable PNG") as raised:
                read(path)
            sentences.append(str(raised.value))
        assert sentences[0] == sentences[1]
    for grey in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)):
        cv2.imwrite(str(path), grey)
        with pytest.raises(ValueError, match="three 8-bit channels"):
            read_channels(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_channels(tmp_path / "y.png")
