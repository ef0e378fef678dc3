"""Which files are opened as images: by content, from one list, whatever their name; and how damage is told."""

import ast
import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from unipan.datasets.doctor.examine import indices_are_ids
from unipan.datasets.formats.label_picture import image_size, read_label_picture
from unipan.files import read_bytes, require_regular
from unipan.panoptic.image_files import IMAGE_FORMATS, open_image, told_of_damage
from unipan.panoptic.images import read_image
from unipan.panoptic.png import decode_png
from unipan.prediction.images import SUFFIXES

SOURCE = Path(__file__).resolve().parents[2] / "src" / "unipan"
FOREIGN = ("EPS", "PPM", "TGA", "PCX", "ICO", "SGI", "DDS", "IM", "MSP", "JPEG2000")


def picture() -> Image.Image:
    return Image.fromarray(np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3))


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    (picture().convert("1") if kind == "MSP" else picture()).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_promised_formats_are_read_under_any_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.dat"
    path.write_bytes(encoded(kind))
    assert read_image(path).shape == (16, 24, 3)
    assert image_size(path) == (16, 24)
    with open_image(path.read_bytes()) as image:
        assert image.format == kind


def test_pictures_of_phones_with_several_views_are_jpegs(tmp_path: Path) -> None:
    """MPO: Pillow opens it through JPEG."""
    picture().save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[picture()])
    assert read_image(tmp_path / "phone.jpg").shape == (16, 24, 3)


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
def test_no_door_opens_another_format_under_a_promised_name(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(kind))
    Image.init()
    for other in set(Image.OPEN) - set(IMAGE_FORMATS):
        monkeypatch.setitem(Image.OPEN, other, (lambda *_: pytest.fail("a foreign plugin was asked"), None))
    for door in (read_image, image_size, read_label_picture, decode_png):
        with pytest.raises(ValueError, match=r"photo\.(png|tif): not a readable"):
            door(path)
    assert not indices_are_ids(path, [1])


def test_there_is_one_door() -> None:
    calls = {
        f"{path.relative_to(SOURCE)}: {ast.unparse(node)}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("Image.open", "cv2.imread", "cv2.imreadmulti")
    }
    assert calls == {"panoptic/image_files.py: Image.open"}
    assert set(SUFFIXES) == {suffix for suffixes in IMAGE_FORMATS.values() for suffix in suffixes}


@pytest.mark.parametrize("error", [IndexError("x"), OverflowError(), KeyError(273), ValueError("buffer"), EOFError()])
def test_whatever_pillow_raises_names_the_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    picture().save(path)

    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(ValueError, match=r"a\.png: not a readable image \("):
        read_image(path)
    picture().convert("L").save(path)
    with pytest.raises(ValueError, match=r"a\.png: not a readable label picture \("):
        read_label_picture(path)


def test_our_own_sentences_and_memory_pass(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^a\.png: mine$"), told_of_damage(Path("a.png")):
        raise ValueError("a.png: mine")
    with pytest.raises(MemoryError), told_of_damage(Path("a.png")):
        raise MemoryError


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"<html>not found</html>", "its content is something else"),
        (b"", "it is empty, copy it again"),
        (b"x", "its content is something else"),
        (encoded("JPEG")[:200], "it may be cut short"),
        (encoded("PNG")[:10], "it may be cut short"),
        (b"\xff\xd8 and no more", "it may be cut short"),
    ],
)
def test_a_file_that_is_no_image_is_not_told_that_it_is_cut_short(content: bytes, remedy: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"photo\.jpg: not a readable image \(.*\); {remedy}"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_volume_is_named_wherever_an_image_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"\x1f\x8b" + b"0" * 20)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: .*NIfTI.*out of reach"):
        read_image(tmp_path / "a.nii.gz")


def test_pipes_and_devices_are_no_images(tmp_path: Path) -> None:
    """Nobody writes into this pipe: to open it would wait for ever."""
    pipe, device = tmp_path / "pipe.png", Path(os.devnull)
    os.mkfifo(pipe)
    for door in (read_image, image_size, read_label_picture, require_regular):
        for path in (pipe, device):
            with pytest.raises(ValueError, match="this is a pipe or a device, a file is needed"):
                door(path)
    with pytest.raises(ValueError, match="this is a pipe or a device"):
        read_bytes(Path("/dev/zero"))  # it never ends
    with pytest.raises(ValueError, match="this is a folder"):
        read_image(tmp_path)


def test_masks_within_a_json_come_through_the_same_door() -> None:
    from unipan.datasets.formats.labelme import _mask_of_text

    assert _mask_of_text(base64.b64encode(encoded("PNG")).decode(), "x.json").shape == (16, 24)
    with pytest.raises(ValueError, match=r"x\.json: its `mask` is no PNG"):
        _mask_of_text(base64.b64encode(encoded("EPS")).decode(), "x.json")
