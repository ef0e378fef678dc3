"""The one door to image files: which formats are opened, whatever the file is called.

Pillow decides by content and knows some forty formats. A file that is named photo.png may be any of them, some have
decoders that nobody looks after, and PostScript is handed to an interpreter outside. Only promised formats are tried.
"""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from struct import error as StructError
from struct import unpack

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


_FIRST_BYTES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
"""How a file of each format begins, but for WEBP, which begins with RIFF as some videos do."""
_LOSSY = {
    "JPEG": "blurs its pixels",
    "WEBP": "may blur its pixels",
    "GIF": "numbers its colours anew",
}
"""Formats in which numbers of pixels do not survive, and why."""

NO_PICTURES = {
    "a NIfTI volume": (".nii", ".nii.gz"),
    "a DICOM file": (".dcm", ".dicom"),
    "a volume (MetaImage, NRRD)": (".mha", ".mhd", ".nrrd"),
    "a scientific array (HDF5, NetCDF, Zarr)": (".h5", ".hdf5", ".nc", ".zarr"),
}
"""What users have and unipan cannot read, by the end of its name."""

_GEO_TAGS = {33550, 33922, 34264, 34735}
"""ModelPixelScale, ModelTiepoint, ModelTransformation and GeoKeyDirectory."""
_MOST_TAGS = 4096


def open_image(source: Path | bytes) -> Image.Image:
    """Open an image, a file or its bytes, without decoding its pixels. To be closed, as `Image.open`'s.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is a folder, a pipe or a device.
        UnidentifiedImageError: it is of another format, or damaged at its beginning.
        OSError, Image.DecompressionBombError: see `Image.open`; decoding raises nearly anything for a damaged file.
    """
    if isinstance(source, Path):
        require_regular(source)
    Image.preinit()  # PNG and JPEG are among these; `Image.open` would load all forty formats first, in 20 ms
    try:
        with warnings.catch_warnings():  # what is large is legal; `Segmenter` looks whether there is memory for it
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=tuple(IMAGE_FORMATS))
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(f"it is none of {', '.join(IMAGE_FORMATS)}") from error


def format_of(data: bytes) -> str | None:
    """The format of an image by its first bytes, whatever it is called; None if it is none of `IMAGE_FORMATS`."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for start, kind in _FIRST_BYTES.items() if data.startswith(start)), None)


def require_exact(data: bytes, source: object, formats: tuple[str, ...] = ("PNG", "BMP", "TIFF")) -> None:
    """Raises ValueError if a picture of numbers is of a format that is not taken, or that keeps no numbers."""
    kind = format_of(data)
    if kind is not None and kind not in formats:
        lost = f", which {_LOSSY[kind]}, so its numbers are lost: make it again as a PNG" if kind in _LOSSY else ""
        raise ValueError(f"{source}: this is a {kind}{lost or ', not a PNG; save it as a PNG'}")


def is_geotiff(path: Path) -> bool:
    """Whether a file is a TIFF, or BigTIFF, with a place on the Earth: its first directory has a tag of GeoTIFF."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            order = {b"II": "<", b"MM": ">"}.get(head[:2])
            version = 0 if order is None else unpack(f"{order}H", head[2:4])[0]
            if version not in (42, 43):
                return False
            big = version == 43
            file.seek(unpack(f"{order}Q", head[8:16])[0] if big else unpack(f"{order}I", head[4:8])[0])
            count = unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))[0]
            entry = 20 if big else 12
            directory = file.read(min(count, _MOST_TAGS) * entry)
    except (OSError, StructError, ValueError, OverflowError):  # an offset beyond what a file can have
        return False
    tags = (unpack(f"{order}H", directory[at : at + 2])[0] for at in range(0, len(directory) - 1, entry))
    return any(tag in _GEO_TAGS for tag in tags)


@contextmanager
def told_of_damage(
    path: Path, kind: str = "image", hint: str = "it may be cut short, copy it again"
) -> Generator[None, None, None]:
    """Turn whatever is raised inside into a ValueError that names the file; Pillow raises nearly anything.

    Raises:
        ValueError: `hint` says what to do where the file is damaged. Sentences that begin with the path pass unchanged.
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
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise ValueError(f"{path}: it cannot be read ({error.strerror})") from error
        words = " ".join(str(error).split()) or type(error).__name__
        remedy = _content_of_another_kind(path) if isinstance(error, UnidentifiedImageError) else None
        raise ValueError(f"{path}: not a readable {kind} ({words}); {remedy or hint}") from error


def out_of_reach(path: Path) -> str | None:
    """What a file is by its name, if unipan reads nothing of the kind, and what to do; otherwise None."""
    kind = next((kind for kind, suffixes in NO_PICTURES.items() if path.name.lower().endswith(suffixes)), None)
    return kind and f"{kind} is out of reach; save what is to be segmented as PNG or TIFF of 8 or 16 bits"


def _content_of_another_kind(path: Path) -> str | None:
    """What to say of a file that does not begin as an image does, so that it is whole, but none."""
    if volume := out_of_reach(path):
        return volume
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return None
    if not start:
        return "it is empty, copy it again"
    if start.startswith((*_FIRST_BYTES, b"RIFF")):
        return None
    return "its content is something else, whatever its name says; save it as one of these"
