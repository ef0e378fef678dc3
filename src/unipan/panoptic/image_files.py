"""The one door to image files: which formats are opened, whatever the file is called.

Pillow decides by content and knows some forty formats. A file that is named photo.png may be any of them, some have
decoders that nobody looks after, and PostScript is handed to an interpreter outside. Only promised formats are tried.
"""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from unipan.files import require_regular

IMAGE_FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
}
"""Pillow's name of each format that is read, and its suffixes."""


def open_image(source: Path | bytes) -> Image.Image:
    """Open an image, a file or its bytes, without decoding its pixels. To be closed, as `Image.open`'s.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is a folder, a pipe or a device.
        UnidentifiedImageError: it is of another format, or damaged at its beginning.
        OSError, Image.DecompressionBombError: see `Image.open`; decoding raises nearly anything for a damaged file.
    """
    if isinstance(source, Path):
        require_regular(source)
    try:
        with warnings.catch_warnings():  # what is large is legal; `Segmenter` looks whether there is memory for it
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=tuple(IMAGE_FORMATS))
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(f"it is none of {', '.join(IMAGE_FORMATS)}") from error


@contextmanager
def told_of_damage(
    path: Path, kind: str = "image", hint: str = "it may be cut short, copy it again"
) -> Generator[None, None, None]:
    """Turn whatever is raised inside into a ValueError that names the file; Pillow raises nearly anything.

    Raises:
        ValueError: `hint` says what to do. Sentences that begin with the path pass unchanged.
        MemoryError: this is no fault of the file.
    """
    try:
        with warnings.catch_warnings():  # Pillow's about EXIF, as if it were the user's own code
            warnings.simplefilter("ignore", UserWarning)
            yield
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: too many pixels to open safely ({error})") from error
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a readable {kind} ({words}); {hint}") from error
