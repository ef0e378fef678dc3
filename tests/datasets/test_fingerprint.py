"""A dataset is the same wherever it lies, and another one with other images or annotations."""

import json
import shutil
from pathlib import Path

from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.maps import write_dataset
from unipan.datasets.fingerprint import fingerprint
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
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


def test_without_a_json_photographs_stand_for_the_annotations(tmp_path: Path) -> None:
    write_cityscapes(tmp_path / "city")
    before = fingerprint(open_data(str(tmp_path / "city"))[0])
    assert before is not None
    photograph = next((tmp_path / "city" / "leftImg8bit" / "val").rglob("*.png"))
    photograph.write_bytes(photograph.read_bytes() + b"another")
    assert fingerprint(open_data(str(tmp_path / "city"))[0]) != before


def test_drawn_scenes_are_named_by_their_seeds() -> None:
    assert fingerprint(Scenes(range(3))) is None
