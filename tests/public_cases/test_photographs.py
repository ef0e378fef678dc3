"""Photographs from public trouble reports: each is seen as it was meant, or named."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.public_cases.tools import Make, Say, findings, steps
from unipan.checkpoint_header import read_header
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.pictures import picture_of
from unipan.panoptic.images import read_image
from unipan.panoptic.png import decode_png
from unipan.presets import preset

pytestmark = pytest.mark.real_data


def shown(page: Path, panel: str) -> dict[str, np.ndarray]:
    """File name -> the picture under that heading on a page of `data show`."""
    found = re.findall(rf'src="data:image/webp;base64,([^"]+)" alt="([^"]+): {panel}"', page.read_text())
    pictures = ((name, Image.open(io.BytesIO(base64.b64decode(data)))) for data, name in found)
    return {name: np.asarray(picture.convert("RGB")).astype(int) for name, picture in pictures}


def test_exif_same_size(case: Make, unipan: Say, tmp_path: Path) -> None:
    """The page has photographs the right way up, and masks where they were drawn: the eye sees that they disagree."""
    folder = case("exif_same_size")
    status, counts, said = findings(unipan, folder)
    assert (status, counts) == (0, {})
    assert "turned or mirrored by EXIF, 2 of 3 images: 1.jpg, 2.jpg; `unipan data show` shows them" in said
    assert unipan("data", "show", folder, "--out", tmp_path / "page")[0] == 0
    photographs = shown(tmp_path / "page" / "index.html", "image")
    bright = {  # where the bright rectangle (rows 4 to 20, columns 4 to 30 of the file) comes to lie
        "1.jpg": (slice(4, 30), slice(44, 60)),
        "2.jpg": (slice(28, 44), slice(34, 60)),
        "3.jpg": (slice(4, 20), slice(4, 30)),
    }
    data = CocoPanoptic(folder)
    for index, (name, place) in enumerate(bright.items()):
        for photo in (photographs[name], data[index].image):  # as it is shown, and as the network sees it
            is_bright = photo[..., 0] > 145
            wanted = np.zeros(photo.shape[:2], bool)
            wanted[place] = True
            assert (is_bright != wanted).mean() < 0.03, name
        things = data.truth(index).ids == 2
        assert things[4:20, 4:30].all()
        assert things.sum() == 16 * 26


def test_grey16(case: Make) -> None:
    folder = case("grey16") / "images"
    window = preset("finetune").data.window
    reference = read_image(folder / "grey8.png").astype(int)
    low, high = np.percentile(reference, window)
    wanted = np.clip((reference - low) / (high - low), 0, 1) * 255
    for name in ("a12.png", "a12.tif", "a16.png", "af.tif", "rgb16.png"):
        assert abs(read_image(folder / name, window) - wanted).max() < 2, name
    with pytest.raises(ValueError, match=r"af\.tif: floating-point pixels have no known range"):
        read_image(folder / "af.tif")


def test_grey16_as_a_set(case: Make, unipan: Say, tmp_path: Path) -> None:
    """It trains, the checkpoint has the window, and what has none says that a picture would be black."""
    folder = case("grey16")
    status, counts, said = findings(unipan, folder)
    assert (status, counts) == (0, {})
    assert "more than 8 bits a channel, 5 of 6 images, up to 59110: `train finetune` shows each between two" in said
    status, said = steps(unipan, folder, tmp_path / "run")
    assert (status, "1.0 things an image" in said) == (0, True), said
    data = read_header(tmp_path / "run" / "best.safetensors")[0].data
    assert data.window == preset("finetune").data.window
    names = ("a12.png", "a12.tif", "a16.png", "af.tif", "rgb16.png")
    seen = [picture_of(folder / "images" / name, data)[0].astype(int) for name in names]
    assert all(abs(each - seen[0]).max() < 3 for each in seen)
    assert (seen[0].min(), seen[0].max()) == (0, 255)
    status, said = unipan("predict", "scenes", folder / "images" / "a12.png", "--out", tmp_path / "dark")
    assert status == 0
    assert "a12.png has more than 8 bits a channel" in said
    assert "of its values 13 grey levels remain" in said
    status, said = unipan("predict", "scenes", folder / "images" / "af.tif", "--out", tmp_path / "no")
    assert (status, "af.tif is left out: floating-point pixels have no known range" in said) == (1, True)


def test_odd_photos(case: Make, unipan: Say, tmp_path: Path) -> None:
    root = case("odd_photos")
    folder = tmp_path / "in"
    shutil.copytree(root / "photos", folder)
    shutil.copy(root / "empty" / "empty.jpg", folder)
    status, said = unipan("predict", "scenes", folder, "--out", tmp_path / "out")
    assert status == 1
    assert "empty.jpg is left out" in said
    assert "notes.txt" not in said
    content = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    names = {path.name for path in folder.iterdir()} - {"empty.jpg", "notes.txt"}
    assert len(names) == 14
    assert {row["file_name"] for row in content["images"]} == names
    pngs = {row["image_id"]: row["file_name"] for row in content["annotations"]}
    for row in content["images"]:
        with Image.open(folder / row["file_name"]) as image:
            assert (row["width"], row["height"]) == image.size
        assert decode_png(tmp_path / "out" / "panoptic" / pngs[row["id"]]).shape == (row["height"], row["width"])
