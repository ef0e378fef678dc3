"""Damaged videos are told from whole ones by what their containers count; where they only guess, nothing is claimed."""

from collections.abc import Callable
from pathlib import Path
from struct import pack, unpack_from

import cv2
import numpy as np
import pytest

from unipan.cli import main
from unipan.prediction.matroska import _elements
from unipan.prediction.videos import Video

FRAMES = 20


def video(path: Path, codec: str, frames: int = FRAMES) -> Path:
    random = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (96, 64))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(random.integers(0, 256, (64, 96, 3)).astype(np.uint8))
    writer.release()
    return path


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def holed(path: Path, content: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) * 3 // 4] = bytes([content]) * (len(data) * 3 // 4 - len(data) // 2)
    path.write_bytes(data)


def spoilt(path: Path) -> None:
    """The frames from the sixth on are zeros but for their first bytes; what is between them is as it was."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        blocks = [(begin, end) for kind, begin, end in _elements(file, len(data)) if kind == 0xA3]
    assert len(blocks) == FRAMES
    for begin, end in blocks[5:]:
        data[begin + 5 : end] = bytes(end - begin - 5)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "MJPG"), ("a.avi", "mp4v"), ("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.mkv", "MJPG"), ("a.webm", "VP80")],
)
@pytest.mark.parametrize("frames", [1, 2, FRAMES])
def test_a_whole_video_has_lost_nothing(name: str, codec: str, frames: int, tmp_path: Path) -> None:
    found = Video(video(tmp_path / name, codec, frames))
    assert (found.count, found.lost) == (frames, None)


@pytest.mark.parametrize(
    ("name", "codec", "damage"),
    [
        ("a.avi", "MJPG", cut),
        ("a.avi", "mp4v", holed),
        ("a.mp4", "mp4v", holed),
        ("a.mov", "mp4v", holed),
        ("a.webm", "VP80", spoilt),
        ("a.mkv", "MJPG", spoilt),
    ],
)
def test_frames_that_a_container_counts_are_missed(
    name: str, codec: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    damage(path := video(tmp_path / name, codec))
    found = Video(path)
    assert 0 < found.count < FRAMES - 2
    assert found.lost is not None
    assert f"only {found.count} of its {FRAMES} frames" in found.lost


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "VP80"), ("a.mkv", "MJPG")])
def test_a_container_without_a_count_is_seen_to_end_early(name: str, codec: str, tmp_path: Path) -> None:
    cut(path := video(tmp_path / name, codec))
    assert Video(path).lost == "the file is cut short, copy it again"


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "VP80"), ("a.webm", "VP90"), ("a.mkv", "mp4v")])
@pytest.mark.parametrize("content", [0, 0x55, 0xA3])
def test_a_hole_in_a_container_without_a_count_is_seen(content: int, name: str, codec: str, tmp_path: Path) -> None:
    holed(path := video(tmp_path / name, codec), content)
    found = Video(path)
    assert 0 < found.count < FRAMES - 2
    assert found.lost is not None
    assert "damaged" in found.lost


def test_a_recording_of_unknown_length_and_its_hole(tmp_path: Path) -> None:
    """As browsers write them (MediaRecorder): neither the whole nor its clusters have a size."""
    data = bytearray(video(tmp_path / "a.webm", "VP80").read_bytes())
    for name in (b"\x18\x53\x80\x67\x01", b"\x1f\x43\xb6\x75"):
        at = data.find(name) + 4
        width = 9 - data[at].bit_length()
        data[at : at + width] = (0xFF << (8 * width - 8) | (1 << (8 * width - 8)) - 1).to_bytes(8 + width)[-width:]
        data[at] = 0xFF >> (width - 1)
    (tmp_path / "a.webm").write_bytes(data)
    found = Video(tmp_path / "a.webm")
    assert (found.count, found.lost) == (FRAMES, None)
    holed(tmp_path / "a.webm")
    assert "damaged" in str(Video(tmp_path / "a.webm").lost)


@pytest.mark.parametrize("start", [0, 1])  # seconds
def test_frames_that_an_edit_list_hides_are_not_missed(start: int, tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", "mp4v")
    data = bytearray(path.read_bytes())
    elst, mdhd, mvhd = data.find(b"elst"), data.find(b"mdhd"), data.find(b"mvhd")
    (ticks,) = unpack_from(">I", data, mdhd + 16)
    (rate,) = unpack_from(">I", data, mvhd + 16)
    data[elst + 12 : elst + 20] = pack(">Ii", rate, ticks * start)  # one second of the two
    path.write_bytes(data)
    found = Video(path)
    assert (found.count, found.lost) == (FRAMES // 2, None)


def test_predict_keeps_what_can_be_read_and_names_the_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(clip := video(tmp_path / "a.avi", "MJPG", 6))
    whole, out = Video(clip).count, tmp_path / "out"
    assert main(["predict", "scenes", str(clip), "--out", str(out)]) == 1
    assert sorted(path.name for path in (out / "panoptic" / "a").iterdir()) == [
        f"{number + 1:06d}.png" for number in range(whole)
    ]
    told = capsys.readouterr()
    assert f"{clip}, the rest, is left out: only {whole} of its 6 frames can be read" in told.err
    assert f"{whole} images, 1 left out: {clip}" in told.out
