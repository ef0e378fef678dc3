"""What `predict` may be given: paths, patterns, lists and addresses, which are refused as they were written."""

import io
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, TiffTags

from unipan.cli import main
from unipan.panoptic.image_files import is_geotiff
from unipan.prediction.given import LONGEST_PATH, given_paths, path_lines


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.png", "b.png", "c.jpg", "deep/d.png", "odd[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.as_posix() for path in paths]


def test_patterns_and_names_that_look_like_one(folder: Path) -> None:
    assert names(given_paths(["*.png"])) == ["a.png", "b.png", "odd[1].png"]
    assert names(given_paths(["**/*.png"])) == ["a.png", "b.png", "deep/d.png", "odd[1].png"]
    assert names(given_paths(["odd[1].png", "c.jpg"])) == ["odd[1].png", "c.jpg"]
    assert given_paths([f"{folder}/?.png"]) == [folder / "a.png", folder / "b.png"]
    with pytest.raises(ValueError, match=r"z\*\.png: no file matches"):
        given_paths(["z*.png"])


def test_a_list_on_standard_input(folder: Path) -> None:
    assert names(given_paths(["-"], io.StringIO("a.png\n\ndeep/d.png\r\n*.jpg\n"))) == ["a.png", "deep/d.png", "c.jpg"]
    with pytest.raises(ValueError, match="standard input"):
        given_paths(["-"], io.StringIO("\n"))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1"),
        (b"a.png\0b.png\0", "line 1"),
        (b"a.png\nb.png\n\xff\xfe\n", "line 3"),
        (json.dumps({"images": [{"file_name": "a.png"}]}, indent=1).encode(), "line 1"),
        (b"a.png\n[1, 2]\n", "line 2"),
        (b"a.png\ngone*.png\n", "line 2"),
        (b"a.png\nb.png\na.png\n", "line 3"),
        (b"x" * 3_000_000, "line 1"),
    ],
)
def test_what_is_no_list_of_paths_is_one_sentence_about_its_line(folder: Path, data: bytes, named: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=f"-: {named} of standard input") as found:
        given_paths(["-"], path_lines(io.BytesIO(data).readline))
    assert len(str(found.value)) < 300


class Endless(io.RawIOBase):
    """A device without end, or without the end of a line."""

    def __init__(self, data: bytes) -> None:
        self.data, self.given = itertools.cycle(data), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.given += len(buffer)
        buffer[:] = bytes(itertools.islice(self.data, len(buffer)))
        return len(buffer)


@pytest.mark.parametrize("data", [b"\0", b"y\n", b"a.png\n"])
def test_a_list_without_end_is_refused_at_once(folder: Path, data: bytes) -> None:
    source = Endless(data)
    with pytest.raises((ValueError, FileNotFoundError), match="of standard input"):
        given_paths(["-"], path_lines(io.BufferedReader(source).readline))
    assert source.given < 8 * LONGEST_PATH


def test_a_listed_name_need_not_be_text_and_there_need_be_no_standard_input(folder: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    (folder / "a.png").rename(folder / name)
    assert given_paths(["-"], path_lines(io.BytesIO(b"\xff.png\nb.png").readline)) == [Path(name), Path("b.png")]
    with pytest.raises(ValueError, match="standard input has no line"):
        given_paths(["-"], path_lines(None))


@pytest.mark.parametrize("address", ["https://example.org/a//b.jpg", "s3://bucket/a.png", "file:///tmp/a.png"])
def test_an_address_is_named_as_it_was_given(address: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["predict", "scenes", address, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith(f"unipan: {address}: this is an address")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("a.nii.gz", "NIfTI"), ("b.NII", "NIfTI"), ("c.dcm", "DICOM"), ("d.h5", "HDF5")]
)
def test_volumes_are_named_as_out_of_reach(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"?")
    assert main(["predict", "scenes", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"{name}: a" in said
    assert kind in said
    assert "out of reach" in said
    assert len(said.splitlines()) == 1


def geotiff(path: Path, pixels: np.ndarray) -> Path:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, values in ((33550, (0.5, 0.5, 0.0)), (33922, (0.0, 0.0, 0.0, 1.0, 2.0, 0.0))):
        tags[tag] = values
        tags.tagtype[tag] = TiffTags.DOUBLE
    Image.fromarray(pixels).save(path, tiffinfo=tags)
    return path


def test_a_geotiff_is_told_from_a_tiff(tmp_path: Path) -> None:
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert is_geotiff(geotiff(tmp_path / "map.tif", flat))
    Image.fromarray(flat).save(tmp_path / "plain.tif")
    assert not is_geotiff(tmp_path / "plain.tif")
    big = tmp_path / "big.tif"
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(big, flat, bigtiff=True, extratags=[(33550, "d", 3, (1.0, 1.0, 0.0), True)])
    assert is_geotiff(big)
    for damaged in (b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff", b"MM\x00+" + b"\xff" * 12, b"no TIFF at all"):
        (tmp_path / "damaged.tif").write_bytes(damaged)
        assert not is_geotiff(tmp_path / "damaged.tif")


def test_a_plain_geotiff_is_segmented_with_a_note_and_another_is_left_out_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = geotiff(tmp_path / "map.tif", np.full((64, 64, 3), 90, np.uint8))
    heights = geotiff(tmp_path / "heights.tif", np.full((64, 64), 812.5, np.float32))
    assert main(["predict", "scenes", str(plain), str(heights), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert f"note: {plain} is a GeoTIFF; its coordinates are not read" in said.err
    assert f"{heights} is left out: of GeoTIFFs only plain pictures are read" in said.err
    assert f"1 image, 1 left out: {heights}" in said.out


def test_a_pattern_leaves_out_what_unipan_wrote(folder: Path) -> None:
    assert main(["scenes", "--count", "1", "--seed", "4000000", "--out", "drawn"]) == 0
    assert names(given_paths(["drawn/**/*.png"])) == ["drawn/images/scene_4000000.png"]
    with pytest.raises(ValueError, match=r"drawn/panoptic/\*\.png: unipan wrote all files"):
        given_paths(["drawn/panoptic/*.png"])
