import os
import threading
from pathlib import Path
from zlib import crc32

import cv2
import imagecodecs
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from unipan.panoptic import encoding
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.images import as_rgb, read_image
from unipan.panoptic.maps import VOID, PanopticMap, class_map, panoptic_map
from unipan.panoptic.png import decode_channels, decode_png, encode_png, ids_to_rgb, rgb_to_ids

SKY, CAR = Category(5, "sky", False, (0, 0, 9)), Category(2, "car", True, (9, 0, 0))
CLASSES = Categories.of([SKY, CAR])
PHOTO = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_ids_survive_the_png(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 256**3, rng.integers(1, 9, 2))
    rgb = ids_to_rgb(ids)
    assert (rgb.astype(int) @ [1, 256, 65536] == ids).all()
    assert (rgb_to_ids(rgb) == ids).all()
    assert (decode_png(encode_png(ids)) == ids).all()


@pytest.fixture(params=["loops", "imagecodecs", "opencv"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways to decode a PNG must say the same."""
    way = getattr(encoding, f"_decode_by_{request.param}")
    monkeypatch.setattr(encoding, "_png_decoder", lambda: way)


def test_the_fastest_decoder_is_taken() -> None:
    assert encoding._png_decoder() is encoding._decode_by_loops


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("filters", ["NONE", "SUB", "UP", "AVG", "PAETH", "ALL"])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_filter_of_a_png_is_undone(filters: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (5, 6, channels)), np.ones((9, 7, 1))).astype(np.uint8)
    for pixels in (smooth, rng.integers(0, 256, (33, 21, channels), dtype=np.uint8), smooth[:1, :1]):
        data = imagecodecs.png_encode(pixels, filter=getattr(imagecodecs.PNG.FILTER, filters))
        assert (decode_channels(data) == pixels[..., :3]).all()


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("sound", [True, False])
def test_a_header_that_claims_a_giant_is_refused(sound: bool) -> None:
    whole = bytearray(encode_png(np.ones((3, 4), np.int32)))
    whole[16:24] = b"\x7f\xff\xff\xff" * 2
    if sound:
        whole[29:33] = crc32(whole[12:29]).to_bytes(4, "big")
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_png(bytes(whole))


@pytest.mark.usefixtures("decoder")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
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


@pytest.mark.usefixtures("decoder")
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


@pytest.mark.usefixtures("decoder")
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


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    upright = Image.fromarray(PHOTO)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.png", exif=exif)
    assert (read_image(tmp_path / "x.png") == PHOTO).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr") else "x.png")
    if mode == "I;16":
        Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257).save(path)
        expected = np.repeat(PHOTO[..., :1], 3, axis=2)
    else:
        Image.fromarray(PHOTO).convert(mode).save(path)
        expected = np.asarray(Image.fromarray(PHOTO).convert(mode).convert("RGB"))
    found = read_image(path)
    assert found.dtype == np.uint8
    assert found.shape == (6, 4, 3)
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=2)


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    layer = np.zeros((1, 2, 4), np.uint8)
    layer[0, 0] = (10, 20, 30, 255)
    Image.fromarray(layer, "RGBA").save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png")[0].tolist() == [[10, 20, 30], [255, 255, 255]]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([200, 0, 0])
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png")[0, 0].tolist() == [255, 255, 255]


def test_bad_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jpg"
    with pytest.raises(FileNotFoundError, match=r"x\.jpg: no such file"):
        read_image(path)
    Image.fromarray(np.tile(PHOTO, (40, 40, 1))).save(path)
    whole = path.read_bytes()
    for data in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"x\.jpg: not a readable image"):
            read_image(path)
    path.write_bytes(whole)
    monkeypatch.setattr(encoding.Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"x\.jpg: too many pixels"):
        read_image(path)
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ValueError, match=r"f\.tif: floating-point pixels"):
        read_image(tmp_path / "f.tif")
    Image.fromarray(np.full((2, 2), 10**6, np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(ValueError, match=r"i\.tif: pixels of 1000000"):
        read_image(tmp_path / "i.tif")


def test_as_rgb_takes_what_it_promises() -> None:
    planes = torch.from_numpy(PHOTO).permute(2, 0, 1)
    for image in (Image.fromarray(PHOTO), PHOTO, PHOTO[::-1][::-1], planes, planes / 255, (planes / 255).double()):
        found = as_rgb(image)
        assert (found == PHOTO).all()
        assert found.flags.c_contiguous
    assert as_rgb(PHOTO) is PHOTO


def test_as_rgb_may_always_be_written() -> None:
    frozen = np.frombuffer(PHOTO.tobytes(), np.uint8).reshape(PHOTO.shape)
    found = as_rgb(frozen)
    assert (found == PHOTO).all()
    assert found.flags.writeable  # torch.from_numpy warns otherwise


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (PHOTO.astype(float), "HxWx3 uint8"),
        (PHOTO[..., 0], "HxWx3 uint8"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (torch.zeros(1, 4, 4), "3xHxW"),
        (torch.zeros(4, 4, 3), "3xHxW"),
        (torch.full((3, 2, 2), 1.5), "must lie in 0..1"),
        (torch.full((3, 2, 2), -0.1), "must lie in 0..1"),
        (torch.full((3, 2, 2), float("nan")), "without NaN"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "uint8"),
        (torch.zeros(3, 0, 2), "no pixels"),
        ([[1, 2]], "a list is not an image"),
        (None, "a NoneType is not an image"),
    ],
)
def test_as_rgb_refuses_everything_else(image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_rgb(image)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_areas_and_boxes_equal_boolean_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 4, 90_000, 256**3 - 1], rng.integers(1, 9, 2)).astype(np.int64)
    present = [key for key in (256**3 - 1, 4, 90_000) if (ids == key).any()]
    panoptic = panoptic_map(ids, dict.fromkeys(present, CAR), scores={4: 0.25}, crowds={4})
    assert [segment.id for segment in panoptic] == present
    assert panoptic.ids.dtype == np.int32
    for segment in panoptic:
        y, x = np.nonzero(ids == segment.id)
        assert segment.area == len(y)
        assert segment.bbox == (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)
        assert (segment.score, segment.iscrowd) == ((0.25, True) if segment.id == 4 else (1.0, False))


def test_maps_that_contradict_their_segments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.png: id 7 has pixels but no segment"):
        panoptic_map(np.array([[7]]), {}, source="a.png")
    with pytest.raises(ValueError, match=r"a\.png: segment id 3 is declared but has no pixel"):
        panoptic_map(np.array([[7]]), {7: CAR, 3: SKY}, source="a.png")
    with pytest.raises(ValueError, match=r"segment id 0 is outside 1\.\."):
        panoptic_map(np.array([[0]]), {0: CAR})
    with pytest.raises(ValueError, match="no pixels"):
        panoptic_map(np.zeros((0, 3), np.int32), {})
    assert len(panoptic_map(np.zeros((2, 2), np.int32), {})) == 0


def test_class_map() -> None:
    panoptic = panoptic_map(np.array([[0, 3], [9, 9]]), {9: SKY, 3: CAR}, crowds={3})
    assert class_map(panoptic, CLASSES).tolist() == [[VOID, 0], [1, 1]]
    with pytest.raises(ValueError, match=r"category id 5 \('sky'\) is not one of the 1 classes"):
        class_map(panoptic, Categories((CAR,)))
    empty = PanopticMap(np.zeros((0, 3), np.int32), ())
    assert class_map(empty, CLASSES).shape == (0, 3)
    assert class_map(PanopticMap(np.zeros((2, 3), np.int32), ()), CLASSES).tolist() == [[VOID] * 3] * 2
    with pytest.raises(ValueError, match="id 9 has pixels"):
        class_map(PanopticMap(panoptic.ids, panoptic.segments[1:]), CLASSES)


def test_bytes_of_a_pipe_of_nothing_and_of_what_one_call_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, file, pipe = tmp_path / "empty", tmp_path / "file", tmp_path / "pipe"
    empty.touch()
    file.write_bytes(bytes(range(256)) * 40)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"panoptic" * 9,))
    writer.start()
    assert (encoding.read_bytes(empty), encoding.read_bytes(pipe)) == (b"", b"panoptic" * 9)
    writer.join()
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 100)))
    assert encoding.read_bytes(file) == file.read_bytes()


def test_bytes_of_no_file_and_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent: no such file"):
        encoding.read_bytes(tmp_path / "absent")
    with pytest.raises(ValueError, match="a folder stands where a file is needed"):
        encoding.read_bytes(tmp_path)
