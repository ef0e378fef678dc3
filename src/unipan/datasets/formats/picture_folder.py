"""Which format a folder of label pictures with a classes.json is in, as far as its first picture shows."""

from pathlib import Path

from unipan.datasets.formats.classes import CLASSES_FILE
from unipan.datasets.formats.format import Words
from unipan.panoptic.image_files import open_image

FORMAT_OF_MODE = {
    "I;16": "png16",
    "I;16B": "png16",
    "I": "png16",
    "LA": "two-channel",
    "RGB": "two-channel",
    "RGBA": "bdd100k",
}
"""Pillow's mode -> format."""


def suggest_pictures(name: str, path: Path) -> Words | None:
    """FROM for `unipan data convert`, if this is a folder of label pictures of the format `name`."""
    if not (path / CLASSES_FILE).is_file() or (path / "panoptic.json").exists() or not (path / "panoptic").is_dir():
        return None
    first = min((path / "panoptic").rglob("*.png"), default=None)
    return (f"{name}:{path}",) if first is not None and FORMAT_OF_MODE.get(_mode(first)) == name else None


def _mode(picture: Path) -> str:
    """Pillow's mode; empty for what is no picture."""
    try:
        with open_image(picture) as image:
            return image.mode
    except (OSError, ValueError):
        return ""
