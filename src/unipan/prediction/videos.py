"""Frames of video files, read one after the other, and overlays as a video again. OpenCV does both, without sound."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unipan.arrays import UInt8
from unipan.files import replaced, require_regular
from unipan.prediction.video_length import begins_as_video, why_lost
from unipan.visualization.flat import Picture

CODEC = "mp4v"
"""Of the videos that are written: OpenCV's own, in every build of it."""
_USUAL_RATE = 25.0
_CONTAINERS = "MP4, MOV, AVI, Matroska (WebM) or MPEG"


class Video:
    """The frames of a video file.

    Attributes:
        path: the file.
        count: how many frames can be read.
        rate: frames a second.
        lost: why some of it cannot be read; None where it is whole, as far as its header tells.
        version: `version_of` the file when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Go once through the file, because what it says of its length is often wrong.

        Raises:
            ValueError: no frame can be read.
        """
        require_regular(path)
        if not begins_as_video(path):
            raise ValueError(
                f"{path}: it is no video in {_CONTAINERS}, whatever its name says; save it as MP4 with H.264"
            )
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it prints on its own what is wrong with a file
        self.path, self.version = path, version_of(path)
        capture = cv2.VideoCapture(str(path))
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0 < rate < 1000 else _USUAL_RATE
        header = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = 0
        while capture.grab():
            self.count += 1
        capture.release()
        if self.count == 0:
            raise ValueError(f"{path}: OpenCV finds no frame in this video; save it as MP4 with H.264")
        self.lost = why_lost(path, int(header), self.count)
        self._capture: Any = None
        self._next = 0

    def frame(self, number: int) -> UInt8[np.ndarray, "H W 3"]:
        """A frame as RGB; the next one is read without going back.

        Args:
            number: from 0 on.

        Raises:
            ValueError: it cannot be read.
        """
        if self._capture is None or number < self._next:
            self._capture, self._next = cv2.VideoCapture(str(self.path)), 0
        while self._next < number and self._capture.grab():
            self._next += 1
        done, pixels = self._capture.read()
        if self._next != number or not done:
            self._capture = None
            raise ValueError(f"{self.path}: frame {number + 1} cannot be read; the file may be damaged")
        self._next += 1
        return np.ascontiguousarray(pixels[..., ::-1])


def version_of(path: Path) -> list[int] | None:
    """Size and time of a file, which differ where the pixels may; None where it has gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def write_video(path: Path, pictures: Iterable[Picture], rate: float) -> None:
    """Write RGB pictures of one size as a video; `path` is complete afterwards, or as it was.

    Raises:
        OSError: OpenCV cannot write it.
    """
    with replaced(path) as temporary:
        video = temporary.with_suffix(path.suffix)  # by the suffix OpenCV knows the container
        writer = None
        try:
            for picture in pictures:
                if writer is None:
                    size = (picture.shape[1], picture.shape[0])
                    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*CODEC), rate, size)
                    if not writer.isOpened():
                        raise OSError(f"OpenCV cannot write videos of {size[0]} x {size[1]} pixels")
                writer.write(np.ascontiguousarray(picture[..., ::-1]))
            if writer is not None:
                writer.release()
            video.replace(temporary)
        finally:
            video.unlink(missing_ok=True)
