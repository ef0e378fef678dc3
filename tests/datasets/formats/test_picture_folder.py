"""A folder of label pictures with a classes.json is recognised by its first picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.maps import declare, paint
from unipan.datasets.formats.picture_folder import suggest_pictures
from unipan.datasets.formats.registry import suggested_command


@pytest.mark.parametrize(
    ("name", "channels", "dtype"),
    [("png16", 1, np.uint16), ("two-channel", 2, np.uint8), ("two-channel", 3, np.uint8), ("bdd100k", 4, np.uint8)],
)
def test_the_command_is_named(name: str, channels: int, dtype: type, tmp_path: Path) -> None:
    folder = declare(tmp_path) / "panoptic" / "video"
    pixels = np.ones((4, 5, channels), dtype)
    if channels == 2:
        folder.mkdir(parents=True)
        Image.fromarray(pixels, "LA").save(folder / "a.png")
    else:
        paint(folder / "a.png", pixels.squeeze(), dtype)
    assert suggest_pictures(name, tmp_path) == (f"{name}:{tmp_path}",)
    assert suggested_command(tmp_path) == f"unipan data convert {name}:{tmp_path} OUT"


def test_nothing_is_guessed(tmp_path: Path) -> None:
    folder = declare(tmp_path) / "panoptic"
    assert suggested_command(tmp_path) is None
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")
    assert suggested_command(tmp_path) is None
    paint(folder / "a.png", np.ones((4, 5)), np.uint8)
    assert suggested_command(tmp_path) is None
