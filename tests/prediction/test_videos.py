"""Videos: each frame is an image, in its order; the overlays are a video again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.prediction.test_interrupted import contents
from unipan.cli import main
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.scenes.generator import Scenes
from unipan.inference import Segmenter
from unipan.panoptic.png import decode_png
from unipan.prediction.images import plan_images
from unipan.prediction.journal import Journal
from unipan.prediction.video_length import begins_as_video
from unipan.prediction.videos import Video, write_video

FRAMES = 4
BROKEN = b"\0\0\0\x10ftypisom" + bytes(100)
"""Begins as an MP4."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "drive.mp4"
    write_video(path, (sample.image for sample in Scenes(range(4_000_000, 4_000_000 + FRAMES))), 12.5)
    return path


def test_frames_come_in_order_and_again(clip: Path) -> None:
    video = Video(clip)
    assert (video.count, video.rate) == (FRAMES, 12.5)
    frames = [video.frame(number) for number in range(FRAMES)]
    for frame, sample in zip(frames, Scenes(range(4_000_000, 4_000_000 + FRAMES)), strict=True):
        assert frame.shape == sample.image.shape
        assert np.abs(frame.astype(int) - sample.image).mean() < 12  # the codec loses some
    assert np.array_equal(video.frame(1), frames[1])  # back
    assert np.array_equal(video.frame(3), frames[3])  # and over some
    with pytest.raises(ValueError, match="frame 5 cannot be read"):
        video.frame(FRAMES)
    assert np.array_equal(video.frame(0), frames[0])


def test_a_video_that_is_replaced_is_made_again(clip: Path, tmp_path: Path) -> None:
    """Its frames are those of the file that was opened, and no result of the new one."""
    path = tmp_path / "v.mp4"
    shutil.copy(clip, path)
    jobs, _ = plan_images([path], None)
    journal = Journal(tmp_path, {}, CITYSCAPES)
    journal.begin(jobs[0])
    assert not journal.was_replaced(jobs[0])
    write_video(tmp_path / "new.mp4", (np.zeros((64, 96, 3), np.uint8) for _ in range(FRAMES)), 12.5)
    (tmp_path / "new.mp4").replace(path)
    for job in jobs[:2]:
        journal.begin(job)
        assert journal.was_replaced(job)
    again, _ = plan_images([path], None)
    journal.begin(again[0])
    assert not journal.was_replaced(again[0])
    path.unlink()  # what was read is whole
    assert not journal.was_replaced(again[0])


def test_predict_writes_ids_of_each_frame_and_a_video_of_overlays(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    told = tmp_path / "told.json"
    assert main(["predict", "scenes", str(clip), "--out", str(out), "--csv", "--json", str(told)]) == 0
    content = json.loads((out / "panoptic.json").read_text())
    images = json.loads(told.read_text())["images"]
    assert [(image["file"], image["name"], image["frame"]) for image in images] == [
        (str(clip), f"drive/{n:06d}.png", n) for n in range(1, FRAMES + 1)
    ]
    assert [image["segments_info"] for image in images] == [each["segments_info"] for each in content["annotations"]]
    assert [image["segments"] for image in images] == [len(image["segments_info"]) for image in images]
    assert [image["file_name"] for image in content["images"]] == [f"drive/{n:06d}.png" for n in range(1, FRAMES + 1)]
    segmenter, video = Segmenter.load("scenes"), Video(clip)
    for number in range(FRAMES):
        ids = decode_png(out / "panoptic" / "drive" / f"{number + 1:06d}.png")
        assert np.array_equal(ids, segmenter(video.frame(number)).ids)
    overlays = Video(out / "overlays" / "drive.mp4")
    assert (overlays.count, overlays.rate) == (FRAMES, 12.5)
    picture = cv2.imread(str(out / "overlays" / "drive" / "000002.png"))
    assert picture is not None
    assert np.abs(overlays.frame(1).astype(int) - picture[..., ::-1]).mean() < 12
    assert "drive.mp4" in (out / "index.html").read_text()
    assert [path.name for path in (out / "overlays").iterdir() if path.name.startswith(".")] == []
    capsys.readouterr()
    assert main(["predict", "scenes", str(clip), "--out", str(out), "--csv"]) == 0  # its own files may be replaced


def test_frames_at_once_are_the_same_files(clip: Path, tmp_path: Path) -> None:
    for at_once in (1, 3):
        out = str(tmp_path / str(at_once))
        assert main(["predict", "scenes", str(clip), "--out", out, "--csv", "--at-once", str(at_once)]) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_a_video_without_overlays_has_none(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["predict", "scenes", str(clip), "--out", str(out), "--no-overlays"]) == 0
    assert not (out / "overlays").exists()
    assert "drive.mp4" not in (out / "index.html").read_text()
    assert len(json.loads((out / "panoptic.json").read_text())["images"]) == FRAMES


def test_images_and_videos_together_are_numbered_on(clip: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    jobs, _ = plan_images([clip, tmp_path / "a.png"], None)
    assert [(job.name, job.image_id) for job in jobs][:2] == [("a.png", 1), ("drive/000001.png", 2)]
    assert len(jobs) == 1 + FRAMES
    (tmp_path / "gt.json").write_text('{"images": [], "categories": []}')
    with pytest.raises(ValueError, match="is a video"):
        plan_images([clip], tmp_path / "gt.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BROKEN, "OpenCV finds no frame in this video"),
        (b"no video", "it is no video in MP4, MOV, AVI, Matroska"),
        (b"ffconcat version 1.0\n", "it is no video in MP4, MOV, AVI, Matroska"),  # a list of other files
    ],
)
def test_what_is_no_video_is_told(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    assert main(["predict", "scenes", str(tmp_path / "broken.mp4"), "--out", str(tmp_path / "out")]) == 1
    assert f"broken.mp4 is left out: {words}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.mp4", "a.m4v", "a.mov", "a.avi", "a.mkv", "a.mpg"])
def test_each_container_is_known_by_its_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    codec = "MPG2" if name == "a.mpg" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (96, 64))
    for shade in (0, 100, 200):
        writer.write(np.full((64, 96, 3), shade, np.uint8))
    writer.release()
    assert Video(path).count == 3


def test_a_transport_stream_is_known_by_its_packets(tmp_path: Path) -> None:
    """OpenCV writes none that it can read."""
    path = tmp_path / "a.mpg"
    for content, known in ((2 * (b"G" + bytes(187)), True), (b"G" + bytes(375), False), (b"G", False), (b"", False)):
        path.write_bytes(content)
        assert begins_as_video(path) == known


def test_an_interrupted_video_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def pictures():  # noqa: ANN202  a generator that fails
        yield np.zeros((32, 32, 3), np.uint8)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_video(path, pictures(), 10.0)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_a_broken_video_is_left_out_by_name(tmp_path: Path) -> None:
    """In a process of its own, because OpenCV asks once how much it shall say itself."""
    (tmp_path / "broken.mp4").write_bytes(BROKEN)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    given = [str(tmp_path / name) for name in ("broken.mp4", "a.png")]
    command = [sys.executable, "-m", "unipan", "predict", "scenes", *given, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "broken.mp4 is left out" in done.stderr
    assert "moov" not in done.stderr
    found = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert [image["file_name"] for image in found["images"]] == ["a.png"]
