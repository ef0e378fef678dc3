"""Pictures that come in: how large they may be, looked at before anything is decoded."""

import asyncio
import tempfile
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path

from unipan.datasets.formats.label_picture import image_size
from unipan.server.scenes import EditableScene, SceneMaker

LONGEST_NAME = 120
IDLE_SECONDS = 30.0
"""Without a byte: whoever sends a picture and stalls holds one of a few places."""


class TooLargeError(ValueError):
    """More bytes or pixels than the server takes; the sentence says how many it takes."""


@dataclass(frozen=True)
class Limits:
    """What one picture may have.

    Attributes:
        megabytes: 10^6 bytes of its file.
        megapixels: 10^6 pixels.
    """

    megabytes: float = 50.0
    megapixels: float = 25.0

    def check_bytes(self, count: int) -> None:
        """Raises TooLargeError."""
        if count > self.megabytes * 1e6:
            raise TooLargeError(
                f"the picture has more than {self.megabytes:g} MB; `unipan serve --megabytes` sets the limit"
            )

    def check_pixels(self, path: Path) -> None:
        """Look at a picture's header.

        Raises:
            TooLargeError: too many pixels.
            ValueError: it is no picture.
        """
        height, width = image_size(path)
        if height * width > self.megapixels * 1e6:
            raise TooLargeError(
                f"the picture has {width} x {height} pixels, more than {self.megapixels:g} million; `unipan serve "
                "--megapixels` sets the limit"
            )


async def read_limited(chunks: AsyncIterable[bytes], most: int) -> bytes | None:
    """A request's body; None as soon as it is longer than `most` bytes, whatever its header claims.

    Raises:
        TimeoutError: nothing came for `IDLE_SECONDS`.
    """
    data, arriving = bytearray(), aiter(chunks)
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                data += await anext(arriving)
        except StopAsyncIteration:
            return bytes(data)
        except TimeoutError as error:
            raise TimeoutError(f"nothing came for {IDLE_SECONDS:g} seconds; send it again") from error
        if len(data) > most:
            return None


def segment_file(maker: SceneMaker, path: Path, name: str, limits: Limits) -> EditableScene:
    """The scene of a picture. Raises TooLargeError, ValueError or OSError, whose sentences call it by its name."""
    try:
        limits.check_bytes(path.stat().st_size)
        limits.check_pixels(path)
        return maker.scene(path)
    except (TooLargeError, FileNotFoundError) as error:
        raise type(error)(str(error).replace(str(path), name)) from error
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), name)) from error


def segment_bytes(maker: SceneMaker, data: bytes, name: str, limits: Limits) -> EditableScene:
    """The scene of a picture that was sent. Raises as `segment_file`."""
    with tempfile.TemporaryDirectory(prefix="unipan-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(data)
        return segment_file(maker, path, name, limits)


def safe_name(given: str) -> str:
    """A sent picture's name as a file name: without folders, control characters and what some systems refuse."""
    last = given.replace("\\", "/").rpartition("/")[2]
    kept = "".join(each if each.isprintable() and each not in '<>:"|?*' else "_" for each in last).strip(". ")
    stem, dot, suffix = kept.rpartition(".")
    return f"{stem[: LONGEST_NAME - 10]}{dot}{suffix[:8]}" if stem else (kept[:LONGEST_NAME] or "picture")
