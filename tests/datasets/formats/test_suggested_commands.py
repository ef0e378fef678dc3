"""The one command that `unipan data check` prints makes data trainable, wherever it lies and however it overlaps."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.formats import test_cvat, test_labelme, test_voc, test_yolo
from tests.datasets.formats.shapes_by_hand import SIZE, photo
from unipan.arrays import Int32
from unipan.cli import main
from unipan.datasets.doctor.diagnose import UnreadableError, diagnose
from unipan.datasets.formats.registry import open_dataset, suggested_command

INSTANCES = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
    "categories": [{"id": 1, "name": "car"}],
}


def coco(folder: Path, *rows: dict[str, Any]) -> None:
    annotations = [{"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0, **row} for n, row in enumerate(rows)]
    (folder / "a.json").write_text(json.dumps({**INSTANCES, "annotations": annotations}))
    photo(folder / "a.jpg")


def coco_boxes(folder: Path) -> None:
    coco(folder, {"bbox": [2, 2, 20, 20]}, {"bbox": [10, 10, 9, 9], "segmentation": []})


def coco_polygons(folder: Path) -> None:
    coco(folder, {"segmentation": [[2, 2, 20, 2, 20, 20, 2, 20]]}, {"segmentation": [[9, 9, 30, 9, 30, 30, 9, 30]]})


def yolo_boxes(folder: Path) -> None:
    test_yolo.write(folder, f"{test_yolo.BOX}\n0 0.7 0.5 0.1 0.1\n")


def voc_boxes(folder: Path) -> None:
    (folder / "Annotations").mkdir()
    text = test_voc.xml(test_voc.thing("car", 5, 5, 24, 24), test_voc.thing("person", 10, 10, 30, 30))
    (folder / "Annotations" / "a.xml").write_text(text)
    photo(folder / "JPEGImages" / "a.jpg")


def voc_boxes_and_classes(folder: Path) -> None:
    test_voc.write_masks(folder)
    (folder / "SegmentationObject" / "a.png").unlink()
    (folder / "SegmentationObject").rmdir()
    voc_boxes(folder)


def labelme_polygons(folder: Path) -> None:
    square = test_labelme.corners
    test_labelme.write(
        folder, test_labelme.shape("car", square(2, 2, 20, 20)), test_labelme.shape("dog", square(9, 9, 20, 20))
    )
    photo(folder / "a.jpg")


def cvat_polygons(folder: Path) -> None:
    test_cvat.write(folder, test_cvat.polygon("car", 2, 2, 20, 20), test_cvat.polygon("car", 9, 9, 20, 20))
    photo(folder / "a.jpg")


def two_classes(folder: Path) -> tuple[Int32[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
    """Writes the classes and the photograph; gives class numbers, and numbers of things, 0 where there is none."""
    rows = [{"id": 1, "name": "car", "isthing": 1}, {"id": 7, "name": "background", "isthing": 0}]
    (folder / "classes.json").write_text(json.dumps({"categories": rows}))
    photo(folder / "images" / "a.jpg")
    things = np.zeros(SIZE, np.int32)
    things[4:12, 4:12] = 1
    return np.where(things > 0, 1, 7).astype(np.int32), things


def semantic_masks(folder: Path) -> None:
    for name, numbers in zip(("semantic", "instances"), two_classes(folder), strict=True):
        (folder / name).mkdir()
        np.save(folder / name / "a.npy", numbers)


def huggingface(folder: Path) -> None:
    _, things = two_classes(folder)
    info = [{"id": 1, "label_id": 1, "score": 0.9}, {"id": 2, "label_id": 7, "score": 0.8}]
    ids = np.where(things > 0, 1, 2)
    (folder / "a.json").write_text(json.dumps({"segmentation": ids.tolist(), "segments_info": info}))


@pytest.mark.parametrize(
    "write",
    [
        coco_boxes,
        coco_polygons,
        yolo_boxes,
        voc_boxes,
        voc_boxes_and_classes,
        labelme_polygons,
        cvat_polygons,
        semantic_masks,
        huggingface,
    ],
)
def test_the_printed_command_works(write: Callable[[Path], None], tmp_path: Path) -> None:
    folder, out = tmp_path / "it's $HOME --a", tmp_path / "an out"
    folder.mkdir()
    write(folder)
    with pytest.raises(UnreadableError, match="not COCO panoptic format, but"):
        diagnose(folder)
    command = suggested_command(folder, str(out))
    assert command is not None
    assert main(shlex.split(command)[1:]) == 0
    found = {segment.category.name for segment in open_dataset(out).truth(0)}
    assert "background" in found
    assert len(found) > 1


def test_a_dataset_in_parts_is_told_the_command_of_the_first(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        coco_polygons(tmp_path / part)
    with pytest.raises(UnreadableError, match=r"no panoptic.json, but .*coco-instances:.*train/a.json OUT"):
        diagnose(tmp_path)


def test_the_json_of_the_classes_is_not_the_one_that_is_meant(tmp_path: Path) -> None:
    for name in ("a.json", "classes.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UnreadableError, match=r"but a\.json; name the JSON that you mean, .*/a\.json"):
        diagnose(tmp_path)


def test_a_folder_of_two_jsons_and_one_of_photographs(tmp_path: Path) -> None:
    """Also where the data is opened by a network or by Python."""
    folder = tmp_path / "two files"
    folder.mkdir()
    for name in ("a.json", "b.json"):
        (folder / name).write_text("{}")
    photo(tmp_path / "photos" / "a.jpg")
    for source, said in ((folder, r"but a\.json, b\.json; name .* 'unipan"), (tmp_path / "photos", "but 1 image with")):
        with pytest.raises(UnreadableError, match=said.replace(" 'unipan", " `unipan data check '")):
            diagnose(source)
        with pytest.raises(FileNotFoundError, match=said.partition(";")[0]):
            open_dataset(source)
