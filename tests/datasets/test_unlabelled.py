"""A folder of photographs is data without a truth; everything else is opened as for `unipan evaluate`."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.datasets.unlabelled import UNLABELLED, images_read, open_images
from unipan.outputs import Outputs


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number, name in enumerate(("b.png", "a.JPG", "c.png")):
        cv2.imwrite(str(tmp_path / name), np.full((20, 30 + number, 3), 60 * number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_photographs_in_order_with_void_maps(photographs: Path) -> None:
    data, chosen, note = open_images(str(photographs), 2)
    assert (len(data), chosen) == (3, range(2))
    assert note == f"2 of the 3 photographs in {photographs}"
    assert [data[index].name for index in range(3)] == ["a.JPG", "b.png", "c.png"]
    assert data.categories is UNLABELLED
    assert data[2].image.shape == (20, 32, 3)
    assert data[2].truth.ids.shape == (20, 32)
    assert not data[2].truth.ids.any()
    assert images_read(str(photographs)) == [photographs]
    assert open_images(str(photographs), 0)[1] == range(3)


def test_what_unipan_wrote_is_no_photograph(photographs: Path) -> None:
    Outputs("affinity").start_folder(photographs, ["a.JPG", "b.png"])
    assert len(open_images(str(photographs), 0)[0]) == 1
    Outputs("affinity").start_folder(photographs, ["c.png"])
    with pytest.raises(FileNotFoundError, match=r"panoptic\.json"):
        open_images(str(photographs), 0)


def test_a_dataset_has_its_truth_even_with_pictures_beside_it(photographs: Path) -> None:
    write_coco_panoptic(photographs / "data", list(Scenes(range(2))), SCENE_CATEGORIES)
    cv2.imwrite(str(photographs / "data" / "preview.png"), np.zeros((5, 5, 3), np.uint8))
    data, _, _ = open_images(str(photographs / "data"), 0)
    assert data.categories == SCENE_CATEGORIES
    assert data[0].truth.ids.any()
    assert photographs / "data" / "panoptic.json" in images_read(str(photographs / "data"))
    assert len(open_images("scenes:5-9", 3)[1]) == 3
    assert images_read("scenes") == []
