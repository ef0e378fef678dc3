from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from unipan.panoptic.images import as_rgb, page_count, read_image, stretched

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)


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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
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
        (PHOTO.astype(np.uint16), "this array is uint16, and nothing says which of its values are black and white"),
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


def test_deep_images_are_stretched_between_percentiles_of_the_file(tmp_path: Path) -> None:
    """One picture of a cell, as microscopes write it: 12 of 16 bits, all of them, floats, and three channels."""
    y, x = np.mgrid[:96, :128]
    cell = np.clip(1 - np.hypot(y - 48, x - 64) / 30, 0, 1) * 0.8 + 0.1
    Image.fromarray((cell * 4095).astype(np.uint16)).save(tmp_path / "a12.png")
    Image.fromarray((cell * 4095).astype(np.uint16)).save(tmp_path / "a12.tif")
    Image.fromarray((cell * 65535).astype(np.uint16)).save(tmp_path / "a16.png")
    Image.fromarray((cell * 1e6).astype(np.int32)).save(tmp_path / "i32.tif")
    Image.fromarray(cell.astype(np.float32)).save(tmp_path / "af.tif")
    cv2.imwrite(str(tmp_path / "rgb16.png"), np.repeat((cell * 65535).astype(np.uint16)[..., None], 3, 2))
    low, high = np.percentile(cell, (0.1, 99.9))
    expected = np.clip((cell - low) / (high - low), 0, 1) * 255
    for name in ("a12.png", "a12.tif", "a16.png", "i32.tif", "af.tif", "rgb16.png"):
        found = read_image(tmp_path / name, (0.1, 99.9))
        np.testing.assert_allclose(found, np.repeat(expected[..., None], 3, 2), atol=1.5, err_msg=name)
        assert len(np.unique(found)) > 150
    Image.fromarray((cell * 255).astype(np.uint8)).save(tmp_path / "a8.png")
    assert (read_image(tmp_path / "a8.png", (0.1, 99.9)) == read_image(tmp_path / "a8.png")).all()  # 8 bits stay


def test_colours_keep_their_order_and_odd_values_their_place(tmp_path: Path) -> None:
    deep = np.zeros((4, 4, 3), np.uint16)
    deep[0] = (60_000, 30_000, 0)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    assert read_image(tmp_path / "a.png", (0.0, 100.0))[0, 0].tolist() == [255, 128, 0]
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [234, 117, 0]
    flat = stretched(np.full((2, 2), 7.0), (0.1, 99.9))
    assert not flat.any()
    odd = stretched(np.array([[0.0, 1.0], [np.nan, np.inf]]), (0.0, 100.0))
    assert odd[..., 0].tolist() == [[0, 255], [0, 255]]
    with pytest.raises(ValueError, match="no pixel is a number"):
        stretched(np.full((2, 2), np.nan), (0.1, 99.9))
    with pytest.raises(ValueError, match=r"data\.window 99 1: give two percentiles"):
        stretched(np.eye(2), (99.0, 1.0))


def test_a_tiff_of_several_pages_is_no_image(tmp_path: Path) -> None:
    pages = [Image.fromarray(PHOTO) for _ in range(3)]
    pages[0].save(tmp_path / "s.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"s\.tif: it has 3 pages"):
        read_image(tmp_path / "s.tif")


def test_a_page_of_a_tiff_is_read_at_its_own_depth(tmp_path: Path) -> None:
    ramps = [np.arange(64 * 80, dtype=np.uint16).reshape(64, 80) * step for step in (2, 5)]
    first, second = map(Image.fromarray, ramps)
    first.save(tmp_path / "grey.tif", save_all=True, append_images=[second])
    colours = [np.stack([ramp, ramp[::-1], ramp[:, ::-1]], 2) for ramp in ramps]
    assert cv2.imwritemulti(str(tmp_path / "rgb.tif"), [colour[..., ::-1] for colour in colours])
    assert page_count(tmp_path / "grey.tif") == page_count(tmp_path / "rgb.tif") == 2
    for page, (ramp, colour) in enumerate(zip(ramps, colours, strict=True), start=1):
        assert (read_image(tmp_path / "grey.tif", page=page)[..., 0] == np.rint(ramp / 257)).all()
        grey = stretched(ramp, (1.0, 99.0))
        assert (read_image(tmp_path / "grey.tif", (1.0, 99.0), page) == grey).all()
        assert (read_image(tmp_path / "rgb.tif", (1.0, 99.0), page) == stretched(colour, (1.0, 99.0))).all()
    for page in (0, 3):
        with pytest.raises(ValueError, match=f"no page {page}"):
            read_image(tmp_path / "grey.tif", page=page)


def test_deep_images_in_memory_are_stretched_as_their_files_are(tmp_path: Path) -> None:
    pixels = np.arange(96 * 128).reshape(96, 128)
    colors = np.repeat(pixels.astype(np.uint16)[..., None], 3, 2)
    window = (0.1, 99.9)
    Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "a.tif")
    Image.fromarray(pixels.astype(np.float32)).save(tmp_path / "f.tif")
    cv2.imwrite(str(tmp_path / "rgb16.png"), colors)
    expected = read_image(tmp_path / "a.tif", window)
    assert len(np.unique(expected)) > 200
    for given in (pixels.astype(np.uint16), colors, Image.open(tmp_path / "a.tif"), Image.open(tmp_path / "f.tif")):
        np.testing.assert_allclose(as_rgb(given, window), expected, atol=1)
    with pytest.raises(ValueError, match="give its path"):  # Pillow has cut its colours to 8 bits
        as_rgb(Image.open(tmp_path / "rgb16.png"), window)
    with pytest.raises(ValueError, match="no pixels"):
        as_rgb(np.zeros((0, 4), np.uint16), window)
    assert as_rgb(PHOTO, window) is PHOTO  # 8 bits stay
