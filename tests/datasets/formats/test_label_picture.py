"""Label pictures of every depth keep their numbers."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.datasets.maps import DOOR, WALL
from unipan.datasets.formats.label_picture import image_size, map_of_keys, read_ids, read_label_picture, read_labels
from unipan.panoptic.png import encode_png

LABELS = np.arange(12).reshape(3, 4) * 20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_channel(dtype: type, tmp_path: Path) -> None:
    labels = (LABELS * (250 if dtype is np.uint16 else 1)).astype(dtype)
    cv2.imwrite(str(tmp_path / "a.png"), labels)
    assert (read_labels(tmp_path / "a.png") == labels).all()
    assert (read_ids(tmp_path / "a.png") == labels).all()


def test_palettes_and_arrays(tmp_path: Path) -> None:
    palette = Image.fromarray(LABELS.astype(np.uint8), "L").convert("P")
    palette.putdata(LABELS.reshape(-1).tolist())
    palette.putpalette([200, 3, 7] * 256)
    palette.save(tmp_path / "a.png")
    assert (read_labels(tmp_path / "a.png") == LABELS).all()
    np.save(tmp_path / "a.npy", LABELS - 1)
    assert (read_labels(tmp_path / "a.npy") == LABELS - 1).all()
    Image.fromarray(LABELS > 100).save(tmp_path / "b.png")
    assert (read_labels(tmp_path / "b.png") == (LABELS > 100)).all()


def grey_and_alpha(grey: np.ndarray, alpha: np.ndarray) -> bytes:
    """A PNG of two channels of 16 bits, which neither Pillow nor OpenCV writes (PNG specification, 11.2)."""
    rows = np.stack([grey, alpha], axis=2).astype(">u2")
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(content)),
        (b"IEND", b""),
    ]
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_two_channels_of_8_and_16_bits(tmp_path: Path) -> None:
    grey = np.stack([LABELS, LABELS[::-1]], axis=2).astype(np.uint8)
    Image.fromarray(grey, "LA").save(tmp_path / "a.png")
    assert (read_label_picture(tmp_path / "a.png") == grey).all()
    with pytest.raises(ValueError, match=r"a\.png: .*2 channels"):
        read_labels(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: .*three 8-bit channels"):
        read_ids(tmp_path / "a.png")
    (tmp_path / "c.png").write_bytes(grey_and_alpha(classes := LABELS * 200, instances := LABELS[::-1] * 150))
    assert (read_label_picture(tmp_path / "c.png") == np.stack([classes, instances], axis=2)).all()
    with pytest.raises(ValueError, match=r"c\.png: .*2 channels"):
        read_ids(tmp_path / "c.png")
    deep = np.stack([LABELS, LABELS * 100, LABELS * 0], axis=2).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "b.png"), deep[..., ::-1])
    assert (read_label_picture(tmp_path / "b.png") == deep).all()


def test_ids_of_three_channels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(LABELS * 70_000))
    assert (read_ids(tmp_path / "a.png") == LABELS * 70_000).all()


def test_what_is_no_label_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png: not a readable"):
        read_labels(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match=r"b\.png: no such file"):
        read_labels(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", LABELS / 7)
    with pytest.raises(ValueError, match=r"c\.npy: labels are H x W whole numbers"):
        read_labels(tmp_path / "c.npy")
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"d\.npy: not a readable"):
        read_labels(tmp_path / "d.npy")


def test_size_of_a_turned_photograph(tmp_path: Path) -> None:
    photo, exif = Image.fromarray(np.zeros((3, 5, 3), np.uint8)), Image.Exif()
    photo.save(tmp_path / "a.jpg")
    exif[0x0112] = 6
    photo.save(tmp_path / "b.jpg", exif=exif)
    assert (image_size(tmp_path / "a.jpg"), image_size(tmp_path / "b.jpg")) == ((3, 5), (5, 3))
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"c\.jpg: not a readable image"):
        image_size(tmp_path / "c.jpg")


def test_keys_become_segments() -> None:
    keys = np.array([[7, 7, -1], [9, 9, 8]])
    what = {7: (DOOR, False), 9: (WALL, False), 8: (DOOR, True), -1: None}
    counted = map_of_keys(keys, what.__getitem__, "x")
    assert counted.ids.tolist() == [[1, 1, 0], [3, 3, 2]]
    assert [(s.id, s.category, s.iscrowd) for s in counted] == [(1, DOOR, False), (2, DOOR, True), (3, WALL, False)]
    assert map_of_keys(keys, what.__getitem__, "x", keep=True).ids.tolist() == [[7, 7, 0], [9, 9, 8]]


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "WEBP"])
def test_formats_that_keep_no_numbers_hold_no_labels(kind: str, tmp_path: Path) -> None:
    Image.new("L", (4, 4), 3).save(tmp_path / "a.png", kind)
    with pytest.raises(ValueError, match=rf"a\.png: this is a {kind}, .* its numbers are lost"):
        read_label_picture(tmp_path / "a.png")
