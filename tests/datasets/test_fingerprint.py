"""A dataset is the same wherever it lies, and another one with other images or annotations."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.formats.test_labelme import corners, shape
from tests.datasets.formats.test_labelme import write as write_labelme
from tests.datasets.formats.test_voc import photo, thing, xml
from tests.datasets.formats.test_voc import write_masks as voc_masks
from tests.datasets.formats.test_yolo import write as write_yolo
from tests.datasets.maps import write_dataset
from unipan.datasets.fingerprint import fingerprint
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.formats.convert import convert_dataset
from unipan.datasets.panoptic_data import Subset
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.sources import open_data


def test_it_tells_what_counts(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "one")
    first = fingerprint(CocoPanoptic(folder))
    assert first is not None
    assert first["images"] == len(CocoPanoptic(folder))
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "two"))
    photograph = next((moved / "images").iterdir())
    photograph.write_bytes(photograph.read_bytes() + b"mended")
    assert fingerprint(CocoPanoptic(moved)) == first
    content = json.loads((moved / "panoptic.json").read_text())
    content["annotations"][0]["segments_info"][0]["iscrowd"] = 1
    (moved / "panoptic.json").write_text(json.dumps(content))
    other = fingerprint(CocoPanoptic(moved))
    assert other is not None
    assert other != first
    assert other["images"] == first["images"]


def test_of_some_images_it_is_theirs(tmp_path: Path) -> None:
    data = CocoPanoptic(write_dataset(tmp_path / "one"))
    assert fingerprint(Subset(data, [0])) == fingerprint(Subset(data, range(1)))
    assert fingerprint(Subset(data, [0])) != fingerprint(Subset(data, []))


def coco(folder: Path) -> str:
    return f"coco:{write_dataset(folder)}"


def converted(name: str) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        convert_dataset(f"coco:{write_dataset(folder.parent / 'coco')}", f"{name}:{folder}")
        return f"{name}:{folder}"

    return write


def masks_of_voc(folder: Path) -> str:
    return f"voc:{voc_masks(folder)}"


def boxes_of_voc(folder: Path) -> str:
    photo(folder / "JPEGImages" / "a.jpg")
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "a.xml").write_text(xml(thing("car", 4, 4, 20, 20)))
    return f"voc:{folder}"


def texts_of_yolo(folder: Path) -> str:
    return f"yolo:{write_yolo(folder)}"


def jsons_of_labelme(folder: Path) -> str:
    photo(folder / "a.jpg")
    write_labelme(folder, shape("car", corners(4, 4, 10, 10)))
    return f"labelme:{folder}"


def masks_beside_classes(folder: Path) -> str:
    photo(folder / "images" / "x.jpg")
    classes = [{"id": 1, "name": "wall", "isthing": 0}, {"id": 2, "name": "door", "isthing": 1}]
    (folder / "classes.json").write_text(json.dumps({"categories": classes}))
    for place in ("semantic/x.png", "instances/x/1.png"):
        (folder / place).parent.mkdir(parents=True)
        Image.new("L", (64, 48), 2).save(folder / place)
    return f"semantic-masks:{folder}"


def cityscapes(folder: Path) -> str:
    return f"cityscapes:{write_cityscapes(folder)}"


@pytest.mark.parametrize(
    ("write", "pattern"),
    [
        (coco, "panoptic/*.png"),
        (converted("png16"), "panoptic/*.png"),
        (converted("two-channel"), "panoptic/*.png"),
        (masks_of_voc, "SegmentationClass/*.png"),
        (masks_of_voc, "SegmentationObject/*.png"),
        (masks_beside_classes, "semantic/x.png"),
        (masks_beside_classes, "instances/x/1.png"),
        (boxes_of_voc, "Annotations/*.xml"),
        (texts_of_yolo, "train/labels/*.txt"),
        (jsons_of_labelme, "*.json"),
        (cityscapes, "gtFine/val/**/*_instanceIds.png"),
    ],
)
@pytest.mark.parametrize("read", [True, False])
def test_annotations_in_many_files_count(
    write: Callable[[Path], str], pattern: str, read: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not read:  # of more files than this, sizes stand for the content
        monkeypatch.setattr("unipan.datasets.fingerprint.MOST_FILES", 0)
    given = write(tmp_path / "data")
    before = fingerprint(open_data(given)[0])
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))  # a copy has other times
    assert fingerprint(open_data(given)[0]) == before
    changed = next((tmp_path / "data").glob(pattern))
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert fingerprint(open_data(given)[0]) != before


def test_drawn_scenes_are_named_by_their_seeds() -> None:
    assert fingerprint(Scenes(range(3))) is None
